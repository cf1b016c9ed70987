// Clients, messages and all that comes from them, made, used and freed again and again, while about every third
// thing goes wrong: rounds COUNT [SEED]. Run under a sanitizer or valgrind it shows that nothing is lost; by itself
// that the memory in use does not grow.
#include "check.h"

#include <malloc.h>

#ifdef __SANITIZE_ADDRESS__
// The sanitizer's own; gcc brings no header for it.
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define WALL 1700000000000u

static uint64_t state;

// The next number below `limit` (Steele et al., SplitMix64).
static uint32_t below(uint32_t limit)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

#define ONE_OF(table) ((table)[below(sizeof(table) / sizeof *(table))])

static const char *const configurations[] = {
    CONFIG,
    "{ \"endpoints\": { \"token\": \"https://issuer.example/oauth2/token\" },"
    "  \"client\": { \"credentials\": [ { \"client_id\": \"a\", \"client_secret\": { \"env\": \"A\" } },"
    "                                   { \"client_id\": \"b\", \"client_secret\": { \"callback\": \"b\" } } ] },"
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"], \"user_token\": \"exchange\" },"
    "                 \"other\": { \"urls\": [\"https://other.example\"] } } }",
    "{ \"issuer\": \"https://issuer.example\","
    "  \"client\": { \"registration\": { \"metadata\": { \"client_name\": \"bss\" } } },"
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"] } } }",
    "{ \"client\": { \"static_token\": { \"file\": \"/run/token\" } },"
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"] } } }",
};

static const char *const wrong_configurations[] = {
    "", "{", "[]", "{\"targets\":{}}", "{\"issuer\":\"http://issuer.example\",\"targets\":{\"smd\":{\"urls\":[\"x\"]}}}",
    "{\"issuer\":\"https://issuer.example\",\"targts\":{}}",
};

static const struct {
    uint32_t status;
    const char *headers, *body;
} answers[] = {
    {200, "Content-Type: application/json\r\n", "{\"access_token\":\"one\",\"token_type\":\"bearer\",\"expires_in\":3600}"},
    {200, "Content-Type: application/json\r\n", "{\"access_token\":\"two\",\"token_type\":\"bearer\",\"expires_in\":2}"},
    {200, "", "{\"access_token\":\"three\",\"token_type\":\"bearer\",\"expires_in\":0}"},
    {200, "", "{\"access_token\":\"four\",\"token_type\":\"mac\"}"},
    {200, "Content-Type: text/html\r\n", "<p>not a token"},
    {200, "", "{\"issuer\":\"https://issuer.example\",\"token_endpoint\":\"https://issuer.example/t\","
              "\"registration_endpoint\":\"https://issuer.example/r\"}"},
    {201, "", "{\"client_id\":\"bss\",\"client_secret\":\"hush\",\"client_secret_expires_at\":0}"},
    {204, "", ""},
    {302, "Location: https://elsewhere.example/\r\n", ""},
    {400, "", "{\"error\":\"invalid_grant\",\"error_description\":\"gone\"}"},
    {401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "{\"error\":\"invalid_client\"}"},
    {429, "Retry-After: 3\r\n", ""},
    {503, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", "away"},
};

static void read_error(svcauth_error *error)
{
    svcauth_error_info info;
    const char *text;
    size_t len;
    OK(svcauth_error_get_info(error, &info));
    for (uint32_t which = SVCAUTH_ERROR_TEXT_DISPLAY; which <= SVCAUTH_ERROR_TEXT_CHALLENGE; which++) {
        OK(svcauth_error_get_text(error, which, &text, &len));
        CHECK(!has(text, len, "hush"));
    }
    OK(svcauth_error_free(error));
    CHECK(svcauth_error_free(error) == SVCAUTH_RESULT_INVALID_HANDLE);
}

// What a call left: its error, read and freed. Whether it worked.
static int worked(svcauth_result result, svcauth_error **left)
{
    svcauth_error *error = *left;
    *left = NULL;
    CHECK(result != SVCAUTH_RESULT_PANIC);
    CHECK((result == SVCAUTH_RESULT_OK) == (error == NULL));
    if (error != NULL)
        read_error(error);
    return result == SVCAUTH_RESULT_OK;
}

static void use_text(svcauth_text *made)
{
    const char *text;
    size_t len;
    OK(svcauth_text_get(made, &text, &len));
    CHECK(len > 0);
    OK(svcauth_text_free(made));
    CHECK(svcauth_text_get(made, &text, &len) == SVCAUTH_RESULT_INVALID_HANDLE);
}

static void use_lease(const svcauth_client *client, svcauth_lease *lease, uint64_t now)
{
    svcauth_lease_info info;
    svcauth_error *error = NULL;
    svcauth_text *record = NULL;
    const char *text;
    size_t len;
    OK(svcauth_lease_get_info(lease, &info));
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &text, &len));
    CHECK(has(text, len, "Bearer "));
    if (below(2) == 0) {
        OK(svcauth_lease_retain(lease));
        OK(svcauth_lease_release(lease));
    }
    if (below(4) == 0 && worked(svcauth_lease_record(lease, now, WALL + now, &record, &error), &error)) {
        svcauth_adoption what;
        OK(svcauth_text_get(record, &text, &len));
        // Half a record is none.
        worked(svcauth_client_adopt(client, 0, text, below(2) == 0 ? len : len / 2, SVCAUTH_RECORD_CLOCK_SAME, now,
                                    WALL + now, &what, &error),
               &error);
        use_text(record);
    }
    OK(svcauth_lease_release(lease));
}

static void answer(const svcauth_client *client, const svcauth_output *output, svcauth_output_kind kind, uint64_t now)
{
    static const char *const secrets[] = {"hush\n", "", "\xff\xfe", "a much longer secret, so that memory is taken for it"};
    svcauth_task_info task;
    svcauth_error *error = NULL;
    svcauth_result result;
    size_t at = below(sizeof answers / sizeof *answers);
    const char *secret = ONE_OF(secrets);
    uint8_t bytes[64] = {0};
    OK(svcauth_output_task(output, &task));
    switch (below(8)) {
    case 0:
        return; // Never answered.
    case 1:
        result = svcauth_client_complete_failed(client, task.id, TEXT("no such file"), now, WALL + now, &error);
        break;
    case 2:
        result = svcauth_client_complete_unsupported(client, task.id, now, WALL + now, &error);
        break;
    case 3:
        result = svcauth_client_complete_send_failed(client, task.id, 1 + below(6), TEXT("away"), now, WALL + now, &error);
        break;
    default:
        if (kind == SVCAUTH_OUTPUT_KIND_SEND)
            result = svcauth_client_complete_response(client, task.id, answers[at].status, answers[at].headers,
                                                      strlen(answers[at].headers), (const uint8_t *)answers[at].body,
                                                      strlen(answers[at].body), now, WALL + now, &error);
        else if (kind == SVCAUTH_OUTPUT_KIND_RANDOM)
            result = svcauth_client_complete_bytes(client, task.id, bytes, below(sizeof bytes), now, WALL + now, &error);
        else if (kind == SVCAUTH_OUTPUT_KIND_STORE && below(2) == 0)
            result = svcauth_client_complete_record(client, task.id, NULL, 0, 0, now, WALL + now, &error);
        else if (kind == SVCAUTH_OUTPUT_KIND_STORE)
            result = svcauth_client_complete_store(client, task.id, 1 + below(6), below(4), now, WALL + now, &error);
        else
            result = svcauth_client_complete_bytes(client, task.id, (const uint8_t *)secret, strlen(secret), now,
                                                   WALL + now, &error);
    }
    worked(result, &error);
}

static void take(const svcauth_client *client, svcauth_output *output, uint64_t now)
{
    svcauth_output_kind kind;
    svcauth_lease_change_info change;
    svcauth_lease *lease;
    svcauth_error *error;
    const char *text;
    size_t len;
    OK(svcauth_output_get_kind(output, &kind));
    if (kind == SVCAUTH_OUTPUT_KIND_LEASE) {
        OK(svcauth_output_lease_change(output, &change));
        if (svcauth_output_lease(output, &lease) == SVCAUTH_RESULT_OK)
            use_lease(client, lease, now);
        if (svcauth_output_error(output, &error) == SVCAUTH_RESULT_OK)
            read_error(error);
    } else if (kind == SVCAUTH_OUTPUT_KIND_EVENT) {
        OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_EVENT, &text, &len));
        CHECK(has(text, len, "\"event\":"));
    } else if (kind != SVCAUTH_OUTPUT_KIND_CALLS_CHANGED) {
        answer(client, output, kind, now);
    }
    OK(svcauth_output_free(output));
    CHECK(svcauth_output_free(output) == SVCAUTH_RESULT_INVALID_HANDLE);
}

static void poll_until_idle(const svcauth_client *client, uint64_t now)
{
    svcauth_output *output;
    uint64_t until;
    for (int count = 0; count < 1000; count++) {
        OK(svcauth_client_poll(client, now, WALL + now, &output, &until, NULL));
        if (output == NULL)
            return;
        take(client, output, now);
    }
    CHECK(!"the client comes to rest");
}

static void call(const svcauth_client *client, uint64_t now)
{
    static const char *const urls[] = {"https://smd.example/hsm/v2/State", "https://other.example/", "https://nobody.example/",
                                       "no url", ""};
    static const char user[] = "a-users-token";
    const char *url = ONE_OF(urls);
    svcauth_decision *decision = NULL;
    svcauth_error *error = NULL;
    svcauth_lease *lease = NULL;
    svcauth_token_state token_state;
    svcauth_answered what;
    svcauth_rejection rejection;
    svcauth_text *event = NULL;
    if (!worked(svcauth_client_decide(client, url, strlen(url), below(16), user, sizeof user - 1, TEXT("https://smd.example/hsm/v2"),
                                      &decision, &error),
                &error))
        return;
    svcauth_result result = svcauth_client_token_for(client, decision, now, WALL + now, &token_state, &lease, &error);
    if (result == SVCAUTH_RESULT_WRONG_KIND)
        CHECK(lease == NULL);
    if (error != NULL)
        read_error(error);
    if (lease != NULL) {
        svcauth_lease_info info;
        OK(svcauth_lease_get_info(lease, &info));
        OK(svcauth_decision_call_event(decision, lease, TEXT("GET"), url, strlen(url), 401, SVCAUTH_ATTEMPT_FIRST, &event,
                                       NULL));
        use_text(event);
        OK(svcauth_client_answered(client, decision, 401, TEXT("WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"),
                                   1 + below(2), &what, NULL));
        OK(svcauth_lease_release(lease));
        lease = NULL;
        if (svcauth_client_reject(client, decision, info.id, 1 + below(2), now, WALL + now, &rejection, &lease, NULL) ==
                SVCAUTH_RESULT_OK &&
            lease != NULL)
            use_lease(client, lease, now);
    }
    OK(svcauth_decision_free(decision));
    CHECK(svcauth_decision_free(decision) == SVCAUTH_RESULT_INVALID_HANDLE);
}

static void live(void)
{
    const char *configuration = below(5) == 0 ? ONE_OF(wrong_configurations) : ONE_OF(configurations);
    svcauth_client *client = NULL;
    svcauth_error *error = NULL;
    uint64_t now = below(1000);
    if (!worked(svcauth_client_new(configuration, strlen(configuration), below(8) == 0 ? below(32) : 31, below(100), now,
                                   WALL + now, &client, &error),
                &error))
        return;
    for (uint32_t step = 2 + below(8); step > 0; step--) {
        svcauth_token_state token_state;
        svcauth_registration_state registration;
        svcauth_lease *lease = NULL;
        svcauth_text *text = NULL;
        switch (below(6)) {
        case 0:
        case 1:
            worked(svcauth_client_token(client, below(2), now, WALL + now, &token_state, &lease, &error), &error);
            if (lease != NULL)
                use_lease(client, lease, now);
            break;
        case 2:
            call(client, now);
            break;
        case 3:
            worked(svcauth_client_register(client, now, WALL + now, &registration, &error), &error);
            break;
        case 4:
            OK(svcauth_client_settings(client, &text, NULL));
            use_text(text);
            OK(svcauth_client_health(client, 0, &text, NULL));
            use_text(text);
            break;
        default:
            OK(svcauth_client_secrets_changed(client, now, WALL + now, NULL));
        }
        poll_until_idle(client, now);
        now += below(2) == 0 ? below(50) : below(4000000);
    }
    OK(svcauth_client_free(client));
    CHECK(svcauth_client_free(client) == SVCAUTH_RESULT_INVALID_HANDLE);
}

static void message(void)
{
    static const struct {
        const char *name, *parameters;
    } messages[] = {
        {"token", "{\"endpoint\":\"https://issuer.example/t\",\"client_id\":\"bss\",\"client_secret\":\"hush\"}"},
        {"token", "{\"endpoint\":\"https://issuer.example/t\",\"grant\":\"bare\"}"},
        {"token", "{\"endpoint\":\"http://issuer.example/t\"}"},
        {"register", "{\"endpoint\":\"https://issuer.example/r\",\"metadata\":{\"client_name\":\"bss\"}}"},
        {"metadata", "{\"issuer\":\"https://issuer.example\"}"},
        {"metadata", "{\"isuer\":\"https://issuer.example\"}"},
        {"authorize", "{\"endpoint\":\"https://issuer.example/a\",\"state\":\"0123456789abcdef\",\"client_id\":\"bss\"}"},
        {"tokn", "{}"},
        {"token", "{"},
    };
    size_t which = below(sizeof messages / sizeof *messages), at = below(sizeof answers / sizeof *answers);
    svcauth_exchange *exchange = NULL;
    svcauth_error *error = NULL;
    svcauth_text *json = NULL;
    const char *text;
    size_t len;
    if (!worked(svcauth_exchange_new(messages[which].name, strlen(messages[which].name), messages[which].parameters,
                                     strlen(messages[which].parameters), &exchange, &error),
                &error))
        return;
    OK(svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_URL, &text, &len));
    if (worked(svcauth_exchange_parse(exchange, answers[at].status, answers[at].headers, strlen(answers[at].headers),
                                      (const uint8_t *)answers[at].body, strlen(answers[at].body), &json, &error),
               &error))
        use_text(json);
    OK(svcauth_exchange_free(exchange));
    CHECK(svcauth_exchange_free(exchange) == SVCAUTH_RESULT_INVALID_HANDLE);
}

// Valgrind answers 0.
static size_t bytes_in_use(void)
{
#ifdef __SANITIZE_ADDRESS__
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

int main(int count, char **arguments)
{
    unsigned long rounds = count > 1 ? strtoul(arguments[1], NULL, 10) : 1000;
    state = count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
    size_t early = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        live();
        message();
        if (round == rounds / 10)
            early = bytes_in_use();
    }
    size_t late = bytes_in_use();
    printf("%lu rounds, %zu bytes in use after a tenth of them, %zu in the end\n", rounds, early, late);
    // The library knows each handle, so one that is lost is no leak to a sanitizer: it shows here. What malloc keeps at
    // hand counts as used.
    CHECK(late <= early + 65536);
    return 0;
}
