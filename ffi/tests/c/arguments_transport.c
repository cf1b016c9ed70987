// Wrong arguments of the functions of svcauth_transport: each is answered with its code, and nothing is written.
#include "rows.h"

#define URL "https://smd.example/hsm/v2/x"
#define DOCUMENT                                                                                              \
    "{ \"endpoints\": { \"token\": \"https://issuer.example/oauth2/token\" },"                                \
    "  \"client\": { \"credentials\": [ { \"client_id\": \"bss\", \"client_secret\": { \"value\": \"s\" } } ] }," \
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"] } } }"

// Every function that takes a transport is given one that is none.
static void no_transport(const void *handle, const svcauth_decision *d, const svcauth_exchange *exchange)
{
    const svcauth_transport *t = handle;
    uint32_t number = 77;
    svcauth_decision *decision = UNTOUCHED;
    svcauth_lease *lease = UNTOUCHED;
    svcauth_text *text = UNTOUCHED;
    svcauth_transport_counters counters;
    IS_HANDLE(svcauth_transport_close(t, NULL));
    IS_HANDLE(svcauth_transport_target(t, TEXT("smd"), &number, NULL));
    IS_HANDLE(svcauth_transport_lease(t, 0, 0, &lease, NULL));
    IS_HANDLE(svcauth_transport_decide(t, TEXT(URL), 0, NULL, 0, NULL, 0, &decision, NULL));
    IS_HANDLE(svcauth_transport_lease_for(t, d, 0, &lease, NULL));
    IS_HANDLE(svcauth_transport_answered(t, d, 401, NULL, 0, 1, &number, NULL));
    IS_HANDLE(svcauth_transport_reject(t, d, 1, 1, 0, &number, &lease, NULL));
    IS_HANDLE(svcauth_transport_ready(t, 0, NULL));
    IS_HANDLE(svcauth_transport_health(t, &text, NULL));
    IS_HANDLE(svcauth_transport_settings(t, &text, NULL));
    IS_HANDLE(svcauth_transport_stats(t, &counters, NULL));
    IS_HANDLE(svcauth_transport_secrets_changed(t, NULL));
    IS_HANDLE(svcauth_transport_exchange(t, exchange, &text, NULL));
    IS_HANDLE(svcauth_transport_free((void *)t));
    CHECK(number == 77 && decision == UNTOUCHED && lease == UNTOUCHED && text == UNTOUCHED);
}

int main(void)
{
    static const char bad[] = {(char)0xff, (char)0xfe};
    static const svcauth_callbacks none;
    uint32_t number = 77;
    svcauth_transport *t = UNTOUCHED, *freed;
    svcauth_decision *d = UNTOUCHED, *nothing;
    svcauth_lease *lease = UNTOUCHED;
    svcauth_text *text = UNTOUCHED;
    svcauth_exchange *exchange;
    svcauth_client *client;
    svcauth_error *error;
    svcauth_transport_counters counters;

    IS_NULL(svcauth_transport_open(NULL, 3, NULL, &t, NULL));
    IS_NULL(svcauth_transport_open(TEXT("/x"), NULL, NULL, NULL));
    IS_UTF8(svcauth_transport_open(bad, 2, NULL, &t, NULL));
    IS_VALUE(svcauth_transport_open("/x", SIZE_MAX, NULL, &t, NULL));
    IS_VALUE(svcauth_transport_open(TEXT("/x"), (const void *)((const char *)&none + 1), &t, NULL));
    IS(INVALID_CONFIGURATION, svcauth_transport_open(NULL, 0, &none, &t, NULL));
    IS_NULL(svcauth_transport_new(NULL, 3, NULL, &t, NULL));
    IS_NULL(svcauth_transport_new(TEXT(DOCUMENT), NULL, NULL, NULL));
    IS_VALUE(svcauth_transport_new("{}", SIZE_MAX, NULL, &t, NULL));
    IS_VALUE(svcauth_transport_new(TEXT(DOCUMENT), (const void *)((const char *)&none + 1), &t, NULL));
    IS(INVALID_CONFIGURATION, svcauth_transport_new(NULL, 0, NULL, &t, NULL));
    IS(INVALID_CONFIGURATION, svcauth_transport_new(bad, 2, NULL, &t, NULL));
    CHECK(t == UNTOUCHED);
    OK(svcauth_transport_new(TEXT(DOCUMENT), &none, &t, NULL));

    IS_NULL(svcauth_transport_close(NULL, NULL));
    IS_NULL(svcauth_transport_target(NULL, TEXT("smd"), &number, NULL));
    IS_NULL(svcauth_transport_target(t, NULL, 3, &number, NULL));
    IS_NULL(svcauth_transport_target(t, TEXT("smd"), NULL, NULL));
    IS_UTF8(svcauth_transport_target(t, bad, 2, &number, NULL));
    IS(UNKNOWN_TARGET, svcauth_transport_target(t, NULL, 0, &number, NULL));
    IS_NULL(svcauth_transport_lease(NULL, 0, 0, &lease, NULL));
    IS_NULL(svcauth_transport_lease(t, 0, 0, NULL, NULL));
    IS_VALUE(svcauth_transport_lease(t, 1, 0, &lease, NULL));
    IS_VALUE(svcauth_transport_lease(t, UINT32_MAX, SVCAUTH_WAIT_AS_CONFIGURED, &lease, NULL));

    IS_NULL(svcauth_transport_decide(NULL, TEXT(URL), 0, NULL, 0, NULL, 0, &d, NULL));
    IS_NULL(svcauth_transport_decide(t, NULL, 3, 0, NULL, 0, NULL, 0, &d, NULL));
    IS_NULL(svcauth_transport_decide(t, TEXT(URL), 0, NULL, 0, NULL, 0, NULL, NULL));
    IS_NULL(svcauth_transport_decide(t, TEXT(URL), 2, NULL, 3, NULL, 0, &d, NULL));
    IS_NULL(svcauth_transport_decide(t, TEXT(URL), 8, NULL, 0, NULL, 3, &d, NULL));
    IS_UTF8(svcauth_transport_decide(t, bad, 2, 0, NULL, 0, NULL, 0, &d, NULL));
    IS_UTF8(svcauth_transport_decide(t, TEXT(URL), 2, bad, 2, NULL, 0, &d, NULL));
    IS_VALUE(svcauth_transport_decide(t, TEXT(URL), 16, NULL, 0, NULL, 0, &d, NULL));
    IS(USER_TOKEN_MISSING, svcauth_transport_decide(t, TEXT(URL), 4, NULL, 0, NULL, 0, &d, NULL));
    IS(INVALID_ARGUMENT, svcauth_transport_decide(t, TEXT(URL), 2, NULL, 0, NULL, 0, &d, NULL));
    CHECK(number == 77 && d == UNTOUCHED && lease == UNTOUCHED);
    OK(svcauth_transport_decide(t, TEXT(URL), 0, NULL, 0, NULL, 0, &d, NULL));
    OK(svcauth_transport_decide(t, NULL, 0, 0, NULL, 0, NULL, 0, &nothing, NULL));

    IS_NULL(svcauth_transport_lease_for(NULL, d, 0, &lease, NULL));
    IS_NULL(svcauth_transport_lease_for(t, NULL, 0, &lease, NULL));
    IS_NULL(svcauth_transport_lease_for(t, d, 0, NULL, NULL));
    IS_KIND(svcauth_transport_lease_for(t, nothing, 0, &lease, NULL));
    IS_NULL(svcauth_transport_answered(NULL, d, 401, NULL, 0, 1, &number, NULL));
    IS_NULL(svcauth_transport_answered(t, NULL, 401, NULL, 0, 1, &number, NULL));
    IS_NULL(svcauth_transport_answered(t, d, 401, NULL, 3, 1, &number, NULL));
    IS_NULL(svcauth_transport_answered(t, d, 401, NULL, 0, 1, NULL, NULL));
    IS_VALUE(svcauth_transport_answered(t, d, 99, NULL, 0, 1, &number, NULL));
    IS_VALUE(svcauth_transport_answered(t, d, 401, NULL, 0, 3, &number, NULL));
    IS_NULL(svcauth_transport_reject(NULL, d, 1, 1, 0, &number, &lease, NULL));
    IS_NULL(svcauth_transport_reject(t, NULL, 1, 1, 0, &number, &lease, NULL));
    IS_NULL(svcauth_transport_reject(t, d, 1, 1, 0, NULL, &lease, NULL));
    IS_NULL(svcauth_transport_reject(t, d, 1, 1, 0, &number, NULL, NULL));
    IS_VALUE(svcauth_transport_reject(t, d, 1, 0, 0, &number, &lease, NULL));
    IS_KIND(svcauth_transport_reject(t, nothing, 1, 1, 0, &number, &lease, NULL));

    OK(svcauth_exchange_new(TEXT("metadata"), TEXT("{\"issuer\":\"https://issuer.example\"}"), &exchange, NULL));
    IS_NULL(svcauth_transport_ready(NULL, 0, NULL));
    IS_NULL(svcauth_transport_health(NULL, &text, NULL));
    IS_NULL(svcauth_transport_health(t, NULL, NULL));
    IS_NULL(svcauth_transport_settings(NULL, &text, NULL));
    IS_NULL(svcauth_transport_settings(t, NULL, NULL));
    IS_NULL(svcauth_transport_stats(NULL, &counters, NULL));
    IS_NULL(svcauth_transport_stats(t, NULL, NULL));
    IS_NULL(svcauth_transport_secrets_changed(NULL, NULL));
    IS_NULL(svcauth_transport_exchange(NULL, exchange, &text, NULL));
    IS_NULL(svcauth_transport_exchange(t, NULL, &text, NULL));
    IS_NULL(svcauth_transport_exchange(t, exchange, NULL, NULL));
    IS_HANDLE(svcauth_transport_exchange(t, (void *)t, &text, NULL));
    IS_HANDLE(svcauth_transport_lease_for(t, (void *)t, 0, &lease, NULL));

    IS_NULL(svcauth_secret_request_answer(NULL, TEXT("s"), NULL));
    IS_NULL(svcauth_secret_request_fail(NULL, TEXT("s"), NULL));
    IS_HANDLE(svcauth_secret_request_answer((void *)t, TEXT("s"), NULL));
    IS_HANDLE(svcauth_secret_request_fail((void *)d, TEXT("s"), NULL));
    CHECK(number == 77 && lease == UNTOUCHED && text == UNTOUCHED);

    OK(svcauth_client_new(TEXT(DOCUMENT), 0, 0, 0, 0, &client, NULL));
    IS_VALUE(svcauth_transport_lease(t, 9, 0, &lease, &error));
    OK(svcauth_transport_new(TEXT(DOCUMENT), NULL, &freed, NULL));
    OK(svcauth_transport_free(freed));
    const void *others[] = {freed, client, d, error, exchange, &none, (void *)1, (void *)UINTPTR_MAX, (char *)t + 1};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        no_transport(others[i], d, exchange);

    OK(svcauth_error_free(error));
    OK(svcauth_client_free(client));
    OK(svcauth_exchange_free(exchange));
    OK(svcauth_decision_free(nothing));
    OK(svcauth_decision_free(d));
    OK(svcauth_transport_free(t));
    OK(svcauth_transport_free(NULL));
    if (!failed)
        puts("arguments of transports: as told");
    return failed;
}
