// What a step expects against what happened.
#ifndef COMPARE_H
#define COMPARE_H

#include "host.h"

// Notes each difference.
void compare_step(host *host, const json_t *step, const json_t *got);

void compare(host *host, const char *path, json_t *expected, json_t *got);

#endif
