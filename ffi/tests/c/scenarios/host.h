// A host in virtual time: it does what a step says, answers what no step is about, and notes what came out.
#ifndef HOST_H
#define HOST_H

#include "svcauth.h"

#include <jansson.h>

#define MONO_START 1000000
// 2027-01-15T08:00:00Z
#define WALL_START 1800000000000
#define MOST_TARGETS 16
#define MOST_OPEN 256

typedef struct {
    uint64_t id, deadline_ms;
} open_task;

typedef struct {
    json_t *records, *versions, *locks, *fences;
    char *fails;
    uint64_t last_version, last_fence;
} host_store;

typedef struct {
    const json_t *scenario;
    svcauth_client *client;
    // By their number.
    const char *targets[MOST_TARGETS];
    uint32_t target_count;
    // The clock as it runs without steps, what the wall clock and the client's monotonic one show more, and
    // until when there is nothing to do.
    uint64_t mono_ms;
    int64_t wall_step, mono_step;
    uint64_t idle_until;
    json_t *secrets;
    host_store store;
    uint8_t random;
    // Tasks that steps answer, in the order they came, and the ids that they have by name.
    open_task open[MOST_OPEN];
    size_t open_count;
    json_t *names;
    json_t *handed_out;
    // Texts by the id under which events speak of them; those that must be told nowhere.
    json_t *known, *planted;
    // The leases that were announced, and the records made of them, by token.
    json_t *announced, *records;
    uint64_t ignored;
    json_t *tasks, *leases, *events;
    // What is not as it should be: texts.
    json_t *differences;
} host;

// Makes the client. Where that is refused, the error as its JSON; NULL otherwise.
json_t *host_start(host *host, const json_t *scenario);

// Does one step; what came out of it.
json_t *host_step(host *host, json_t *step);

// Gives the tasks of a step the names that it says.
void host_name_tasks(host *host, const json_t *step);

// Gives back all that the host has.
void host_end(host *host);

// Notes a difference.
void host_differs(host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t host_mono(const host *host);
uint64_t host_wall(const host *host);

#endif
