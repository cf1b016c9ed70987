// A program that lets the library send, against the lab.
#define _POSIX_C_SOURCE 200809L
#include "http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static const char *path, *admin, *smd;

// What the callbacks of a transport are given.
typedef struct {
    _Atomic(svcauth_transport *) transport;
    const char *secret;
    atomic_int secrets, dropped;
    atomic_int token_requested, token_received, user_token_missing, refresh_failed;
} program;

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

// Waits until it is so; longer than a busy machine needs.
#define EVENTUALLY(condition)                        \
    for (int i = 0; !(condition); i++) {             \
        CHECK(i < 30000 && #condition);              \
        pause_shortly();                             \
    }

static void count(atomic_int *counter, const char *json, size_t len, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"event\":\"%s\"", name);
    if (has(json, len, quoted))
        atomic_fetch_add(counter, 1);
}

static void on_event(void *context, svcauth_event_level level, const char *json, size_t len)
{
    program *me = context;
    CHECK(level >= SVCAUTH_EVENT_LEVEL_INFO && level <= SVCAUTH_EVENT_LEVEL_ERROR);
    CHECK(!has(json, len, "planted-client-secret"));
    count(&me->token_requested, json, len, "token_requested");
    count(&me->user_token_missing, json, len, "user_token_missing");
    count(&me->refresh_failed, json, len, "refresh_failed");
    // A callback may call back.
    svcauth_transport *transport = atomic_load(&me->transport);
    if (transport != NULL) {
        svcauth_lease *lease;
        svcauth_text *health;
        svcauth_transport_counters counters;
        if (svcauth_transport_lease(transport, 0, 0, &lease, NULL) == SVCAUTH_RESULT_OK)
            OK(svcauth_lease_release(lease));
        if (svcauth_transport_health(transport, &health, NULL) == SVCAUTH_RESULT_OK)
            OK(svcauth_text_free(health));
        svcauth_transport_stats(transport, &counters, NULL);
    }
    count(&me->token_received, json, len, "token_received");
}

static void on_secret(void *context, const char *name, size_t len, svcauth_secret_request *request)
{
    program *me = context;
    static _Atomic(svcauth_secret_request *) earlier;
    CHECK(is_text(name, len, "bss"));
    // The request of an earlier call is over.
    svcauth_secret_request *before = atomic_exchange(&earlier, request);
    CHECK(before == NULL || svcauth_secret_request_fail(before, TEXT("late"), NULL) == SVCAUTH_RESULT_INVALID_HANDLE);
    if (me->secret == NULL)
        OK(svcauth_secret_request_fail(request, TEXT("the vault is sealed"), NULL));
    else if (me->secret[0] != 0)
        OK(svcauth_secret_request_answer(request, me->secret, strlen(me->secret), NULL));
    atomic_fetch_add(&me->secrets, 1);
}

static void on_drop(void *context)
{
    program *me = context;
    atomic_fetch_add(&me->dropped, 1);
}

static svcauth_transport *open_for(program *me)
{
    svcauth_callbacks callbacks = {.context = me, .event = on_event, .secret = on_secret, .drop = on_drop};
    svcauth_transport *transport = NULL;
    svcauth_error *error;
    memset(me, 0, sizeof *me);
    me->secret = "planted-client-secret";
    if (svcauth_transport_open(path, strlen(path), &callbacks, &transport, &error) != SVCAUTH_RESULT_OK) {
        const char *text;
        size_t len;
        OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
    CHECK(transport != NULL);
    atomic_store(&me->transport, transport);
    return transport;
}

static void close_for(program *me)
{
    svcauth_transport *transport = atomic_exchange(&me->transport, NULL);
    OK(svcauth_transport_free(transport));
    CHECK(svcauth_transport_close(transport, NULL) == SVCAUTH_RESULT_INVALID_HANDLE);
    EVENTUALLY(atomic_load(&me->dropped) == 1);
}

static svcauth_lease *lease_of(svcauth_transport *transport)
{
    svcauth_lease *lease = NULL;
    svcauth_error *error;
    if (svcauth_transport_lease(transport, 0, SVCAUTH_WAIT_AS_CONFIGURED, &lease, &error) != SVCAUTH_RESULT_OK) {
        const char *text;
        size_t len;
        OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
    CHECK(lease != NULL);
    return lease;
}

static void check_error(svcauth_error *error, const char *part)
{
    const char *text;
    size_t len;
    OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
    if (!has(text, len, part))
        fprintf(stderr, "the error says %.*s\n", (int)len, text);
    CHECK(has(text, len, part) && !has(text, len, "planted-client-secret"));
    OK(svcauth_error_free(error));
}

// Calls SMD with that Authorization.
static unsigned call_smd(const char *authorization, size_t len)
{
    char url[256], header[4096];
    snprintf(url, sizeof url, "%s/hsm/v2/State/Components/x0c0s0b0n0", smd);
    snprintf(header, sizeof header, "Authorization: %.*s\r\n", (int)len, authorization);
    http_answer answer = http_send(TEXT("GET"), url, strlen(url), header, strlen(header), NULL, 0);
    unsigned status = answer.status;
    http_free(&answer);
    return status;
}

static unsigned call_with(const svcauth_lease *lease)
{
    const char *authorization;
    size_t len;
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &authorization, &len));
    return call_smd(authorization, len);
}

static svcauth_decision *decide(svcauth_transport *transport, svcauth_decision_kind expected, const char *user)
{
    char url[256];
    svcauth_decision *decision;
    svcauth_decision_kind kind;
    snprintf(url, sizeof url, "%s/hsm/v2/State/Components/x0c0s0b0n0", smd);
    OK(svcauth_transport_decide(transport, url, strlen(url), user == NULL ? 0 : SVCAUTH_CALL_HAS_USER_TOKEN, user,
                                user == NULL ? 0 : strlen(user), NULL, 0, &decision, NULL));
    OK(svcauth_decision_get_kind(decision, &kind));
    CHECK(kind == expected);
    return decision;
}

static uint64_t token_requests(void)
{
    char number[64];
    http_answer answer = http_ask("GET", admin, "/lab/stats", NULL);
    json_member(number, sizeof number, answer.body, answer.body_len, "count");
    http_free(&answer);
    return strtoull(number, NULL, 10);
}

static void opening_says_what_is_wrong(void)
{
    program me = {0};
    svcauth_callbacks callbacks = {.context = &me, .event = on_event, .drop = on_drop};
    svcauth_transport *transport = NULL;
    svcauth_error *error;
    CHECK(svcauth_transport_open(TEXT("/nonexistent/svcauth.json"), NULL, &transport, &error) ==
          SVCAUTH_RESULT_INVALID_CONFIGURATION);
    check_error(error, "/nonexistent/svcauth.json");
    CHECK(svcauth_transport_new(TEXT("{\"targts\":{}}"), NULL, &transport, &error) ==
          SVCAUTH_RESULT_INVALID_CONFIGURATION);
    check_error(error, "did you mean targets?");
    // Its secret comes from a callback.
    CHECK(svcauth_transport_open(path, strlen(path), NULL, &transport, &error) == SVCAUTH_RESULT_UNSUPPORTED);
    check_error(error, "function for secrets");
    CHECK(svcauth_transport_open(path, strlen(path), &callbacks, &transport, &error) == SVCAUTH_RESULT_UNSUPPORTED);
    check_error(error, "function for secrets");
    CHECK(transport == NULL && atomic_load(&me.dropped) == 0);
}

static void calls_and_a_401(void)
{
    program me;
    svcauth_transport *transport = open_for(&me);
    svcauth_transport_counters counters;
    svcauth_lease *lease, *other;
    svcauth_lease_info info, after;
    svcauth_answered answered;
    svcauth_rejection rejection;
    svcauth_error *error;
    uint32_t target;

    OK(svcauth_transport_target(transport, TEXT("smd"), &target, NULL));
    CHECK(target == 0);
    CHECK(svcauth_transport_target(transport, TEXT("sm"), &target, NULL) == SVCAUTH_RESULT_UNKNOWN_TARGET);
    OK(svcauth_transport_stats(transport, &counters, NULL));
    CHECK(counters.threads == 0 && counters.client.requests == 0);

    // The first caller waits, the next ones do not.
    svcauth_decision *decision = decide(transport, SVCAUTH_DECISION_KIND_LEASE, NULL);
    OK(svcauth_transport_lease_for(transport, decision, SVCAUTH_WAIT_AS_CONFIGURED, &lease, NULL));
    CHECK(call_with(lease) == 200);
    OK(svcauth_lease_get_info(lease, &info));
    OK(svcauth_transport_lease(transport, 0, 0, &other, NULL));
    OK(svcauth_lease_get_info(other, &after));
    CHECK(after.id == info.id);
    OK(svcauth_lease_release(other));
    OK(svcauth_transport_ready(transport, 0, NULL));
    CHECK(atomic_load(&me.secrets) == 1);
    EVENTUALLY(atomic_load(&me.token_received) == 1);
    OK(svcauth_transport_stats(transport, &counters, NULL));
    CHECK(counters.client.token_requests == 1 && counters.client.tokens_received == 1 && counters.waited > 0);
    CHECK(counters.events_untold == 0);

    svcauth_text *made;
    const char *text;
    size_t len;
    OK(svcauth_transport_health(transport, &made, NULL));
    OK(svcauth_text_get(made, &text, &len));
    CHECK(has(text, len, "\"smd\":{") && has(text, len, "\"ready\":true") && has(text, len, "\"error\":null"));
    OK(svcauth_text_free(made));

    // All tokens die: the call is made once more with another one.
    lab_order("POST", admin, "/lab/smd", "{\"keys\":\"always\"}");
    lab_order("POST", admin, "/lab/keys/rotate", NULL);
    CHECK(call_with(lease) == 401);
    OK(svcauth_transport_answered(transport, decision, 200, NULL, 0, SVCAUTH_REPLAY_POSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_DELIVER);
    OK(svcauth_transport_answered(transport, decision, 401, NULL, 0, SVCAUTH_REPLAY_POSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_RETRY);
    OK(svcauth_transport_reject(transport, decision, info.id, SVCAUTH_REPLAY_POSSIBLE, SVCAUTH_WAIT_AS_CONFIGURED,
                                &rejection, &other, NULL));
    CHECK(rejection == SVCAUTH_REJECTION_RETRY && other != NULL);
    CHECK(call_with(other) == 200);
    OK(svcauth_lease_get_info(other, &after));
    CHECK(after.id != info.id);
    OK(svcauth_lease_release(other));
    OK(svcauth_lease_release(lease));

    // What cannot be sent again is told, and nobody waits.
    OK(svcauth_transport_reject(transport, decision, info.id, SVCAUTH_REPLAY_IMPOSSIBLE, SVCAUTH_WAIT_AS_CONFIGURED,
                                &rejection, &lease, NULL));
    CHECK(rejection == SVCAUTH_REJECTION_DELIVER && lease == NULL);
    OK(svcauth_decision_free(decision));

    // A user's own token goes along; where there must be one and is none, no call is made.
    char user[4096];
    http_answer answer = http_ask("POST", admin, "/lab/user-token", "{\"sub\":\"alice\",\"scopes\":[\"read\"]}");
    json_member(user, sizeof user, answer.body, answer.body_len, "access_token");
    http_free(&answer);
    decision = decide(transport, SVCAUTH_DECISION_KIND_USER_TOKEN, user);
    OK(svcauth_decision_get_text(decision, SVCAUTH_DECISION_TEXT_AUTHORIZATION, &text, &len));
    CHECK(call_smd(text, len) == 200);
    CHECK(svcauth_transport_lease_for(transport, decision, 0, &lease, NULL) == SVCAUTH_RESULT_WRONG_KIND);
    OK(svcauth_decision_free(decision));
    char url[256];
    snprintf(url, sizeof url, "%s/hsm/v2/State", smd);
    CHECK(svcauth_transport_decide(transport, url, strlen(url), SVCAUTH_CALL_USER_REQUIRED, NULL, 0, NULL, 0,
                                   &decision, &error) == SVCAUTH_RESULT_USER_TOKEN_MISSING);
    OK(svcauth_error_free(error));
    EVENTUALLY(atomic_load(&me.user_token_missing) == 1);

    // Nothing is carried elsewhere.
    OK(svcauth_transport_decide(transport, TEXT("https://evil.example/"), 0, NULL, 0, NULL, 0, &decision, NULL));
    svcauth_decision_kind kind;
    OK(svcauth_decision_get_kind(decision, &kind));
    CHECK(kind == SVCAUTH_DECISION_KIND_NOTHING);
    OK(svcauth_decision_free(decision));
    close_for(&me);
}

static void messages_are_sent(void)
{
    program me;
    svcauth_transport *transport = open_for(&me);
    svcauth_exchange *exchange;
    svcauth_text *json = NULL;
    svcauth_error *error;
    const char *text;
    size_t len;
    char parameters[512], issuer[256];
    http_answer answer = http_ask("GET", admin, "/lab/urls", NULL);
    json_member(issuer, sizeof issuer, answer.body, answer.body_len, "issuer");
    http_free(&answer);
    snprintf(parameters, sizeof parameters, "{\"issuer\":\"%s\"}", issuer);
    OK(svcauth_exchange_new(TEXT("metadata"), parameters, strlen(parameters), &exchange, NULL));
    OK(svcauth_transport_exchange(transport, exchange, &json, NULL));
    OK(svcauth_text_get(json, &text, &len));
    CHECK(has(text, len, "/oauth2/token\""));
    OK(svcauth_text_free(json));

    json = NULL;
    lab_order("POST", admin, "/lab/away", "{\"service\":\"issuer\"}");
    CHECK(svcauth_transport_exchange(transport, exchange, &json, &error) == SVCAUTH_RESULT_CONNECTION_FAILED);
    check_error(error, "cannot connect");
    lab_order("POST", admin, "/lab/back", "{\"service\":\"issuer\"}");
    OK(svcauth_transport_close(transport, NULL));
    CHECK(svcauth_transport_exchange(transport, exchange, &json, NULL) == SVCAUTH_RESULT_CLOSED && json == NULL);
    OK(svcauth_exchange_free(exchange));
    close_for(&me);
}

static void a_server_that_is_away_and_comes_back(void)
{
    program me;
    svcauth_transport *transport = open_for(&me);
    svcauth_lease *lease = NULL;
    svcauth_error *error;
    svcauth_error_info info;
    lab_order("POST", admin, "/lab/away", "{\"service\":\"issuer\"}");
    // Who asks meanwhile waits for the next attempt; who does not want to is told what the last one came to.
    CHECK(svcauth_transport_lease(transport, 0, 0, &lease, NULL) != SVCAUTH_RESULT_OK);
    EVENTUALLY(atomic_load(&me.refresh_failed) > 0);
    CHECK(svcauth_transport_lease(transport, 0, 0, &lease, &error) == SVCAUTH_RESULT_CONNECTION_FAILED);
    OK(svcauth_error_get_info(error, &info));
    CHECK(info.code == SVCAUTH_RESULT_CONNECTION_FAILED && lease == NULL);
    check_error(error, "cannot connect");
    CHECK(svcauth_transport_ready(transport, 0, NULL) == SVCAUTH_RESULT_CONNECTION_FAILED);
    lab_order("POST", admin, "/lab/back", "{\"service\":\"issuer\"}");
    EVENTUALLY(svcauth_transport_lease(transport, 0, SVCAUTH_WAIT_AS_CONFIGURED, &lease, NULL) == SVCAUTH_RESULT_OK);
    CHECK(call_with(lease) == 200);
    OK(svcauth_lease_release(lease));
    close_for(&me);
}

static void a_secret_that_cannot_be_had(void)
{
    program me;
    svcauth_transport *transport = open_for(&me);
    svcauth_lease *lease;
    svcauth_error *error;
    me.secret = NULL;
    CHECK(svcauth_transport_lease(transport, 0, SVCAUTH_WAIT_AS_CONFIGURED, &lease, &error) ==
          SVCAUTH_RESULT_SECRET_UNAVAILABLE);
    check_error(error, "the vault is sealed");
    close_for(&me);

    transport = open_for(&me);
    me.secret = "";
    CHECK(svcauth_transport_lease(transport, 0, SVCAUTH_WAIT_AS_CONFIGURED, &lease, &error) ==
          SVCAUTH_RESULT_SECRET_UNAVAILABLE);
    check_error(error, "it gave no answer");
    // The vault is opened.
    me.secret = "planted-client-secret";
    OK(svcauth_transport_secrets_changed(transport, NULL));
    lease = lease_of(transport);
    OK(svcauth_lease_release(lease));
    close_for(&me);
}

#define THREADS 32

static void *call_often(void *argument)
{
    svcauth_transport *transport = argument;
    for (int round = 0; round < 300; round++) {
        svcauth_lease *lease = lease_of(transport);
        const char *value;
        size_t len;
        OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_VALUE, &value, &len));
        CHECK(len > 0);
        svcauth_decision *decision = decide(transport, SVCAUTH_DECISION_KIND_LEASE, NULL);
        OK(svcauth_decision_free(decision));
        OK(svcauth_lease_release(lease));
    }
    return NULL;
}

static void many_threads_share_one_token(void)
{
    program me;
    pthread_t threads[THREADS];
    svcauth_transport *transport = open_for(&me);
    svcauth_transport_counters counters;
    lab_order("POST", admin, "/lab/reset", NULL);
    lab_order("POST", admin, "/lab/faults", "{\"endpoint\":\"token\",\"fault\":{\"action\":\"hold\"}}");
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, call_often, transport) == 0);
    do {
        pause_shortly();
        OK(svcauth_transport_stats(transport, &counters, NULL));
    } while (counters.waited <= THREADS);
    lab_order("DELETE", admin, "/lab/faults", NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(token_requests() == 1);
    OK(svcauth_transport_stats(transport, &counters, NULL));
    CHECK(counters.client.token_requests == 1);
    close_for(&me);
}

static void *wait_for_lease(void *argument)
{
    svcauth_lease *lease = NULL;
    svcauth_result result = svcauth_transport_lease(argument, 0, 600000, &lease, NULL);
    if (result != SVCAUTH_RESULT_CLOSED)
        fprintf(stderr, "who waited was answered %u\n", (unsigned)result);
    CHECK(result == SVCAUTH_RESULT_CLOSED && lease == NULL);
    return NULL;
}

static void closing_wakes_who_waits(int freed)
{
    program me;
    pthread_t threads[THREADS];
    svcauth_transport *transport = open_for(&me);
    svcauth_transport_counters counters;
    svcauth_lease *lease;
    lab_order("POST", admin, "/lab/faults", "{\"endpoint\":\"token\",\"fault\":{\"action\":\"hold\"}}");
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_lease, transport) == 0);
    do {
        pause_shortly();
        OK(svcauth_transport_stats(transport, &counters, NULL));
    } while (counters.waited <= THREADS);
    if (freed) {
        atomic_store(&me.transport, NULL);
        OK(svcauth_transport_free(transport));
    } else {
        OK(svcauth_transport_close(transport, NULL));
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    lab_order("DELETE", admin, "/lab/faults", NULL);
    if (freed) {
        EVENTUALLY(atomic_load(&me.dropped) == 1);
        return;
    }
    CHECK(svcauth_transport_lease(transport, 0, 0, &lease, NULL) == SVCAUTH_RESULT_CLOSED);
    OK(svcauth_transport_close(transport, NULL));
    // What comes of work that outlasts it is told to nobody.
    EVENTUALLY(svcauth_transport_stats(transport, &counters, NULL) == SVCAUTH_RESULT_OK && counters.threads == 0);
    CHECK(atomic_load(&me.token_received) == 0);
    close_for(&me);
}

int main(int arguments, char **values)
{
    CHECK(arguments == 4);
    path = values[1];
    admin = values[2];
    smd = values[3];
    opening_says_what_is_wrong();
    calls_and_a_401();
    messages_are_sent();
    a_server_that_is_away_and_comes_back();
    a_secret_that_cannot_be_had();
    many_threads_share_one_token();
    closing_wakes_who_waits(0);
    closing_wakes_who_waits(1);
    puts("transport: as told");
    return 0;
}
