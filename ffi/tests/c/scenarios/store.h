// A durable store in memory, shared with processes that only the scenario knows.
#ifndef STORE_H
#define STORE_H

#include "host.h"

void store_start(host_store *store);
void store_end(host_store *store);

// Other processes write records and hold locks until a time; the store fails or works again.
void store_change(host_store *store, json_t *change);

// Does what a task asks, and answers it.
svcauth_result store_use(host *host, const svcauth_output *task, uint64_t id);

// The records, and until when each lock is held.
json_t *store_show(const host *host);

#endif
