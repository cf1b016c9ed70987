// One service from its first call to the answer after a 401, every outcome scripted.
#include "check.h"

#define WALL 1700000000000u
#define URL "https://smd.example/hsm/v2/State/Components"

static svcauth_client *client;

// Passes events by until something else comes; NULL when there is nothing to do.
static svcauth_output *next(uint64_t now)
{
    for (;;) {
        svcauth_output *output;
        svcauth_output_kind kind;
        uint64_t until;
        OK(svcauth_client_poll(client, now, WALL + now, &output, &until, NULL));
        if (output == NULL) {
            CHECK(until > now);
            return NULL;
        }
        OK(svcauth_output_get_kind(output, &kind));
        if (kind != SVCAUTH_OUTPUT_KIND_EVENT)
            return output;
        const char *json;
        size_t len;
        svcauth_event_level level;
        OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_EVENT, &json, &len));
        OK(svcauth_output_event_level(output, &level));
        CHECK(len > 0 && json[0] == '{' && level >= SVCAUTH_EVENT_LEVEL_INFO);
        svcauth_output_free(output);
    }
}

static svcauth_output *expect(uint64_t now, svcauth_output_kind expected)
{
    svcauth_output *output = next(now);
    svcauth_output_kind kind;
    CHECK(output != NULL);
    OK(svcauth_output_get_kind(output, &kind));
    if (kind != expected)
        fprintf(stderr, "at %llu: kind %u came\n", (unsigned long long)now, (unsigned)kind);
    CHECK(kind == expected);
    return output;
}

static uint64_t task_of(const svcauth_output *output)
{
    svcauth_task_info info;
    OK(svcauth_output_task(output, &info));
    return info.id;
}

static void check_output_text(const svcauth_output *output, svcauth_output_text which, const char *expected)
{
    const char *text;
    size_t len;
    OK(svcauth_output_get_text(output, which, &text, &len));
    CHECK(is_text(text, len, expected));
}

static void answer_secret(uint64_t now)
{
    svcauth_output *output = expect(now, SVCAUTH_OUTPUT_KIND_READ_SECRET);
    svcauth_secret_kind kind;
    OK(svcauth_output_secret_kind(output, &kind));
    CHECK(kind == SVCAUTH_SECRET_KIND_FILE);
    check_output_text(output, SVCAUTH_OUTPUT_TEXT_SECRET, "/run/secrets/bss");
    OK(svcauth_client_complete_bytes(client, task_of(output), (const uint8_t *)"hush\n", 5, now,
                                     WALL + now, NULL));
    svcauth_output_free(output);
}

static void check_request(const svcauth_output *output)
{
    svcauth_send_info info;
    svcauth_task_info task;
    int authorizations = 0;
    OK(svcauth_output_send(output, &info));
    OK(svcauth_output_task(output, &task));
    CHECK(info.timeout_ms > 0 && info.max_bytes > 0 && task.deadline_ms > 0);
    check_output_text(output, SVCAUTH_OUTPUT_TEXT_METHOD, "POST");
    check_output_text(output, SVCAUTH_OUTPUT_TEXT_URL, "https://issuer.example/oauth2/token");
    check_output_text(output, SVCAUTH_OUTPUT_TEXT_BODY, "grant_type=client_credentials&scope=read");
    for (uint32_t i = 0; i < info.headers; i++) {
        const char *name, *value;
        size_t name_len, value_len;
        OK(svcauth_output_header(output, i, &name, &name_len, &value, &value_len));
        if (is_text(name, name_len, "authorization")) {
            CHECK(is_text(value, value_len, "Basic YnNzOmh1c2g="));
            authorizations++;
        }
    }
    CHECK(authorizations == 1);
    const char *block;
    size_t block_len;
    OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_HEADERS, &block, &block_len));
    CHECK(has(block, block_len, "authorization: Basic YnNzOmh1c2g=\r\n"));
    CHECK(has(block, block_len, "content-type: application/x-www-form-urlencoded\r\n"));
    const char *name, *value;
    size_t name_len, value_len;
    CHECK(svcauth_output_header(output, info.headers, &name, &name_len, &value, &value_len) ==
          SVCAUTH_RESULT_OUT_OF_RANGE);
}

static svcauth_lease *answer_token(uint64_t now, const char *body)
{
    svcauth_output *output = expect(now, SVCAUTH_OUTPUT_KIND_SEND);
    check_request(output);
    OK(svcauth_client_complete_response(client, task_of(output), 200,
                                        TEXT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
                                        (const uint8_t *)body, strlen(body), now, WALL + now, NULL));
    svcauth_output_free(output);

    output = expect(now, SVCAUTH_OUTPUT_KIND_LEASE);
    svcauth_lease_change_info change;
    svcauth_lease *lease;
    OK(svcauth_output_lease_change(output, &change));
    CHECK(change.target == 0 && change.state == SVCAUTH_LEASE_STATE_READY);
    OK(svcauth_output_lease(output, &lease));
    check_output_text(output, SVCAUTH_OUTPUT_TEXT_SUBJECT, "");
    svcauth_output_free(output);
    return lease;
}

static void check_made(svcauth_text *made, const char *part)
{
    const char *text;
    size_t len;
    OK(svcauth_text_get(made, &text, &len));
    if (!has(text, len, part))
        fprintf(stderr, "not in %.*s\n", (int)len, text);
    CHECK(has(text, len, part));
    OK(svcauth_text_free(made));
}

static void check_value(const svcauth_lease *lease, const char *expected)
{
    const char *value;
    size_t len;
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_VALUE, &value, &len));
    CHECK(is_text(value, len, expected));
}

int main(void)
{
    uint64_t now = 1000;
    svcauth_error *error = NULL;
    svcauth_decision *decision;
    svcauth_decision_kind kind;
    svcauth_token_state state;
    svcauth_lease *lease = NULL, *first, *second;

    CHECK(svcauth_abi_version() == SVCAUTH_ABI_VERSION);
    OK(svcauth_client_new(TEXT(CONFIG), SVCAUTH_CAPABILITY_SECRET_FILES, 7, now, WALL + now, &client,
                          &error));
    CHECK(error == NULL);

    // A call needs a token, and there is none yet.
    OK(svcauth_client_decide(client, TEXT(URL), 0, NULL, 0, NULL, 0, &decision, NULL));
    OK(svcauth_decision_get_kind(decision, &kind));
    CHECK(kind == SVCAUTH_DECISION_KIND_LEASE);
    OK(svcauth_client_token_for(client, decision, now, WALL + now, &state, &lease, &error));
    CHECK(state == SVCAUTH_TOKEN_STATE_PENDING && lease == NULL && error == NULL);
    answer_secret(now);
    first = answer_token(now, "{\"access_token\":\"one\",\"token_type\":\"bearer\",\"expires_in\":3600}");
    check_value(first, "one");
    const char *bearer;
    size_t bearer_len;
    OK(svcauth_lease_get_text(first, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &bearer, &bearer_len));
    CHECK(is_text(bearer, bearer_len, "Bearer one"));
    CHECK(next(now) == NULL);

    svcauth_lease_info info;
    const char *scope;
    size_t scope_len;
    OK(svcauth_lease_get_info(first, &info));
    CHECK(info.expires_at_ms == now + 3600000 && info.expires_at_wall_ms == WALL + now + 3600000);
    CHECK(info.refresh_at_ms < info.serve_until_ms && info.serve_until_ms < info.expires_at_ms);
    CHECK(info.scopes == 1);
    OK(svcauth_lease_scope(first, 0, &scope, &scope_len));
    CHECK(is_text(scope, scope_len, "read"));

    // The next caller has it at once, and keeps it longer than the one before.
    OK(svcauth_client_token(client, 0, now, WALL + now, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_READY);
    OK(svcauth_lease_retain(lease));
    svcauth_lease_release(lease);
    check_value(lease, "one");
    svcauth_lease_release(lease);
    CHECK(next(now) == NULL);

    // The audit trail.
    svcauth_text *made;
    OK(svcauth_decision_call_event(decision, first, TEXT("GET"), TEXT(URL "?secret=x"), 200, SVCAUTH_ATTEMPT_FIRST,
                                   &made, NULL));
    check_made(made, "{\"event\":\"call\",\"target\":\"smd\",\"method\":\"GET\",\"url\":\"" URL "\",\"status\":200,"
                     "\"kind\":\"service\"");
    OK(svcauth_decision_call_event(decision, NULL, TEXT("GET"), TEXT(URL), 0, SVCAUTH_ATTEMPT_SECOND, &made, NULL));
    check_made(made, "\"retried\":true");
    OK(svcauth_client_health(client, 0, &made, NULL));
    check_made(made, "\"ready\":true");
    OK(svcauth_client_settings(client, &made, NULL));
    check_made(made, "\"targets\":[\"smd\"]");

    // A user's own token goes along.
    svcauth_decision *users;
    const char *authorization;
    size_t authorization_len;
    OK(svcauth_client_decide(client, TEXT(URL), SVCAUTH_CALL_HAS_USER_TOKEN, TEXT("alice"), NULL, 0, &users, NULL));
    OK(svcauth_decision_get_text(users, SVCAUTH_DECISION_TEXT_AUTHORIZATION, &authorization, &authorization_len));
    CHECK(is_text(authorization, authorization_len, "Bearer alice"));
    OK(svcauth_decision_free(users));

    // The called service refuses it: another one, and the call once more.
    svcauth_answered answered;
    OK(svcauth_client_answered(client, decision, 200, NULL, 0, SVCAUTH_REPLAY_POSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_DELIVER);
    OK(svcauth_client_answered(client, decision, 401,
                               TEXT("WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n"),
                               SVCAUTH_REPLAY_POSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_DELIVER);
    OK(svcauth_client_answered(client, decision, 401, NULL, 0, SVCAUTH_REPLAY_IMPOSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_REPORT);
    OK(svcauth_client_answered(client, decision, 401, NULL, 0, SVCAUTH_REPLAY_POSSIBLE, &answered, NULL));
    CHECK(answered == SVCAUTH_ANSWERED_RETRY);

    // What cannot be sent again is told to the client, and nobody waits.
    svcauth_rejection rejection;
    now += 20000;
    OK(svcauth_client_reject(client, decision, info.id + 1, SVCAUTH_REPLAY_IMPOSSIBLE, now, WALL + now, &rejection, &lease,
                             NULL));
    CHECK(rejection == SVCAUTH_REJECTION_DELIVER && lease == NULL);
    OK(svcauth_client_reject(client, decision, info.id, SVCAUTH_REPLAY_POSSIBLE, now, WALL + now, &rejection, &lease, NULL));
    CHECK(rejection == SVCAUTH_REJECTION_WAIT && lease == NULL);
    svcauth_output *output = expect(now, SVCAUTH_OUTPUT_KIND_LEASE);
    svcauth_lease_change_info change;
    OK(svcauth_output_lease_change(output, &change));
    CHECK(change.state == SVCAUTH_LEASE_STATE_CLEARED);
    CHECK(svcauth_output_lease(output, &lease) == SVCAUTH_RESULT_WRONG_KIND);
    svcauth_output_free(output);
    answer_secret(now);
    second = answer_token(now, "{\"access_token\":\"two\",\"token_type\":\"bearer\",\"expires_in\":3600}");
    OK(svcauth_client_reject(client, decision, info.id, SVCAUTH_REPLAY_POSSIBLE, now, WALL + now, &rejection, &lease, NULL));
    CHECK(rejection == SVCAUTH_REJECTION_RETRY);
    check_value(lease, "two");
    svcauth_lease_release(lease);
    CHECK(next(now) == NULL);

    svcauth_stats stats;
    OK(svcauth_client_stats(client, &stats, NULL));
    CHECK(stats.token_requests == 2 && stats.tokens_received == 2 && stats.rejections == 1);

    // Leases outlive the client.
    svcauth_decision_free(decision);
    svcauth_client_free(client);
    check_value(first, "one");
    check_value(second, "two");
    svcauth_lease_release(first);
    svcauth_lease_release(second);
    puts("flow: as told");
    return 0;
}
