// Wrong arguments: each is answered with its code, and nothing is written.
#include "rows.h"

#define URL "https://smd.example/hsm/v2/x"

#define METADATA "{\"issuer\":\"https://issuer.example\"}"

// A token for the first target, whatever the client still has to do for it.
static svcauth_lease *a_lease(svcauth_client *c)
{
    static const char answer[] = "{\"access_token\":\"one\",\"token_type\":\"bearer\",\"expires_in\":3600}";
    svcauth_lease *lease;
    svcauth_token_state state;
    svcauth_output *output;
    svcauth_output_kind kind;
    svcauth_task_info task;
    uint64_t until;
    // The task that reads the secret was handed out already, as the first one.
    OK(svcauth_client_complete_bytes(c, 1, (const uint8_t *)"s", 1, 0, 0, NULL));
    for (;;) {
        OK(svcauth_client_poll(c, 0, 0, &output, &until, NULL));
        if (output == NULL)
            break;
        OK(svcauth_output_get_kind(output, &kind));
        if (kind == SVCAUTH_OUTPUT_KIND_SEND) {
            OK(svcauth_output_task(output, &task));
            OK(svcauth_client_complete_response(c, task.id, 200, TEXT("Content-Type: application/json\n"),
                                                (const uint8_t *)answer, sizeof answer - 1, 0, 0, NULL));
        }
        OK(svcauth_output_free(output));
    }
    OK(svcauth_client_token(c, 0, 0, 0, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_READY);
    return lease;
}

// Every function that takes a handle is given one that stands for nothing of its kind.
static void no_client(const void *handle, const svcauth_decision *d)
{
    const svcauth_client *c = handle;
    uint32_t number = 77;
    uint64_t until = 77;
    svcauth_decision *decision = UNTOUCHED;
    svcauth_lease *lease = UNTOUCHED;
    svcauth_output *output = UNTOUCHED;
    svcauth_text *made = UNTOUCHED;
    svcauth_stats stats;
    IS_HANDLE(svcauth_client_target(c, TEXT("smd"), &number, NULL));
    IS_HANDLE(svcauth_client_token(c, 0, 0, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_client_token_for(c, d, 0, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_client_decide(c, TEXT(URL), 0, NULL, 0, NULL, 0, &decision, NULL));
    IS_HANDLE(svcauth_client_answered(c, d, 401, NULL, 0, 1, &number, NULL));
    IS_HANDLE(svcauth_client_reject(c, d, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_client_secrets_changed(c, 0, 0, NULL));
    IS_HANDLE(svcauth_client_poll(c, 0, 0, &output, &until, NULL));
    IS_HANDLE(svcauth_client_poll_all(c, 0, 0, &made, &until, NULL));
    IS_HANDLE(svcauth_client_hear(c, SVCAUTH_EVENT_LEVEL_WARN, NULL));
    IS_HANDLE(svcauth_client_stats(c, &stats, NULL));
    IS_HANDLE(svcauth_client_register(c, 0, 0, &number, NULL));
    IS_HANDLE(svcauth_client_registration(c, &made, NULL));
    IS_HANDLE(svcauth_client_settings(c, &made, NULL));
    IS_HANDLE(svcauth_client_health(c, 0, &made, NULL));
    IS_HANDLE(svcauth_client_complete_response(c, 1, 200, NULL, 0, NULL, 0, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_send_failed(c, 1, 1, NULL, 0, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_bytes(c, 1, NULL, 0, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_record(c, 1, NULL, 0, 1, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_store(c, 1, 1, 0, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_failed(c, 1, NULL, 0, 0, 0, NULL));
    IS_HANDLE(svcauth_client_complete_unsupported(c, 1, 0, 0, NULL));
    IS_HANDLE(svcauth_client_adopt(c, 0, NULL, 0, SVCAUTH_RECORD_CLOCK_SAME, 0, 0, &number, NULL));
    IS_HANDLE(svcauth_client_free((void *)c));
    CHECK(number == 77 && until == 77);
    CHECK(decision == UNTOUCHED && lease == UNTOUCHED && output == UNTOUCHED && made == UNTOUCHED);
}

static void no_decision(const void *handle, svcauth_client *c)
{
    const svcauth_decision *d = handle;
    uint32_t number = 77;
    svcauth_text *made = UNTOUCHED;
    svcauth_lease *lease = UNTOUCHED;
    const char *text = UNTOUCHED;
    size_t len = 77;
    IS_HANDLE(svcauth_client_token_for(c, d, 0, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_client_answered(c, d, 401, NULL, 0, 1, &number, NULL));
    IS_HANDLE(svcauth_client_reject(c, d, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_decision_get_kind(d, &number));
    IS_HANDLE(svcauth_decision_target(d, &number));
    IS_HANDLE(svcauth_decision_get_text(d, 1, &text, &len));
    IS_HANDLE(svcauth_decision_call_event(d, NULL, TEXT("GET"), TEXT(URL), 0, 1, &made, NULL));
    IS_HANDLE(svcauth_decision_free((void *)d));
    CHECK(number == 77 && lease == UNTOUCHED && text == UNTOUCHED && len == 77);
}

static void no_error(const void *handle)
{
    const svcauth_error *e = handle;
    const char *text = UNTOUCHED;
    size_t len = 77;
    svcauth_error_info info;
    IS_HANDLE(svcauth_error_get_text(e, 1, &text, &len));
    IS_HANDLE(svcauth_error_get_info(e, &info));
    IS_HANDLE(svcauth_error_free((void *)e));
    CHECK(text == UNTOUCHED && len == 77);
}

static void no_text(const void *handle)
{
    const svcauth_text *made = handle;
    const char *text = UNTOUCHED;
    size_t len = 77;
    IS_HANDLE(svcauth_text_get(made, &text, &len));
    IS_HANDLE(svcauth_text_free((void *)made));
    CHECK(text == UNTOUCHED && len == 77);
}

static void no_lease(const void *handle, const svcauth_decision *d)
{
    const svcauth_lease *lease = handle;
    const char *text = UNTOUCHED;
    size_t len = 77;
    svcauth_lease_info info;
    IS_HANDLE(svcauth_lease_get_text(lease, 1, &text, &len));
    IS_HANDLE(svcauth_lease_get_info(lease, &info));
    IS_HANDLE(svcauth_lease_scope(lease, 0, &text, &len));
    IS_HANDLE(svcauth_lease_retain(lease));
    svcauth_text *made = UNTOUCHED;
    IS_HANDLE(svcauth_decision_call_event(d, lease, TEXT("GET"), TEXT(URL), 0, 1, &made, NULL));
    IS_HANDLE(svcauth_lease_record(lease, 0, 0, &made, NULL));
    CHECK(made == UNTOUCHED);
    IS_HANDLE(svcauth_lease_release(lease));
    CHECK(text == UNTOUCHED && len == 77);
}

static void no_output(const void *handle)
{
    const svcauth_output *o = handle;
    uint32_t number = 77;
    uint64_t bytes = 77;
    const char *text = UNTOUCHED, *other = UNTOUCHED;
    size_t len = 77, other_len = 77;
    svcauth_lease *lease = UNTOUCHED;
    svcauth_error *error = UNTOUCHED;
    svcauth_task_info task;
    svcauth_send_info send;
    svcauth_store_info store;
    svcauth_lease_change_info change;
    IS_HANDLE(svcauth_output_get_kind(o, &number));
    IS_HANDLE(svcauth_output_get_text(o, 1, &text, &len));
    IS_HANDLE(svcauth_output_task(o, &task));
    IS_HANDLE(svcauth_output_send(o, &send));
    IS_HANDLE(svcauth_output_header(o, 0, &text, &len, &other, &other_len));
    IS_HANDLE(svcauth_output_secret_kind(o, &number));
    IS_HANDLE(svcauth_output_random(o, &bytes));
    IS_HANDLE(svcauth_output_store(o, &store));
    IS_HANDLE(svcauth_output_lease_change(o, &change));
    IS_HANDLE(svcauth_output_lease(o, &lease));
    IS_HANDLE(svcauth_output_error(o, &error));
    IS_HANDLE(svcauth_output_event_level(o, &number));
    IS_HANDLE(svcauth_output_free((void *)o));
    CHECK(number == 77 && bytes == 77 && text == UNTOUCHED && len == 77);
    CHECK(lease == UNTOUCHED && error == UNTOUCHED);
}

static void no_exchange(const void *handle)
{
    const svcauth_exchange *exchange = handle;
    const char *text = UNTOUCHED;
    size_t len = 77;
    svcauth_text *made = UNTOUCHED;
    IS_HANDLE(svcauth_exchange_get_text(exchange, 1, &text, &len));
    IS_HANDLE(svcauth_exchange_parse(exchange, 200, NULL, 0, NULL, 0, &made, NULL));
    IS_HANDLE(svcauth_exchange_free((void *)exchange));
    CHECK(text == UNTOUCHED && len == 77 && made == UNTOUCHED);
}

static void handles_that_are_none(svcauth_client *c, svcauth_decision *d, svcauth_lease *lease,
                                  svcauth_output *output)
{
    svcauth_client *freed_client;
    svcauth_decision *freed_decision;
    svcauth_lease *freed_lease;
    svcauth_output *freed_output;
    svcauth_error *error, *freed_error;
    svcauth_text *text, *freed_text;
    svcauth_exchange *exchange, *freed_exchange;
    uint64_t until;
    uint32_t number;

    OK(svcauth_client_new(TEXT(CONFIG), 1, 0, 0, 0, &freed_client, NULL));
    OK(svcauth_client_token(freed_client, 0, 0, 0, &number, &freed_lease, NULL));
    OK(svcauth_client_poll(freed_client, 0, 0, &freed_output, &until, NULL));
    CHECK(freed_output != NULL);
    OK(svcauth_client_decide(freed_client, TEXT(URL), 0, NULL, 0, NULL, 0, &freed_decision, NULL));
    IS_VALUE(svcauth_client_token(freed_client, 9, 0, 0, &number, &lease, &freed_error));
    IS_VALUE(svcauth_client_token(freed_client, 9, 0, 0, &number, &lease, &error));
    OK(svcauth_client_token(c, 0, 0, 0, &number, &freed_lease, NULL));
    OK(svcauth_lease_retain(freed_lease));
    OK(svcauth_client_settings(c, &text, NULL));
    OK(svcauth_client_settings(c, &freed_text, NULL));
    OK(svcauth_text_free(freed_text));
    OK(svcauth_exchange_new(TEXT("metadata"), TEXT(METADATA), &exchange, NULL));
    OK(svcauth_exchange_new(TEXT("metadata"), TEXT(METADATA), &freed_exchange, NULL));
    OK(svcauth_exchange_free(freed_exchange));
    OK(svcauth_client_free(freed_client));
    OK(svcauth_decision_free(freed_decision));
    OK(svcauth_output_free(freed_output));
    OK(svcauth_error_free(freed_error));
    OK(svcauth_lease_release(freed_lease));
    OK(svcauth_lease_release(freed_lease));

    const void *none[] = {
        freed_client, freed_decision, freed_lease, freed_output, freed_error, freed_text,
        freed_exchange, "on the heap of no one", &until, (void *)1, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX / 2), (char *)c + 1,
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        no_client(none[i], d);
        no_decision(none[i], c);
        no_error(none[i]);
        no_lease(none[i], d);
        no_text(none[i]);
        no_output(none[i]);
        no_exchange(none[i]);
    }
    const void *kinds[] = {c, d, lease, output, error, text, exchange};
    for (int i = 0; i < 7; i++) {
        if (i != 0)
            no_client(kinds[i], d);
        if (i != 1)
            no_decision(kinds[i], c);
        if (i != 2)
            no_lease(kinds[i], d);
        if (i != 5)
            no_text(kinds[i]);
        if (i != 3)
            no_output(kinds[i]);
        if (i != 4)
            no_error(kinds[i]);
        if (i != 6)
            no_exchange(kinds[i]);
    }
    OK(svcauth_exchange_free(exchange));
    OK(svcauth_text_free(text));
    OK(svcauth_error_free(error));
}

int main(void)
{
    static const char bad[] = {(char)0xff, (char)0xfe};
    static const uint8_t byte[1] = {0};
    const char *text = UNTOUCHED;
    const char *other = UNTOUCHED;
    size_t len = 77, other_len = 77;
    uint32_t number = 77;
    uint64_t until = 77;
    svcauth_client *c = UNTOUCHED, *made = UNTOUCHED;
    svcauth_decision *d = UNTOUCHED, *nothing = UNTOUCHED;
    svcauth_lease *lease = UNTOUCHED;
    svcauth_output *out = UNTOUCHED, *task;
    svcauth_error *error = UNTOUCHED, *e;
    svcauth_text *made_text = UNTOUCHED;
    svcauth_exchange *exchange = UNTOUCHED;
    svcauth_error_info error_info;
    svcauth_lease_info lease_info;
    svcauth_task_info task_info;
    svcauth_send_info send_info;
    svcauth_store_info store_info;
    svcauth_lease_change_info change_info;
    svcauth_stats stats;

    IS_NULL(svcauth_version(NULL, &len));
    IS_NULL(svcauth_version(&text, NULL));

    IS_NULL(svcauth_config_check(NULL, 5, NULL));
    IS(INVALID_CONFIGURATION, svcauth_config_check(NULL, 0, NULL));
    IS(INVALID_CONFIGURATION, svcauth_config_check(bad, 2, NULL));
    IS_VALUE(svcauth_config_check("{}", SIZE_MAX, NULL));

    IS_NULL(svcauth_client_new(TEXT(CONFIG), 1, 0, 0, 0, NULL, NULL));
    IS_NULL(svcauth_client_new(NULL, 5, 1, 0, 0, 0, &made, NULL));
    IS_VALUE(svcauth_client_new(TEXT(CONFIG), 32, 0, 0, 0, &made, NULL));
    IS_VALUE(svcauth_client_new(TEXT(CONFIG), 1, 0, 0, 0, (void *)((char *)&made + 1), NULL));
    IS(UNSUPPORTED, svcauth_client_new(TEXT(CONFIG), 0, 0, 0, 0, &made, NULL));
    CHECK(made == UNTOUCHED);
    OK(svcauth_client_new(TEXT(CONFIG), 1, 0, 0, 0, &c, NULL));

    IS_NULL(svcauth_client_target(NULL, TEXT("smd"), &number, NULL));
    IS_NULL(svcauth_client_target(c, NULL, 3, &number, NULL));
    IS_NULL(svcauth_client_target(c, TEXT("smd"), NULL, NULL));
    IS_UTF8(svcauth_client_target(c, bad, 2, &number, NULL));
    IS(UNKNOWN_TARGET, svcauth_client_target(c, NULL, 0, &number, NULL));
    IS(UNKNOWN_TARGET, svcauth_client_target(c, TEXT("sm"), &number, NULL));
    CHECK(number == 77);
    OK(svcauth_client_target(c, TEXT("smd"), &number, NULL));
    CHECK(number == 0);

    IS_NULL(svcauth_client_token(NULL, 0, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_token(c, 0, 0, 0, NULL, &lease, NULL));
    IS_NULL(svcauth_client_token(c, 0, 0, 0, &number, NULL, NULL));
    IS_VALUE(svcauth_client_token(c, 1, 0, 0, &number, &lease, NULL));
    IS_VALUE(svcauth_client_token(c, UINT32_MAX, 0, 0, &number, &lease, NULL));
    CHECK(lease == UNTOUCHED);

    IS_NULL(svcauth_client_decide(NULL, TEXT(URL), 0, NULL, 0, NULL, 0, &d, NULL));
    IS_NULL(svcauth_client_decide(c, NULL, 3, 0, NULL, 0, NULL, 0, &d, NULL));
    IS_NULL(svcauth_client_decide(c, TEXT(URL), 0, NULL, 0, NULL, 0, NULL, NULL));
    IS_NULL(svcauth_client_decide(c, TEXT(URL), 2, NULL, 3, NULL, 0, &d, NULL));
    IS_NULL(svcauth_client_decide(c, TEXT(URL), 8, NULL, 0, NULL, 3, &d, NULL));
    IS_UTF8(svcauth_client_decide(c, bad, 2, 0, NULL, 0, NULL, 0, &d, NULL));
    IS_UTF8(svcauth_client_decide(c, TEXT(URL), 2, bad, 2, NULL, 0, &d, NULL));
    IS_VALUE(svcauth_client_decide(c, TEXT(URL), 16, NULL, 0, NULL, 0, &d, NULL));
    IS(USER_TOKEN_MISSING, svcauth_client_decide(c, TEXT(URL), 4, NULL, 0, NULL, 0, &d, NULL));
    // An empty user's token is no reason to send the service's.
    IS(INVALID_ARGUMENT, svcauth_client_decide(c, TEXT(URL), 2, NULL, 0, NULL, 0, &d, NULL));
    CHECK(d == UNTOUCHED);
    OK(svcauth_client_decide(c, TEXT(URL), 0, NULL, 0, NULL, 0, &d, NULL));
    OK(svcauth_client_decide(c, NULL, 0, 0, NULL, 0, NULL, 0, &nothing, NULL));

    IS_NULL(svcauth_client_token_for(NULL, d, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_token_for(c, NULL, 0, 0, &number, &lease, NULL));
    IS_KIND(svcauth_client_token_for(c, nothing, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_reject(NULL, d, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, NULL, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, d, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, NULL, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, d, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, NULL, NULL));
    IS_KIND(svcauth_client_reject(c, nothing, 1, SVCAUTH_REPLAY_POSSIBLE, 0, 0, &number, &lease, NULL));
    IS_VALUE(svcauth_client_reject(c, d, 1, 0, 0, 0, &number, &lease, NULL));
    IS_VALUE(svcauth_client_reject(c, d, 1, 3, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_answered(NULL, d, 401, NULL, 0, 1, &number, NULL));
    IS_NULL(svcauth_client_answered(c, NULL, 401, NULL, 0, 1, &number, NULL));
    IS_NULL(svcauth_client_answered(c, d, 401, NULL, 3, 1, &number, NULL));
    IS_NULL(svcauth_client_answered(c, d, 401, NULL, 0, 1, NULL, NULL));
    IS_VALUE(svcauth_client_answered(c, d, 99, NULL, 0, 1, &number, NULL));
    IS_VALUE(svcauth_client_answered(c, d, 65936, NULL, 0, 1, &number, NULL));
    IS_VALUE(svcauth_client_answered(c, d, 401, NULL, 0, 0, &number, NULL));
    IS_VALUE(svcauth_client_answered(c, d, 401, NULL, 0, 3, &number, NULL));

    IS_NULL(svcauth_decision_get_kind(NULL, &number));
    IS_NULL(svcauth_decision_get_kind(d, NULL));
    IS_NULL(svcauth_decision_target(NULL, &number));
    IS_NULL(svcauth_decision_target(d, NULL));
    IS_KIND(svcauth_decision_target(nothing, &number));
    IS_NULL(svcauth_decision_get_text(NULL, 1, &text, &len));
    IS_NULL(svcauth_decision_get_text(d, 1, NULL, &len));
    IS_NULL(svcauth_decision_get_text(d, 1, &text, NULL));
    IS_VALUE(svcauth_decision_get_text(d, 0, &text, &len));
    IS_VALUE(svcauth_decision_get_text(d, UINT32_MAX, &text, &len));

    IS_NULL(svcauth_client_secrets_changed(NULL, 0, 0, NULL));
    IS_NULL(svcauth_client_stats(NULL, &stats, NULL));
    IS_NULL(svcauth_client_stats(c, NULL, NULL));
    IS_NULL(svcauth_client_register(NULL, 0, 0, &number, NULL));
    IS_NULL(svcauth_client_register(c, 0, 0, NULL, NULL));
    IS_NULL(svcauth_client_registration(NULL, &made_text, NULL));
    IS_NULL(svcauth_client_registration(c, NULL, NULL));
    IS_NULL(svcauth_client_settings(NULL, &made_text, NULL));
    IS_NULL(svcauth_client_settings(c, NULL, NULL));
    IS_NULL(svcauth_client_health(NULL, 0, &made_text, NULL));
    IS_NULL(svcauth_client_health(c, 0, NULL, NULL));
    IS_VALUE(svcauth_client_health(c, 1, &made_text, NULL));
    IS_NULL(svcauth_decision_call_event(NULL, NULL, TEXT("GET"), TEXT(URL), 0, 1, &made_text, NULL));
    IS_NULL(svcauth_decision_call_event(d, NULL, NULL, 3, TEXT(URL), 0, 1, &made_text, NULL));
    IS_NULL(svcauth_decision_call_event(d, NULL, TEXT("GET"), NULL, 3, 0, 1, &made_text, NULL));
    IS_NULL(svcauth_decision_call_event(d, NULL, TEXT("GET"), TEXT(URL), 0, 1, NULL, NULL));
    IS_UTF8(svcauth_decision_call_event(d, NULL, bad, 2, TEXT(URL), 0, 1, &made_text, NULL));
    IS_UTF8(svcauth_decision_call_event(d, NULL, TEXT("GET"), bad, 2, 0, 1, &made_text, NULL));
    IS_VALUE(svcauth_decision_call_event(d, NULL, TEXT("GET"), TEXT(URL), 99, 1, &made_text, NULL));
    IS_VALUE(svcauth_decision_call_event(d, NULL, TEXT("GET"), TEXT(URL), 0, 0, &made_text, NULL));
    IS_VALUE(svcauth_decision_call_event(d, NULL, TEXT("GET"), TEXT(URL), 0, 3, &made_text, NULL));
    IS_NULL(svcauth_text_get(NULL, &text, &len));
    CHECK(made_text == UNTOUCHED);
    OK(svcauth_client_registration(c, &made_text, NULL));
    CHECK(made_text == NULL);
    OK(svcauth_client_settings(c, &made_text, NULL));
    IS_NULL(svcauth_text_get(made_text, NULL, &len));
    IS_NULL(svcauth_text_get(made_text, &text, NULL));
    OK(svcauth_text_free(made_text));
    OK(svcauth_text_free(NULL));
    IS_NULL(svcauth_client_poll(NULL, 0, 0, &out, &until, NULL));
    IS_NULL(svcauth_client_poll(c, 0, 0, NULL, &until, NULL));
    IS_NULL(svcauth_client_poll(c, 0, 0, &out, NULL, NULL));
    made_text = UNTOUCHED;
    IS_NULL(svcauth_client_poll_all(NULL, 0, 0, &made_text, &until, NULL));
    IS_NULL(svcauth_client_poll_all(c, 0, 0, NULL, &until, NULL));
    IS_NULL(svcauth_client_poll_all(c, 0, 0, &made_text, NULL, NULL));
    CHECK(out == UNTOUCHED && until == 77 && made_text == UNTOUCHED);
    IS_NULL(svcauth_client_hear(NULL, SVCAUTH_EVENT_LEVEL_WARN, NULL));
    IS_VALUE(svcauth_client_hear(c, 0, NULL));
    IS_VALUE(svcauth_client_hear(c, 4, NULL));
    IS_NULL(svcauth_token_subject(NULL, 3, &made_text, NULL));
    IS_NULL(svcauth_token_subject(TEXT("a"), NULL, NULL));
    IS_UTF8(svcauth_token_subject(bad, 2, &made_text, NULL));
    CHECK(made_text == UNTOUCHED);
    OK(svcauth_token_subject(TEXT("a.b"), &made_text, NULL));
    CHECK(made_text == NULL);
    OK(svcauth_token_subject(NULL, 0, &made_text, NULL));
    CHECK(made_text == NULL);

    IS_NULL(svcauth_client_complete_response(NULL, 1, 200, NULL, 0, NULL, 0, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_response(c, 1, 200, NULL, 3, NULL, 0, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_response(c, 1, 200, NULL, 0, NULL, 3, 0, 0, NULL));
    IS_VALUE(svcauth_client_complete_response(c, 1, 0, NULL, 0, NULL, 0, 0, 0, NULL));
    IS_VALUE(svcauth_client_complete_response(c, 1, 200, NULL, 0, byte, SIZE_MAX, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_send_failed(NULL, 1, 1, NULL, 0, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_send_failed(c, 1, 1, NULL, 3, 0, 0, NULL));
    IS_VALUE(svcauth_client_complete_send_failed(c, 1, 0, NULL, 0, 0, 0, NULL));
    IS_VALUE(svcauth_client_complete_send_failed(c, 1, 77, NULL, 0, 0, 0, NULL));
    IS_UTF8(svcauth_client_complete_send_failed(c, 1, 1, bad, 2, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_bytes(NULL, 1, byte, 1, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_bytes(c, 1, NULL, 1, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_record(NULL, 1, byte, 1, 1, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_record(c, 1, NULL, 1, 1, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_store(NULL, 1, 1, 0, 0, 0, NULL));
    IS_VALUE(svcauth_client_complete_store(c, 1, 6, 0, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_failed(NULL, 1, NULL, 0, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_failed(c, 1, NULL, 3, 0, 0, NULL));
    IS_UTF8(svcauth_client_complete_failed(c, 1, bad, 2, 0, 0, NULL));
    IS_NULL(svcauth_client_complete_unsupported(NULL, 1, 0, 0, NULL));
    // An answer to no task is ignored, not an error of the caller.
    OK(svcauth_client_complete_bytes(c, 4711, NULL, 0, 0, 0, NULL));

    IS_NULL(svcauth_error_get_text(NULL, 1, &text, &len));
    IS_NULL(svcauth_error_get_info(NULL, &error_info));
    IS_VALUE(svcauth_client_token(c, 1, 0, 0, &number, &lease, &error));
    e = error;
    CHECK(e != UNTOUCHED);
    IS_NULL(svcauth_error_get_text(e, 1, NULL, &len));
    IS_NULL(svcauth_error_get_text(e, 1, &text, NULL));
    IS_VALUE(svcauth_error_get_text(e, 0, &text, &len));
    IS_VALUE(svcauth_error_get_text(e, 8, &text, &len));
    IS_NULL(svcauth_error_get_info(e, NULL));
    OK(svcauth_error_get_text(e, SVCAUTH_ERROR_TEXT_MEMBER, &text, &len));
    CHECK(is_text(text, len, "target"));
    svcauth_error_free(e);

    IS_NULL(svcauth_lease_get_text(NULL, 1, &text, &len));
    IS_NULL(svcauth_lease_get_info(NULL, &lease_info));
    IS_NULL(svcauth_lease_scope(NULL, 0, &text, &len));
    IS_NULL(svcauth_lease_retain(NULL));

    IS_NULL(svcauth_output_get_kind(NULL, &number));
    IS_NULL(svcauth_output_get_text(NULL, 1, &text, &len));
    IS_NULL(svcauth_output_task(NULL, &task_info));
    IS_NULL(svcauth_output_send(NULL, &send_info));
    IS_NULL(svcauth_output_header(NULL, 0, &text, &len, &other, &other_len));
    IS_NULL(svcauth_output_secret_kind(NULL, &number));
    IS_NULL(svcauth_output_random(NULL, &until));
    IS_NULL(svcauth_output_store(NULL, &store_info));
    IS_NULL(svcauth_output_lease_change(NULL, &change_info));
    IS_NULL(svcauth_output_lease(NULL, &lease));
    IS_NULL(svcauth_output_error(NULL, &error));
    IS_NULL(svcauth_output_event_level(NULL, &number));

    // A task that reads a secret has nothing of the other kinds.
    OK(svcauth_client_token(c, 0, 0, 0, &number, &lease, NULL));
    for (;;) {
        OK(svcauth_client_poll(c, 0, 0, &task, &until, NULL));
        CHECK(task != NULL);
        OK(svcauth_output_get_kind(task, &number));
        if (number == SVCAUTH_OUTPUT_KIND_READ_SECRET)
            break;
        svcauth_output_free(task);
    }
    IS_NULL(svcauth_output_get_kind(task, NULL));
    IS_NULL(svcauth_output_task(task, NULL));
    IS_NULL(svcauth_output_secret_kind(task, NULL));
    IS_NULL(svcauth_output_get_text(task, 4, NULL, &len));
    IS_VALUE(svcauth_output_get_text(task, 0, &text, &len));
    IS_VALUE(svcauth_output_get_text(task, 99, &text, &len));
    for (uint32_t which = 1; which <= 9; which++)
        row("text of a task that reads a secret", svcauth_output_get_text(task, which, &text, &len),
            which == SVCAUTH_OUTPUT_TEXT_SECRET ? SVCAUTH_RESULT_OK : SVCAUTH_RESULT_WRONG_KIND);
    IS_KIND(svcauth_output_send(task, &send_info));
    IS_KIND(svcauth_output_header(task, 0, &text, &len, &other, &other_len));
    IS_KIND(svcauth_output_random(task, &until));
    IS_KIND(svcauth_output_store(task, &store_info));
    IS_KIND(svcauth_output_lease_change(task, &change_info));
    IS_KIND(svcauth_output_lease(task, &lease));
    IS_KIND(svcauth_output_error(task, &error));
    IS_KIND(svcauth_output_event_level(task, &number));

    // The texts of an error say which argument it was.
    IS(INVALID_HANDLE, svcauth_client_stats((void *)task, &stats, &error));
    OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_MEMBER, &text, &len));
    CHECK(is_text(text, len, "client"));
    OK(svcauth_error_free(error));

    IS_NULL(svcauth_exchange_new(NULL, 3, TEXT(METADATA), &exchange, NULL));
    IS_NULL(svcauth_exchange_new(TEXT("metadata"), NULL, 3, &exchange, NULL));
    IS_NULL(svcauth_exchange_new(TEXT("metadata"), TEXT(METADATA), NULL, NULL));
    IS_UTF8(svcauth_exchange_new(bad, 2, TEXT(METADATA), &exchange, NULL));
    IS_VALUE(svcauth_exchange_new(TEXT("metadata"), METADATA, SIZE_MAX, &exchange, NULL));
    IS(INVALID_ARGUMENT, svcauth_exchange_new(NULL, 0, TEXT(METADATA), &exchange, NULL));
    IS(INVALID_ARGUMENT, svcauth_exchange_new(TEXT("metadata"), NULL, 0, &exchange, NULL));
    IS(INVALID_ARGUMENT, svcauth_exchange_new(TEXT("metadata"), bad, 2, &exchange, NULL));
    CHECK(exchange == UNTOUCHED);
    OK(svcauth_exchange_new(TEXT("metadata"), TEXT(METADATA), &exchange, NULL));
    IS_NULL(svcauth_exchange_get_text(NULL, 1, &text, &len));
    IS_NULL(svcauth_exchange_get_text(exchange, 1, NULL, &len));
    IS_NULL(svcauth_exchange_get_text(exchange, 1, &text, NULL));
    IS_VALUE(svcauth_exchange_get_text(exchange, 0, &text, &len));
    IS_VALUE(svcauth_exchange_get_text(exchange, 5, &text, &len));
    made_text = UNTOUCHED;
    IS_NULL(svcauth_exchange_parse(NULL, 200, NULL, 0, NULL, 0, &made_text, NULL));
    IS_NULL(svcauth_exchange_parse(exchange, 200, NULL, 3, NULL, 0, &made_text, NULL));
    IS_NULL(svcauth_exchange_parse(exchange, 200, NULL, 0, NULL, 3, &made_text, NULL));
    IS_NULL(svcauth_exchange_parse(exchange, 200, NULL, 0, NULL, 0, NULL, NULL));
    IS_VALUE(svcauth_exchange_parse(exchange, 99, NULL, 0, NULL, 0, &made_text, NULL));
    IS_VALUE(svcauth_exchange_parse(exchange, 200, NULL, 0, byte, SIZE_MAX, &made_text, NULL));
    IS(MALFORMED_ANSWER, svcauth_exchange_parse(exchange, 200, NULL, 0, byte, 1, &made_text, NULL));
    CHECK(made_text == UNTOUCHED);
    OK(svcauth_exchange_free(exchange));
    OK(svcauth_exchange_free(NULL));

    lease = a_lease(c);
    IS_NULL(svcauth_lease_record(NULL, 0, 0, &made_text, NULL));
    IS_NULL(svcauth_lease_record(lease, 0, 0, NULL, NULL));
    OK(svcauth_lease_record(lease, 0, 0, &made_text, NULL));
    OK(svcauth_text_get(made_text, &text, &len));
    number = 77;
    IS_NULL(svcauth_client_adopt(NULL, 0, text, len, 1, 0, 0, &number, NULL));
    IS_NULL(svcauth_client_adopt(c, 0, NULL, 3, 1, 0, 0, &number, NULL));
    IS_NULL(svcauth_client_adopt(c, 0, text, len, 1, 0, 0, NULL, NULL));
    IS_VALUE(svcauth_client_adopt(c, 0, text, len, 0, 0, 0, &number, NULL));
    IS_VALUE(svcauth_client_adopt(c, 0, text, len, 3, 0, 0, &number, NULL));
    IS_VALUE(svcauth_client_adopt(c, 1, text, len, 1, 0, 0, &number, NULL));
    IS_VALUE(svcauth_client_adopt(c, 0, text, SIZE_MAX, 1, 0, 0, &number, NULL));
    IS(STORE_CORRUPT, svcauth_client_adopt(c, 0, NULL, 0, 1, 0, 0, &number, NULL));
    IS(STORE_CORRUPT, svcauth_client_adopt(c, 0, bad, 2, 1, 0, 0, &number, NULL));
    CHECK(number == 77);
    OK(svcauth_text_free(made_text));
    handles_that_are_none(c, d, lease, task);

    OK(svcauth_output_free(task));
    OK(svcauth_decision_free(d));
    OK(svcauth_decision_free(nothing));
    OK(svcauth_lease_release(lease));
    OK(svcauth_client_free(c));
    OK(svcauth_client_free(NULL));
    OK(svcauth_decision_free(NULL));
    OK(svcauth_output_free(NULL));
    OK(svcauth_error_free(NULL));
    OK(svcauth_lease_release(NULL));
    if (!failed)
        puts("arguments: as told");
    return failed;
}
