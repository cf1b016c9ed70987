// Threads use the same handles at the same time, while they are freed.
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define ROUNDS 3000
#define URL "https://smd.example/hsm/v2/x"

static _Atomic(svcauth_client *) shared;
static atomic_int freed;

static svcauth_client *new_client(uint64_t seed)
{
    svcauth_client *client;
    OK(svcauth_client_new(TEXT(CONFIG), 1, seed, 0, 0, &client, NULL));
    return client;
}

// What a function may answer about a handle that another thread frees.
static int alive(svcauth_result result)
{
    CHECK(result == SVCAUTH_RESULT_OK || result == SVCAUTH_RESULT_INVALID_HANDLE);
    return result == SVCAUTH_RESULT_OK;
}

static void *run(void *argument)
{
    unsigned seed = *(const unsigned *)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        svcauth_client *client = atomic_load(&shared);
        svcauth_decision *decision;
        svcauth_decision_kind kind;
        svcauth_lease *lease;
        svcauth_output *output;
        svcauth_token_state state;
        uint64_t until;
        if (alive(svcauth_client_decide(client, TEXT(URL), 0, NULL, 0, NULL, 0, &decision, NULL))) {
            OK(svcauth_decision_get_kind(decision, &kind));
            CHECK(kind == SVCAUTH_DECISION_KIND_LEASE);
            OK(svcauth_decision_free(decision));
        }
        if (alive(svcauth_client_token(client, 0, 0, 0, &state, &lease, NULL)))
            CHECK(state == SVCAUTH_TOKEN_STATE_PENDING && lease == NULL);
        if (alive(svcauth_client_poll(client, 0, 0, &output, &until, NULL)))
            OK(svcauth_output_free(output));
        if (round % 8 == 0) {
            svcauth_client *old = atomic_exchange(&shared, new_client(seed * ROUNDS + round));
            if (alive(svcauth_client_free(old)))
                atomic_fetch_add(&freed, 1);
        }
        if (round % 32 == 0 && alive(svcauth_client_free(client)))
            atomic_fetch_add(&freed, 1);
    }
    return NULL;
}

int main(void)
{
    static unsigned seeds[THREADS];
    pthread_t threads[THREADS];
    atomic_store(&shared, new_client(0));
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        CHECK(pthread_create(&threads[i], NULL, run, &seeds[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    if (alive(svcauth_client_free(atomic_load(&shared))))
        atomic_fetch_add(&freed, 1);
    // Each client was freed by exactly one.
    CHECK(atomic_load(&freed) == 1 + THREADS * ROUNDS / 8);
    puts("threads: as told");
    return 0;
}
