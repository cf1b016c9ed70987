/* The flow by hand in C11: register, authorize, token, call; each a message of libsvcauth on the program's own HTTP.
 *
 *     flow https://hydra.example https://smd.example/hsm/v2/State/Components/x0c0s0b0n0
 *
 * A service does not need this: bss.c does all of it by itself. It is for programs that want to be in charge. */
#include "http.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <svcauth.h>
#include <sys/random.h>

static void fail(const char *what, svcauth_error *error)
{
    text said = {NULL, 0};
    if (error != NULL)
        svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &said.at, &said.len);
    fprintf(stderr, "%s: %.*s\n", what, (int)said.len, said.at == NULL ? "" : said.at);
    svcauth_error_free(error);
    exit(1);
}

/* Makes the message, sends it, and gives what the answer says. Takes the parameters over. */
static json_t *ask(const char *name, json_t *parameters)
{
    svcauth_exchange *exchange = NULL;
    svcauth_error *error = NULL;
    svcauth_text *said = NULL;
    text method, url, headers, body, json;
    http_answer answer;
    char *document = json_dumps(parameters, 0);
    if (document == NULL || svcauth_exchange_new(name, strlen(name), document, strlen(document), &exchange, &error) !=
                                SVCAUTH_RESULT_OK)
        fail(name, error);
    free(document);
    json_decref(parameters);

    svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_METHOD, &method.at, &method.len);
    svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_URL, &url.at, &url.len);
    svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_HEADERS, &headers.at, &headers.len);
    svcauth_exchange_get_text(exchange, SVCAUTH_EXCHANGE_TEXT_BODY, &body.at, &body.len);
    if (!http_send(method, url, headers, body, &answer))
        exit(1);
    if (svcauth_exchange_parse(exchange, answer.status, answer.headers, answer.headers_len, (const uint8_t *)answer.body,
                               answer.body_len, &said, &error) != SVCAUTH_RESULT_OK)
        fail(name, error);
    http_free(&answer);
    svcauth_exchange_free(exchange);

    svcauth_text_get(said, &json.at, &json.len);
    json_t *object = json_loadb(json.at, json.len, 0, NULL);
    svcauth_text_free(said);
    if (object == NULL)
        fail(name, NULL);
    return object;
}

/* A text that nobody can guess. */
static const char *fresh_state(void)
{
    static char state[33];
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        fail("no random bytes", NULL);
    for (size_t at = 0; at < sizeof bytes; at++)
        snprintf(state + 2 * at, 3, "%02x", bytes[at]);
    return state;
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: %s ISSUER URL\n", arguments[0]);
        return 2;
    }
    const char *issuer = arguments[1], *url = arguments[2];
    curl_global_init(CURL_GLOBAL_DEFAULT);

    /* 1. The service registers, once. Save `registration` whole: it holds the secret, and what manages it. */
    json_t *registered =
        ask("register", json_pack("{s:o, s:{s:s, s:s, s:[s], s:[s], s:[s], s:s}}", "endpoint",
                                  json_sprintf("%s/oauth2/register", issuer), "metadata", "client_name", "bss", "scope",
                                  "read", "grant_types", "client_credentials", "response_types", "token", "redirect_uris",
                                  "http://127.0.0.1/callback", "token_endpoint_auth_method", "client_secret_basic"));
    json_t *registration = json_object_get(registered, "registration");
    printf("registered as %s\n", json_string_value(json_object_get(registration, "client_id")));

    /* 2. It authorizes with the token of its registration. Older set-ups need this step. */
    json_t *authorized = ask("authorize", json_pack("{s:o, s:s, s:O}", "endpoint", json_sprintf("%s/oauth2/auth", issuer),
                                                    "state", fresh_state(), "registration", registration));
    printf("authorized: %s\n", json_string_value(json_object_get(authorized, "kind")));

    /* 3. It gets a token. */
    json_t *granted = ask("token", json_pack("{s:o, s:O, s:O, s:[s]}", "endpoint", json_sprintf("%s/oauth2/token", issuer),
                                             "client_id", json_object_get(registration, "client_id"), "client_secret",
                                             json_object_get(registration, "client_secret"), "scopes", "read"));
    printf("a token for %lld s\n", (long long)json_integer_value(json_object_get(granted, "expires_in")));

    /* 4. It calls. */
    json_t *header =
        json_sprintf("Authorization: Bearer %s\r\n", json_string_value(json_object_get(granted, "access_token")));
    http_answer answer;
    if (!http_send((text){"GET", 3}, (text){url, strlen(url)},
                   (text){json_string_value(header), json_string_length(header)}, (text){NULL, 0}, &answer))
        return 1;
    printf("%u %s\n", (unsigned)answer.status, answer.body == NULL ? "" : answer.body);
    int failed = answer.status != 200;

    http_free(&answer);
    json_decref(header);
    json_decref(granted);
    json_decref(authorized);
    json_decref(registered);
    curl_global_cleanup();
    return failed;
}
