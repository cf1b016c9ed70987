// The texts that must be told nowhere, and the ids that stand for texts.
#ifndef PLANTED_H
#define PLANTED_H

#include "host.h"

// The id under which events and leases speak of a text.
uint64_t id_of(const char *text);

// The text that stands behind an id, given as its 8 bytes in hex; NULL where it is not known.
const char *known_text(const host *host, const char *id);

// The same of the 32 bytes of a subject.
const char *known_subject(const host *host, const char *bytes, size_t len);

void plant(host *host, const char *secret);

// Plants every secret in a step.
void learn(host *host, json_t *step);

// Notes a difference where the text tells a secret.
void check_planted(host *host, const char *text, size_t len);

#endif
