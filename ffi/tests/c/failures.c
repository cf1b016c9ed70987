// What a program is told when a token cannot be had, and how each task but a send task is answered.
#include "check.h"

#define EXCHANGE                                                                  \
    "{ \"endpoints\": { \"token\": \"https://issuer.example/token\" },"           \
    "  \"client\": { \"auth\": \"none\" }, \"store\": { \"file\": \"/state\" },"  \
    "  \"targets\": { \"t\": { \"urls\": [\"https://t.example\"], \"grant\": {"   \
    "      \"type\": \"token_exchange\", \"subject_token\": { \"env\": \"BOOT\" }," \
    "      \"subject_token_type\": \"urn:ietf:params:oauth:token-type:jwt\" } } } }"

static void text_is(const svcauth_error *error, svcauth_error_text which, const char *expected)
{
    const char *text;
    size_t len;
    OK(svcauth_error_get_text(error, which, &text, &len));
    if (!is_text(text, len, expected)) {
        fprintf(stderr, "expected %s, got %.*s\n", expected, (int)len, text);
        exit(1);
    }
}

static void a_wrong_configuration_names_the_member(void)
{
    svcauth_error *error = NULL;
    CHECK(svcauth_config_check(TEXT("{\"isuer\": 1}"), &error) == SVCAUTH_RESULT_INVALID_CONFIGURATION);
    text_is(error, SVCAUTH_ERROR_TEXT_MEMBER, "isuer");
    text_is(error, SVCAUTH_ERROR_TEXT_CODE, "invalid_configuration");
    text_is(error, SVCAUTH_ERROR_TEXT_DISPLAY, "isuer: unknown, did you mean issuer? (invalid_configuration)");
    text_is(error, SVCAUTH_ERROR_TEXT_OAUTH_ERROR, "");
    svcauth_error_free(error);

    svcauth_error_info info;
    CHECK(svcauth_config_check(TEXT("{,"), &error) == SVCAUTH_RESULT_INVALID_CONFIGURATION);
    OK(svcauth_error_get_info(error, &info));
    CHECK(info.has_offset && info.code == SVCAUTH_RESULT_INVALID_CONFIGURATION && info.http_status == 0);
    svcauth_error_free(error);

    OK(svcauth_config_check(TEXT(CONFIG), NULL));
    svcauth_client *client;
    CHECK(svcauth_client_new(TEXT(CONFIG), 0, 7, 0, 0, &client, &error) == SVCAUTH_RESULT_UNSUPPORTED);
    text_is(error, SVCAUTH_ERROR_TEXT_MEMBER, "client.credentials[0].client_secret");
    svcauth_error_free(error);
}

// The next output that is no event.
static svcauth_output *next(svcauth_client *client, svcauth_output_kind *kind)
{
    svcauth_output *output;
    uint64_t until;
    for (;;) {
        OK(svcauth_client_poll(client, 0, 0, &output, &until, NULL));
        if (output == NULL)
            return NULL;
        OK(svcauth_output_get_kind(output, kind));
        if (*kind != SVCAUTH_OUTPUT_KIND_EVENT)
            return output;
        svcauth_output_free(output);
    }
}

static void a_refusal_reaches_those_who_wait_with_what_the_server_said(void)
{
    static const char body[] = "{\"error\":\"server_error\",\"error_description\":\"database\"}";
    svcauth_client *client;
    svcauth_output_kind kind;
    svcauth_token_state state = 0;
    svcauth_lease *lease = NULL;
    svcauth_task_info task;
    svcauth_error *error;
    svcauth_error_info info;
    OK(svcauth_client_new(TEXT(CONFIG), SVCAUTH_CAPABILITY_SECRET_FILES, 7, 0, 0, &client, NULL));
    OK(svcauth_client_token(client, 0, 0, 0, &state, &lease, NULL));

    svcauth_output *output = next(client, &kind);
    CHECK(kind == SVCAUTH_OUTPUT_KIND_READ_SECRET);
    OK(svcauth_output_task(output, &task));
    OK(svcauth_client_complete_bytes(client, task.id, (const uint8_t *)"s3cr3t", 6, 0, 0, NULL));
    svcauth_output_free(output);

    output = next(client, &kind);
    CHECK(kind == SVCAUTH_OUTPUT_KIND_SEND);
    OK(svcauth_output_task(output, &task));
    OK(svcauth_client_complete_response(client, task.id, 503,
                                        TEXT("Content-Type: application/json\nRetry-After: 7\n"),
                                        (const uint8_t *)body, sizeof body - 1, 0, 0, NULL));
    svcauth_output_free(output);

    output = next(client, &kind);
    CHECK(kind == SVCAUTH_OUTPUT_KIND_LEASE);
    OK(svcauth_output_error(output, &error));
    svcauth_output_free(output);
    OK(svcauth_error_get_info(error, &info));
    CHECK(info.code == SVCAUTH_RESULT_SERVER_ERROR && info.http_status == 503);
    CHECK(info.has_retry_after && info.retry_after_ms == 7000);
    CHECK(info.has_retry_at && info.retry_at_ms >= 7000);
    text_is(error, SVCAUTH_ERROR_TEXT_OAUTH_ERROR, "server_error");
    text_is(error, SVCAUTH_ERROR_TEXT_OAUTH_DESCRIPTION, "database");
    svcauth_error_free(error);

    CHECK(svcauth_client_token(client, 0, 1, 1, &state, &lease, &error) == SVCAUTH_RESULT_SERVER_ERROR);
    CHECK(lease == NULL);
    svcauth_error_free(error);
    svcauth_client_free(client);
}

static void a_connection_that_fails_is_told_as_an_event_and_tried_again(void)
{
    svcauth_client *client;
    svcauth_output_kind kind;
    svcauth_token_state state = 0;
    svcauth_lease *lease = NULL;
    svcauth_task_info task;
    svcauth_stats stats;
    OK(svcauth_client_new(TEXT(CONFIG), SVCAUTH_CAPABILITY_SECRET_FILES, 7, 0, 0, &client, NULL));
    OK(svcauth_client_token(client, 0, 0, 0, &state, &lease, NULL));
    svcauth_output *output = next(client, &kind);
    OK(svcauth_output_task(output, &task));
    OK(svcauth_client_complete_bytes(client, task.id, (const uint8_t *)"s3cr3t", 6, 0, 0, NULL));
    svcauth_output_free(output);
    output = next(client, &kind);
    OK(svcauth_output_task(output, &task));
    OK(svcauth_client_complete_send_failed(client, task.id, SVCAUTH_SEND_FAILURE_REFUSED,
                                           TEXT("connection refused"), 0, 0, NULL));
    svcauth_output_free(output);
    while ((output = next(client, &kind)) != NULL)
        svcauth_output_free(output);
    OK(svcauth_client_stats(client, &stats, NULL));
    CHECK(stats.failures == 1);

    // Answered twice: ignored, and counted.
    OK(svcauth_client_complete_unsupported(client, task.id, 0, 0, NULL));
    OK(svcauth_client_stats(client, &stats, NULL));
    CHECK(stats.outcomes_ignored == 1);
    svcauth_client_free(client);
}

// A store in memory, until the request is there to be sent.
static void one_use_refresh_tokens_go_through_the_store(void)
{
    svcauth_client *client;
    svcauth_error *error = NULL;
    svcauth_output_kind kind;
    svcauth_token_state state;
    svcauth_lease *lease;
    svcauth_output *output;
    uint64_t version = 0;
    uint8_t record[4096];
    size_t record_len = 0;
    int requests = 0, stores = 0;
    uint32_t capabilities = SVCAUTH_CAPABILITY_SECRET_ENVIRONMENT | SVCAUTH_CAPABILITY_DURABLE_STORE;
    svcauth_result made = svcauth_client_new(TEXT(EXCHANGE), capabilities, 7, 0, 0, &client, &error);
    if (made != SVCAUTH_RESULT_OK) {
        text_is(error, SVCAUTH_ERROR_TEXT_DISPLAY, "");
    }
    OK(svcauth_client_token(client, 0, 0, 0, &state, &lease, NULL));
    while ((output = next(client, &kind)) != NULL) {
        svcauth_task_info task = {0, 0};
        svcauth_store_info store;
        uint64_t bytes;
        const char *text;
        size_t len;
        static const char body[] = "{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":60,"
                                   "\"refresh_token\":\"r\","
                                   "\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\"}";
        if (kind != SVCAUTH_OUTPUT_KIND_LEASE)
            OK(svcauth_output_task(output, &task));
        switch (kind) {
        case SVCAUTH_OUTPUT_KIND_READ_SECRET:
            OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_SECRET, &text, &len));
            CHECK(is_text(text, len, "BOOT"));
            OK(svcauth_client_complete_bytes(client, task.id, (const uint8_t *)"b.b.b", 5, 0, 0, NULL));
            break;
        case SVCAUTH_OUTPUT_KIND_RANDOM: {
            static const uint8_t random[64] = {4};
            OK(svcauth_output_random(output, &bytes));
            CHECK(bytes <= sizeof random);
            OK(svcauth_client_complete_bytes(client, task.id, random, bytes, 0, 0, NULL));
            break;
        }
        case SVCAUTH_OUTPUT_KIND_SEND:
            requests++;
            OK(svcauth_client_complete_response(client, task.id, 200,
                                                TEXT("Content-Type: application/json\n"),
                                                (const uint8_t *)body, sizeof body - 1, 0, 0, NULL));
            break;
        case SVCAUTH_OUTPUT_KIND_STORE:
            stores++;
            OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_KEY, &text, &len));
            CHECK(len > 0);
            OK(svcauth_output_store(output, &store));
            switch (store.operation) {
            case SVCAUTH_STORE_OPERATION_GET:
                OK(svcauth_client_complete_record(client, task.id, record, record_len, version, 0, 0, NULL));
                break;
            case SVCAUTH_STORE_OPERATION_PUT:
                CHECK(store.version == version);
                OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_VALUE, &text, &len));
                CHECK(len <= sizeof record);
                memcpy(record, text, len);
                record_len = len;
                OK(svcauth_client_complete_store(client, task.id, SVCAUTH_STORE_OUTCOME_STORED, ++version, 0,
                                                 0, NULL));
                break;
            case SVCAUTH_STORE_OPERATION_LOCK:
                CHECK(store.ttl_ms > 0);
                OK(svcauth_client_complete_store(client, task.id, SVCAUTH_STORE_OUTCOME_LOCKED, 11, 0, 0,
                                                 NULL));
                break;
            case SVCAUTH_STORE_OPERATION_UNLOCK:
                CHECK(store.fence == 11);
                OK(svcauth_client_complete_store(client, task.id, SVCAUTH_STORE_OUTCOME_DONE, 0, 0, 0, NULL));
                break;
            default:
                OK(svcauth_client_complete_unsupported(client, task.id, 0, 0, NULL));
            }
            break;
        }
        svcauth_output_free(output);
    }
    CHECK(requests == 1 && stores > 0 && version > 0 && record_len > 0);
    OK(svcauth_client_token(client, 0, 0, 0, &state, &lease, NULL));
    CHECK(state == SVCAUTH_TOKEN_STATE_READY);
    svcauth_lease_release(lease);
    svcauth_client_free(client);
}

int main(void)
{
    a_wrong_configuration_names_the_member();
    a_refusal_reaches_those_who_wait_with_what_the_server_said();
    a_connection_that_fails_is_told_as_an_event_and_tried_again();
    one_use_refresh_tokens_go_through_the_store();
    puts("failures: as told");
    return 0;
}
