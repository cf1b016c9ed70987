// A program and its children refresh with tokens that can be used once, from one store, against the lab.
#define _POSIX_C_SOURCE 200809L
#include "children.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 2
#define CHILDREN 24
// Children that do nothing, and have the parent's files open until the end.
#define IDLE 10

static svcauth_transport *transport;
static atomic_int done;
static int gate[2];

// Takes leases for some time, longer than one lives.
static void be_served(uint64_t ms)
{
    uint64_t end = clock_ms(CLOCK_MONOTONIC) + ms;
    while (!atomic_load(&done) && clock_ms(CLOCK_MONOTONIC) < end) {
        svcauth_lease *lease = NULL;
        svcauth_error *error;
        if (svcauth_transport_lease(transport, 0, 240000, &lease, &error) != SVCAUTH_RESULT_OK) {
            const char *text;
            size_t len;
            OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
            fprintf(stderr, "%.*s\n", (int)len, text);
        }
        CHECK(lease != NULL);
        OK(svcauth_lease_release(lease));
        pause_shortly();
    }
}

static void *be_served_in_the_parent(void *unused)
{
    be_served(UINT64_MAX / 2);
    return unused;
}

static void be_a_child(void *unused, int number)
{
    (void)unused, (void)number;
    be_served(3000);
    OK(svcauth_transport_free(transport));
}

static void wait_at_the_gate(void *unused, int number)
{
    char byte;
    (void)unused, (void)number;
    close(gate[1]);
    CHECK(read(gate[0], &byte, 1) == 0);
}

int main(int arguments, char **values)
{
    CHECK(arguments == 2);
    OK(svcauth_transport_open(values[1], strlen(values[1]), NULL, &transport, NULL));
    // The first children are forked while the first token is being got.
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, be_served_in_the_parent, NULL) == 0);
    pid_t children[CHILDREN], idle[CHILDREN][IDLE];
    CHECK(pipe(gate) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork_child(be_a_child, NULL, i);
        for (int j = 0; j < IDLE; j++) {
            pause_shortly();
            idle[i][j] = fork_child(wait_at_the_gate, NULL, j);
        }
        // At another moment of the parent's each time.
        nanosleep(&(struct timespec){.tv_nsec = 97000000 * (long)(i % 4) + 1000000 * (long)i}, NULL);
    }
    for (int i = 0; i < CHILDREN; i++)
        wait_for_child(children[i]);
    // Whatever the idle ones hold, it is no lock: another token comes, from the store.
    be_served(4000);
    close(gate[1]);
    for (int i = 0; i < CHILDREN; i++)
        for (int j = 0; j < IDLE; j++)
            wait_for_child(idle[i][j]);
    atomic_store(&done, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    OK(svcauth_transport_free(transport));
    puts("fork with a store: as told");
    return 0;
}
