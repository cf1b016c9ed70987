// The steps of the flow as single messages, on the program's own HTTP, against the lab.
#include "http.h"

static const char *issuer, *admin, *opaal, *smd;

static svcauth_exchange *message(const char *name, const char *parameters)
{
    svcauth_exchange *exchange = NULL;
    svcauth_error *error;
    const char *text;
    size_t len;
    if (svcauth_exchange_new(name, strlen(name), parameters, strlen(parameters), &exchange, &error) !=
        SVCAUTH_RESULT_OK) {
        OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
        fprintf(stderr, "%s %s: %.*s\n", name, parameters, (int)len, text);
    }
    CHECK(exchange != NULL);
    return exchange;
}

static http_answer send_message(const svcauth_exchange *exchange)
{
    const char *method, *url, *headers, *body;
    size_t method_len, url_len, headers_len, body_len;
    OK(svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_METHOD, &method, &method_len));
    OK(svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_URL, &url, &url_len));
    OK(svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_HEADERS, &headers, &headers_len));
    OK(svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_BODY, &body, &body_len));
    return http_send(method, method_len, url, url_len, headers, headers_len, body, body_len);
}

// Makes, sends and reads a message; what came of it.
static svcauth_result ask(const char *name, const char *parameters, svcauth_text **json, svcauth_error **error)
{
    svcauth_exchange *exchange = message(name, parameters);
    http_answer answer = send_message(exchange);
    svcauth_result result =
        svcauth_exchange_parse(exchange, answer.status, answer.headers, answer.headers_len,
                               (const uint8_t *)answer.body, answer.body_len, json, error);
    http_free(&answer);
    OK(svcauth_exchange_free(exchange));
    return result;
}

// A member of the answer to a message that must succeed.
static void member_of(const char *name, const char *parameters, const char *member, char *copy, size_t room)
{
    svcauth_text *json;
    svcauth_error *error;
    const char *text;
    size_t len;
    if (ask(name, parameters, &json, &error) != SVCAUTH_RESULT_OK) {
        OK(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len));
        fprintf(stderr, "%s: %.*s\n", name, (int)len, text);
        exit(1);
    }
    OK(svcauth_text_get(json, &text, &len));
    json_member(copy, room, text, len, member);
    OK(svcauth_text_free(json));
}

static void check_call(const char *token, unsigned status)
{
    char url[256], header[4096];
    snprintf(url, sizeof url, "%s/hsm/v2/State/Components/x0c0s0b0n0", smd);
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", token);
    http_answer answer = http_send(TEXT("GET"), url, strlen(url), header, strlen(header), NULL, 0);
    if (answer.status != status)
        fprintf(stderr, "SMD answered %u\n", answer.status);
    CHECK(answer.status == status);
    http_free(&answer);
}

static void check_error(svcauth_error *error, svcauth_error_text which, const char *expected)
{
    const char *text;
    size_t len;
    OK(svcauth_error_get_text(error, which, &text, &len));
    if (!is_text(text, len, expected))
        fprintf(stderr, "the error says %.*s\n", (int)len, text);
    CHECK(is_text(text, len, expected));
}

static void the_flow(void)
{
    static char parameters[8192], registration[4096], changed[4096], id[256], secret[256], token[4096], kind[64];
    char endpoint[256];

    snprintf(parameters, sizeof parameters, "{\"issuer\":\"%s\"}", issuer);
    member_of("metadata", parameters, "token_endpoint", endpoint, sizeof endpoint);

    snprintf(parameters, sizeof parameters,
             "{\"endpoint\":\"%s/oauth2/register\",\"metadata\":{\"client_name\":\"bss\",\"scope\":\"read\","
             "\"grant_types\":[\"client_credentials\"],\"response_types\":[\"token\"],"
             "\"redirect_uris\":[\"http://127.0.0.1/callback\"],"
             "\"token_endpoint_auth_method\":\"client_secret_basic\"}}",
             issuer);
    member_of("register", parameters, "registration", registration, sizeof registration);
    json_member(id, sizeof id, registration, strlen(registration), "client_id");
    json_member(secret, sizeof secret, registration, strlen(registration), "client_secret");
    CHECK(id[0] != 0 && secret[0] != 0);

    snprintf(parameters, sizeof parameters,
             "{\"endpoint\":\"%s/oauth2/auth\",\"state\":\"0123456789abcdef\",\"registration\":%s}", issuer,
             registration);
    member_of("authorize", parameters, "kind", kind, sizeof kind);
    CHECK(kind[0] != 0);

    snprintf(parameters, sizeof parameters,
             "{\"endpoint\":\"%s\",\"client_id\":\"%s\",\"client_secret\":\"%s\",\"scopes\":[\"read\"]}", endpoint, id,
             secret);
    member_of("token", parameters, "access_token", token, sizeof token);
    check_call(token, 200);
    check_call("another", 401);

    // The registration is managed with what came with it.
    snprintf(parameters, sizeof parameters, "{\"registration\":%s}", registration);
    member_of("read_registration", parameters, "registration", changed, sizeof changed);
    snprintf(parameters, sizeof parameters, "{\"registration\":%s,\"metadata\":{\"client_name\":\"boot\"}}", changed);
    member_of("update_registration", parameters, "registration", changed, sizeof changed);
    CHECK(strstr(changed, "\"client_name\":\"boot\"") != NULL);
    snprintf(parameters, sizeof parameters, "{\"registration\":%s}", changed);
    member_of("delete_registration", parameters, "none", kind, sizeof kind);
    svcauth_error *error;
    svcauth_text *json;
    CHECK(ask("read_registration", parameters, &json, &error) / 100 == 2);
    OK(svcauth_error_free(error));
}

static void another_server(void)
{
    static char parameters[512], token[4096];
    snprintf(parameters, sizeof parameters, "{\"endpoint\":\"%s/token\",\"grant\":\"bare\"}", opaal);
    member_of("token", parameters, "access_token", token, sizeof token);
    CHECK(token[0] != 0);
}

// What a server refuses or garbles is an error that says so.
static void refusals(void)
{
    char parameters[512];
    svcauth_text *json = NULL;
    svcauth_error *error;
    svcauth_error_info info;
    snprintf(parameters, sizeof parameters,
             "{\"endpoint\":\"%s/oauth2/token\",\"client_id\":\"nobody\",\"client_secret\":\"wrong-secret\"}", issuer);
    CHECK(ask("token", parameters, &json, &error) == SVCAUTH_RESULT_OAUTH_ERROR && json == NULL);
    check_error(error, SVCAUTH_ERROR_TEXT_OAUTH_ERROR, "invalid_client");
    OK(svcauth_error_get_info(error, &info));
    CHECK(info.http_status == 401 && info.code == SVCAUTH_RESULT_OAUTH_ERROR);
    OK(svcauth_error_free(error));

    static const struct {
        const char *fault;
        svcauth_result result;
    } rows[] = {
        {"{\"answer\":{\"status\":503}}", SVCAUTH_RESULT_SERVER_ERROR},
        {"{\"answer\":{\"status\":429,\"retry_after\":{\"seconds\":7}}}", SVCAUTH_RESULT_RATE_LIMITED},
        {"{\"answer\":{\"status\":200,\"body\":\"<p>\"}}", SVCAUTH_RESULT_MALFORMED_ANSWER},
        {"{\"answer\":{\"status\":307,\"location\":\"http://127.0.0.1/\"}}", SVCAUTH_RESULT_UNEXPECTED_REDIRECT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fault[256];
        snprintf(fault, sizeof fault, "{\"endpoint\":\"token\",\"fault\":{\"action\":%s}}", rows[i].fault);
        lab_order("POST", admin, "/lab/faults", fault);
        svcauth_result result = ask("token", parameters, &json, &error);
        if (result != rows[i].result)
            fprintf(stderr, "%s: answered %u\n", rows[i].fault, (unsigned)result);
        CHECK(result == rows[i].result && json == NULL);
        OK(svcauth_error_get_info(error, &info));
        CHECK(info.has_retry_after == (result == SVCAUTH_RESULT_RATE_LIMITED));
        CHECK(!info.has_retry_after || info.retry_after_ms == 7000);
        OK(svcauth_error_free(error));
    }
    lab_order("DELETE", admin, "/lab/faults", NULL);
}

// A parameter that is wrong is named before anything is sent.
static void parameters(void)
{
    static const struct {
        const char *name, *parameters, *member;
    } rows[] = {
        {"tokn", "{}", "name"},
        {"token", "{}", "endpoint"},
        {"token", "{\"endpont\":\"https://hydra.example\"}", "endpont"},
        {"token", "{\"endpoint\":\"http://hydra.example\"}", "endpoint"},
        {"token", "{\"endpoint\":\"https://hydra.example\",\"grant\":{\"type\":\"no\"}}", "grant.type"},
        {"token", "", NULL},
        {"token", "{", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        svcauth_exchange *exchange = NULL;
        svcauth_error *error;
        svcauth_error_info info;
        CHECK(svcauth_exchange_new(rows[i].name, strlen(rows[i].name), rows[i].parameters,
                                   strlen(rows[i].parameters), &exchange, &error) == SVCAUTH_RESULT_INVALID_ARGUMENT);
        CHECK(exchange == NULL);
        OK(svcauth_error_get_info(error, &info));
        CHECK(info.has_offset == (rows[i].member == NULL));
        check_error(error, SVCAUTH_ERROR_TEXT_MEMBER, rows[i].member == NULL ? "" : rows[i].member);
        OK(svcauth_error_free(error));
    }
}

int main(int count, char **urls)
{
    CHECK(count == 5);
    issuer = urls[1];
    admin = urls[2];
    opaal = urls[3];
    smd = urls[4];
    the_flow();
    another_server();
    refusals();
    parameters();
    puts("exchange: as told");
    return 0;
}
