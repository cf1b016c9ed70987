// What the library hands out, in the words of the scenarios: times from the start, tokens by their text.
#ifndef SHOW_H
#define SHOW_H

#include "host.h"

// A text of an output with a zero at its end; the caller frees it.
char *output_text(const svcauth_output *output, svcauth_output_text which);

// A text of an output that is JSON.
json_t *output_json(const svcauth_output *output, svcauth_output_text which);

// `file /run/secrets/bss`, as secrets are named in scenarios; the caller frees it.
char *show_place(const svcauth_output *output);

json_t *show_task(host *host, const svcauth_output *output, svcauth_output_kind kind);
json_t *show_lease(host *host, const svcauth_lease *lease);
json_t *show_change(host *host, const svcauth_output *output);
json_t *show_event(host *host, const svcauth_output *output);

// An error as the core writes it.
json_t *show_error(host *host, const svcauth_error *error);

// What token() or register() failed with. Frees the error.
json_t *show_failed(host *host, svcauth_error *error);

json_t *show_health(host *host);
json_t *show_stats(host *host);

// A text, or null where there is none.
json_t *text_or_null(const char *text, size_t len);

#endif
