/* A boot script service in C11: it fetches each URL that comes in on a line, with the token that the URL gets.
 *
 *     bss svcauth.json < urls
 *
 * libsvcauth gets the tokens and keeps them fresh; the calls are the program's own, here on libcurl. What happens is
 * logged on stderr, one JSON object a line: who called what is among it. */
#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <svcauth.h>

#ifndef SVCAUTH_TRANSPORT
#error "this libsvcauth was built without its transport: build it with make lib, and take the flags from pkg-config or CMake"
#endif

/* Says what went wrong, and frees it. */
static void complain(const char *what, svcauth_error *error)
{
    text said = {NULL, 0};
    svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &said.at, &said.len);
    fprintf(stderr, "%s: %.*s\n", what, (int)said.len, said.at == NULL ? "" : said.at);
    svcauth_error_free(error);
}

/* Called on threads of the library, one event after the other. */
static void log_event(void *context, svcauth_event_level level, const char *json, size_t len)
{
    static const char *const names[] = {"", "info", "warn", "error"};
    (void)context;
    fprintf(stderr, "%s %.*s\n", level < 4 ? names[level] : "", (int)len, json);
}

/* Makes one attempt of a call, with a lease or without, and logs it. */
static int attempt(const svcauth_decision *decision, const svcauth_lease *lease, text url, svcauth_attempt number,
                   http_answer *answer)
{
    char *header = NULL;
    text value = {NULL, 0}, headers = {NULL, 0}, json = {NULL, 0};
    svcauth_text *event = NULL;
    if (lease != NULL)
        svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &value.at, &value.len);
    else /* A user's own token, where there is a user; not here. */
        svcauth_decision_get_text(decision, SVCAUTH_DECISION_TEXT_AUTHORIZATION, &value.at, &value.len);
    if (value.len > 0) {
        size_t room = value.len + sizeof "Authorization: \r\n";
        header = malloc(room);
        if (header == NULL)
            return 0;
        headers.at = header;
        headers.len = (size_t)snprintf(header, room, "Authorization: %.*s\r\n", (int)value.len, value.at);
    }
    int answered = http_send((text){"GET", 3}, url, headers, (text){NULL, 0}, answer);
    if (header != NULL) {
        memset(header, 0, headers.len);
        free(header);
    }
    if (svcauth_decision_call_event(decision, lease, "GET", 3, url.at, url.len, answered ? answer->status : 0, number,
                                    &event, NULL) == SVCAUTH_RESULT_OK) {
        svcauth_text_get(event, &json.at, &json.len);
        log_event(NULL, SVCAUTH_EVENT_LEVEL_INFO, json.at, json.len);
        svcauth_text_free(event);
    }
    return answered;
}

/* Makes a call: with the token that it gets, and once more with another one when that is refused. */
static int call(const svcauth_transport *transport, text url, http_answer *answer)
{
    svcauth_decision *decision = NULL;
    svcauth_decision_kind kind = 0;
    svcauth_lease *lease = NULL;
    svcauth_error *error = NULL;
    svcauth_answered what = 0;
    int answered = 0;
    if (svcauth_transport_decide(transport, url.at, url.len, 0, NULL, 0, NULL, 0, &decision, &error) != SVCAUTH_RESULT_OK) {
        complain("not called", error);
        return 0;
    }
    svcauth_decision_get_kind(decision, &kind);
    if (kind == SVCAUTH_DECISION_KIND_LEASE &&
        svcauth_transport_lease_for(transport, decision, SVCAUTH_WAIT_AS_CONFIGURED, &lease, &error) != SVCAUTH_RESULT_OK) {
        complain("no token", error);
        goto done;
    }
    answered = attempt(decision, lease, url, SVCAUTH_ATTEMPT_FIRST, answer);
    if (answered && lease != NULL &&
        svcauth_transport_answered(transport, decision, answer->status, answer->headers, answer->headers_len,
                                   SVCAUTH_REPLAY_POSSIBLE, &what, NULL) == SVCAUTH_RESULT_OK &&
        what == SVCAUTH_ANSWERED_RETRY) {
        svcauth_lease_info info;
        svcauth_lease *other = NULL;
        svcauth_rejection rejection = 0;
        svcauth_lease_get_info(lease, &info);
        if (svcauth_transport_reject(transport, decision, info.id, SVCAUTH_REPLAY_POSSIBLE, SVCAUTH_WAIT_AS_CONFIGURED,
                                     &rejection, &other, &error) != SVCAUTH_RESULT_OK) {
            complain("no other token", error);
        } else if (rejection == SVCAUTH_REJECTION_RETRY) {
            http_free(answer);
            answered = attempt(decision, other, url, SVCAUTH_ATTEMPT_SECOND, answer);
            svcauth_lease_release(other);
        }
    }
done:
    svcauth_lease_release(lease);
    svcauth_decision_free(decision);
    return answered;
}

int main(int count, char **arguments)
{
    svcauth_callbacks callbacks = {.event = log_event};
    svcauth_transport *transport = NULL;
    svcauth_error *error = NULL;
    char line[2048];
    int failed = 0;
    if (count != 2) {
        fprintf(stderr, "usage: %s svcauth.json < urls\n", arguments[0]);
        return 2;
    }
    if (svcauth_abi_version() != SVCAUTH_ABI_VERSION) {
        fprintf(stderr, "libsvcauth has another interface than the header that this was compiled with\n");
        return 1;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (svcauth_transport_open(arguments[1], strlen(arguments[1]), &callbacks, &transport, &error) != SVCAUTH_RESULT_OK) {
        complain(arguments[1], error);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        http_answer answer = {0};
        line[strcspn(line, "\r\n")] = 0;
        if (call(transport, (text){line, strlen(line)}, &answer)) {
            size_t first_line = answer.body == NULL ? 0 : strcspn(answer.body, "\r\n");
            printf("%u %.*s\n", (unsigned)answer.status, (int)first_line, first_line == 0 ? "" : answer.body);
        } else {
            puts("0");
        }
        failed |= answer.status != 200;
        fflush(stdout);
        http_free(&answer);
    }
    svcauth_transport_free(transport);
    curl_global_cleanup();
    return failed;
}
