// Wrong arguments: each is answered with its code, and nothing is written.
#include "check.h"

#define URL "https://smd.example/hsm/v2/x"

static int failed;

static void row(const char *what, svcauth_result got, svcauth_result expected)
{
    if (got != expected) {
        fprintf(stderr, "%s: answered %u, expected %u\n", what, (unsigned)got, (unsigned)expected);
        failed = 1;
    }
}

#define IS_NULL(call) row(#call, (call), SVCAUTH_RESULT_NULL_POINTER)
#define IS_VALUE(call) row(#call, (call), SVCAUTH_RESULT_INVALID_VALUE)
#define IS_UTF8(call) row(#call, (call), SVCAUTH_RESULT_INVALID_UTF8)
#define IS_KIND(call) row(#call, (call), SVCAUTH_RESULT_WRONG_KIND)
#define IS(expected, call) row(#call, (call), SVCAUTH_RESULT_##expected)

#define UNTOUCHED ((void *)&failed)

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
    IS_NULL(svcauth_client_reject(NULL, d, 1, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, NULL, 1, 0, 0, &number, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, d, 1, 0, 0, NULL, &lease, NULL));
    IS_NULL(svcauth_client_reject(c, d, 1, 0, 0, &number, NULL, NULL));
    IS_KIND(svcauth_client_reject(c, nothing, 1, 0, 0, &number, &lease, NULL));
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
    IS_NULL(svcauth_client_poll(NULL, 0, 0, &out, &until, NULL));
    IS_NULL(svcauth_client_poll(c, 0, 0, NULL, &until, NULL));
    IS_NULL(svcauth_client_poll(c, 0, 0, &out, NULL, NULL));
    CHECK(out == UNTOUCHED && until == 77);

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
    for (uint32_t which = 1; which <= 8; which++)
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

    svcauth_output_free(task);
    svcauth_decision_free(d);
    svcauth_decision_free(nothing);
    svcauth_client_free(c);
    svcauth_client_free(NULL);
    svcauth_decision_free(NULL);
    svcauth_output_free(NULL);
    svcauth_error_free(NULL);
    svcauth_lease_release(NULL);
    if (!failed)
        puts("arguments: as told");
    return failed;
}
