// A program forks while its threads are inside a transport, and children go on with it, against the lab.
#define _POSIX_C_SOURCE 200809L
#include "children.h"
#include "http.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 6
#define CHILDREN 200
// Each of these has its token refused and gets another one.
#define REFUSED(number) ((number) % 20 == 7)

static const char *smd;
static svcauth_transport *transport;
static atomic_int done, events, dropped;

static void on_event(void *context, svcauth_event_level level, const char *json, size_t len)
{
    (void)context, (void)level;
    CHECK(len > 0 && json[0] == '{');
    atomic_fetch_add(&events, 1);
}

static void on_secret(void *context, const char *name, size_t len, svcauth_secret_request *request)
{
    (void)context;
    CHECK(is_text(name, len, "bss"));
    OK(svcauth_secret_request_answer(request, TEXT("planted-client-secret"), NULL));
}

static void on_drop(void *context)
{
    (void)context;
    atomic_fetch_add(&dropped, 1);
}

static unsigned call_with(const svcauth_lease *lease)
{
    char url[256], header[4096];
    const char *authorization;
    size_t len;
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &authorization, &len));
    snprintf(url, sizeof url, "%s/hsm/v2/State/Components/x0c0s0b0n0", smd);
    snprintf(header, sizeof header, "Authorization: %.*s\r\n", (int)len, authorization);
    http_answer answer = http_send(TEXT("GET"), url, strlen(url), header, strlen(header), NULL, 0);
    unsigned status = answer.status;
    http_free(&answer);
    return status;
}

static svcauth_decision *decide(void)
{
    char url[256];
    svcauth_decision *decision;
    snprintf(url, sizeof url, "%s/hsm/v2/State/Components/x0c0s0b0n0", smd);
    OK(svcauth_transport_decide(transport, url, strlen(url), 0, NULL, 0, NULL, 0, &decision, NULL));
    return decision;
}

static svcauth_lease *lease_of(const svcauth_decision *decision)
{
    svcauth_lease *lease = NULL;
    svcauth_error *error;
    if (svcauth_transport_lease_for(transport, decision, 240000, &lease, &error) != SVCAUTH_RESULT_OK) {
        const char *text;
        size_t len;
        OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
    CHECK(lease != NULL);
    return lease;
}

// Every thread is inside one of the locks most of the time.
static void *stay_inside(void *argument)
{
    int mine = *(const int *)argument;
    while (!atomic_load(&done)) {
        svcauth_text *health;
        svcauth_transport_counters counters;
        svcauth_rejection rejection;
        svcauth_lease *none;
        svcauth_decision *decision = decide();
        OK(svcauth_lease_release(lease_of(decision)));
        OK(svcauth_transport_health(transport, &health, NULL));
        OK(svcauth_text_free(health));
        OK(svcauth_transport_stats(transport, &counters, NULL));
        OK(svcauth_transport_secrets_changed(transport, NULL));
        // One that it has not, so this asks the client and is answered at once.
        OK(svcauth_transport_reject(transport, decision, 1, SVCAUTH_REPLAY_IMPOSSIBLE, 0, &rejection, &none, NULL));
        OK(svcauth_decision_free(decision));
        if (mine == 0)
            pause_shortly();
    }
    return NULL;
}

static void be_a_child(void *unused, int number)
{
    svcauth_lease_info info;
    svcauth_rejection rejection;
    svcauth_transport_counters counters;
    int told = atomic_load(&events);
    (void)unused;
    // One that only frees or closes has nothing to wait for either.
    if (number % 10 == 0) {
        svcauth_lease *lease;
        OK(svcauth_transport_close(transport, NULL));
        CHECK(svcauth_transport_lease(transport, 0, 0, &lease, NULL) == SVCAUTH_RESULT_CLOSED);
        OK(svcauth_transport_free(transport));
        return;
    }
    svcauth_decision *decision = decide();
    svcauth_lease *lease = lease_of(decision), *other;
    CHECK(call_with(lease) == 200);
    OK(svcauth_transport_stats(transport, &counters, NULL));
    CHECK(counters.client.token_requests == 0);
    if (REFUSED(number)) {
        OK(svcauth_lease_get_info(lease, &info));
        OK(svcauth_transport_reject(transport, decision, info.id, SVCAUTH_REPLAY_POSSIBLE, 240000, &rejection, &other,
                                    NULL));
        CHECK(rejection == SVCAUTH_REJECTION_RETRY);
        CHECK(call_with(other) == 200);
        OK(svcauth_lease_release(other));
        // It is told of on the child's own thread.
        EVENTUALLY(atomic_load(&events) > told);
    }
    OK(svcauth_lease_release(lease));
    OK(svcauth_decision_free(decision));
    OK(svcauth_transport_free(transport));
}

int main(int arguments, char **values)
{
    CHECK(arguments == 4);
    const char *path = values[1], *admin = values[2];
    smd = values[3];
    svcauth_callbacks callbacks = {.event = on_event, .secret = on_secret, .drop = on_drop};
    OK(svcauth_transport_open(path, strlen(path), &callbacks, &transport, NULL));
    svcauth_decision *decision = decide();
    svcauth_lease *lease = lease_of(decision);
    CHECK(call_with(lease) == 200);

    static int numbers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, stay_inside, &numbers[i]) == 0);
    }
    unsigned refused = 0;
    for (int i = 0; i < CHILDREN; i++) {
        wait_for_child(fork_child(be_a_child, NULL, i));
        refused += REFUSED(i);
    }
    atomic_store(&done, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);

    // One token for all, and another one for each that was refused it.
    char count[64];
    http_answer answer = http_ask("GET", admin, "/lab/stats", NULL);
    json_member(count, sizeof count, answer.body, answer.body_len, "count");
    http_free(&answer);
    if (strtoul(count, NULL, 10) != 1 + refused)
        fprintf(stderr, "%s token requests\n", count);
    CHECK(strtoul(count, NULL, 10) == 1 + refused);
    CHECK(call_with(lease) == 200);
    OK(svcauth_lease_release(lease));
    OK(svcauth_decision_free(decision));
    OK(svcauth_transport_free(transport));
    EVENTUALLY(atomic_load(&dropped) == 1);
    puts("fork of a transport: as told");
    return 0;
}
