// A program forks while its threads are inside the library, and children go on with its client.
#define _POSIX_C_SOURCE 200809L
#include "children.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define CHILDREN 200
#define URL "https://smd.example/hsm/v2/x"
#define DOCUMENT                                                                                              \
    "{ \"endpoints\": { \"token\": \"https://issuer.example/oauth2/token\" },"                                \
    "  \"client\": { \"credentials\": [ { \"client_id\": \"bss\", \"client_secret\": { \"value\": \"s\" } } ] }," \
    "  \"targets\": { \"boot\": { \"urls\": [\"https://boot.example\"], \"scopes\": [\"boot\"] },"            \
    "               \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"], \"scopes\": [\"read\"] } } }"

enum { BOOT, SMD };

static svcauth_client *client;
// A task for boot's token that the parent has not answered.
static uint64_t parents_task;
static atomic_int done;

#define NOW clock_ms(CLOCK_MONOTONIC), clock_ms(CLOCK_REALTIME)

// The client's next task of kind send, or 0; `adopted` counts the leases that it took over.
static uint64_t next_send(int *adopted)
{
    for (;;) {
        svcauth_output *output;
        svcauth_output_kind kind;
        svcauth_task_info task;
        uint64_t until;
        OK(svcauth_client_poll(client, NOW, &output, &until, NULL));
        if (output == NULL)
            return 0;
        OK(svcauth_output_get_kind(output, &kind));
        const char *json;
        size_t len;
        if (kind == SVCAUTH_OUTPUT_KIND_EVENT) {
            OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_EVENT, &json, &len));
            *adopted += has(json, len, "\"lease_adopted\"");
        }
        if (kind == SVCAUTH_OUTPUT_KIND_SEND)
            OK(svcauth_output_task(output, &task));
        OK(svcauth_output_free(output));
        if (kind == SVCAUTH_OUTPUT_KIND_SEND)
            return task.id;
    }
}

static void answer(uint64_t task, const char *body)
{
    OK(svcauth_client_complete_response(client, task, 200, TEXT("Content-Type: application/json\n"),
                                        (const uint8_t *)body, strlen(body), NOW, NULL));
}

static void *stay_inside(void *unused)
{
    while (!atomic_load(&done)) {
        svcauth_token_state state;
        svcauth_lease *lease;
        svcauth_decision *decision;
        svcauth_output *output;
        svcauth_stats stats;
        svcauth_text *health;
        uint64_t until;
        OK(svcauth_client_decide(client, TEXT(URL), 0, NULL, 0, NULL, 0, &decision, NULL));
        OK(svcauth_decision_free(decision));
        OK(svcauth_client_token(client, SMD, NOW, &state, &lease, NULL));
        CHECK(state == SVCAUTH_TOKEN_STATE_READY);
        OK(svcauth_lease_release(lease));
        OK(svcauth_client_stats(client, &stats, NULL));
        OK(svcauth_client_health(client, SMD, &health, NULL));
        OK(svcauth_text_free(health));
        OK(svcauth_client_poll(client, NOW, &output, &until, NULL));
        OK(svcauth_output_free(output));
    }
    return unused;
}

// Goes on with what the parent had.
static void be_a_child(void *unused, int number)
{
    svcauth_token_state state;
    svcauth_lease *lease;
    svcauth_stats stats;
    int adopted = 0;
    (void)unused;
    // One that only frees has nothing to wait for either.
    if (number % 10 == 0) {
        OK(svcauth_client_free(client));
        return;
    }
    // Calls without a time come first as well as last.
    if (number % 2 == 0)
        OK(svcauth_client_stats(client, &stats, NULL));
    // The access token is served on, and nothing else is known.
    OK(svcauth_client_token(client, SMD, NOW, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_READY);
    const char *value;
    size_t len;
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_VALUE, &value, &len));
    CHECK(is_text(value, len, "token-of-smd"));
    OK(svcauth_lease_release(lease));
    CHECK(next_send(&adopted) == 0 && adopted == 1);

    OK(svcauth_client_token(client, BOOT, NOW, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_PENDING);
    uint64_t task = next_send(&adopted);
    CHECK(task != 0 && task != parents_task);
    // What answers the parent's task answers none of the child's.
    answer(parents_task, "{\"access_token\":\"not-mine\",\"token_type\":\"bearer\",\"expires_in\":3600}");
    OK(svcauth_client_stats(client, &stats, NULL));
    CHECK(stats.outcomes_ignored == 1 && stats.tokens_received == 0);
    answer(task, "{\"access_token\":\"token-of-boot\",\"token_type\":\"bearer\",\"expires_in\":3600}");
    OK(svcauth_client_token(client, BOOT, NOW, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_READY);
    OK(svcauth_lease_release(lease));
    // A child's child has all of this.
    if (number % 50 == 1) {
        CHECK(next_send(&adopted) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(CHILD_LIVES_S);
            for (uint32_t target = BOOT; target <= SMD; target++) {
                OK(svcauth_client_token(client, target, NOW, &state, &lease, NULL));
                CHECK(state == SVCAUTH_TOKEN_STATE_READY);
                OK(svcauth_lease_release(lease));
            }
            _exit(0);
        }
        wait_for_child(child);
    }
    OK(svcauth_client_free(client));
}

int main(void)
{
    svcauth_token_state state;
    svcauth_lease *lease;
    int adopted = 0;
    OK(svcauth_client_new(TEXT(DOCUMENT), 0, 1, NOW, &client, NULL));
    OK(svcauth_client_token(client, SMD, NOW, &state, &lease, NULL));
    answer(next_send(&adopted), "{\"access_token\":\"token-of-smd\",\"token_type\":\"bearer\",\"expires_in\":36000}");
    CHECK(next_send(&adopted) == 0);
    OK(svcauth_client_token(client, BOOT, NOW, &state, &lease, NULL));
    parents_task = next_send(&adopted);
    CHECK(parents_task != 0 && adopted == 0);

    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, stay_inside, NULL) == 0);
    for (int i = 0; i < CHILDREN; i++)
        wait_for_child(fork_child(be_a_child, NULL, i));
    atomic_store(&done, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);

    // The parent has noticed nothing.
    svcauth_stats stats;
    OK(svcauth_client_stats(client, &stats, NULL));
    // On a slow machine, or under a sanitizer, the open task comes to its deadline and is asked again.
    CHECK(stats.token_requests == 2 || stats.tasks_overdue > 0);
    CHECK(stats.tokens_received == 1 && stats.outcomes_ignored == 0);
    OK(svcauth_client_free(client));
    puts("fork: as told");
    return 0;
}
