#include "show.h"
#include "planted.h"

#include <ctype.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                             \
    do {                                                                       \
        svcauth_result must_ = (call);                                         \
        if (must_ != SVCAUTH_RESULT_OK)                                        \
            host_differs(host, "%s: result %u", #call, (unsigned)must_);       \
    } while (0)

static json_t *since(const host *host, uint64_t mono_ms)
{
    return json_integer((json_int_t)mono_ms - host->mono_step - MONO_START);
}

static json_t *wall_since(uint64_t wall_ms)
{
    return json_integer((json_int_t)wall_ms - WALL_START);
}

json_t *text_or_null(const char *text, size_t len)
{
    return text == NULL ? json_null() : json_stringn(text, len);
}

static json_t *json_of(const char *text, size_t len)
{
    json_t *value = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return value == NULL ? json_null() : value;
}

char *output_text(const svcauth_output *output, svcauth_output_text which)
{
    const char *text = NULL;
    size_t len = 0;
    if (svcauth_output_get_text(output, which, &text, &len) != SVCAUTH_RESULT_OK || text == NULL)
        return strdup("");
    return strndup(text, len);
}

json_t *output_json(const svcauth_output *output, svcauth_output_text which)
{
    const char *text = NULL;
    size_t len = 0;
    if (svcauth_output_get_text(output, which, &text, &len) != SVCAUTH_RESULT_OK)
        return json_null();
    return json_of(text, len);
}

char *show_place(const svcauth_output *output)
{
    svcauth_secret_kind kind = 0;
    svcauth_output_secret_kind(output, &kind);
    const char *word = kind == SVCAUTH_SECRET_KIND_FILE          ? "file"
                       : kind == SVCAUTH_SECRET_KIND_ENVIRONMENT ? "env"
                       : kind == SVCAUTH_SECRET_KIND_CALLBACK    ? "callback"
                                                                 : "unknown";
    char *name = output_text(output, SVCAUTH_OUTPUT_TEXT_SECRET);
    size_t room = strlen(word) + strlen(name) + 2;
    char *place = malloc(room);
    snprintf(place, room, "%s %s", word, name);
    free(name);
    return place;
}

static char decoded_digit(const char *digits)
{
    char pair[3] = {digits[0], digits[1], 0};
    return (char)strtol(pair, NULL, 16);
}

static json_t *decoded(const char *text, const char *end)
{
    char *copy = malloc((size_t)(end - text) + 1);
    size_t len = 0;
    for (; text < end; text++) {
        if (*text == '%' && end - text > 2) {
            copy[len++] = decoded_digit(text + 1);
            text += 2;
        } else {
            copy[len++] = *text == '+' ? ' ' : *text;
        }
    }
    json_t *value = json_stringn(copy, len);
    free(copy);
    return value;
}

// A name that stands there more than once has a list.
static json_t *show_form(const char *body, size_t len)
{
    json_t *form = json_object();
    const char *end = body + len;
    while (body < end) {
        const char *next = memchr(body, '&', (size_t)(end - body));
        const char *stop = next == NULL ? end : next;
        const char *equals = memchr(body, '=', (size_t)(stop - body));
        if (equals == NULL)
            equals = stop;
        json_t *name = decoded(body, equals), *value = decoded(equals < stop ? equals + 1 : stop, stop);
        json_t *first = json_object_get(form, json_string_value(name));
        if (first == NULL)
            json_object_set_new(form, json_string_value(name), value);
        else if (json_is_array(first))
            json_array_append_new(first, value);
        else
            json_object_set_new(form, json_string_value(name), json_pack("[O, o]", first, value));
        json_decref(name);
        body = next == NULL ? end : next + 1;
    }
    return form;
}

static json_t *show_headers(host *host, const svcauth_output *output, uint32_t count)
{
    json_t *headers = json_object();
    for (uint32_t at = 0; at < count; at++) {
        const char *name = NULL, *value = NULL;
        size_t name_len = 0, value_len = 0;
        char lower[128] = "";
        MUST(svcauth_output_header(output, at, &name, &name_len, &value, &value_len));
        for (size_t i = 0; i < name_len && i + 1 < sizeof lower; i++)
            lower[i] = (char)tolower((unsigned char)name[i]);
        json_object_set_new(headers, lower, json_stringn(value, value_len));
    }
    return headers;
}

static json_t *show_send(host *host, const svcauth_output *output)
{
    svcauth_send_info info = {0};
    MUST(svcauth_output_send(output, &info));
    char *method = output_text(output, SVCAUTH_OUTPUT_TEXT_METHOD), *url = output_text(output, SVCAUTH_OUTPUT_TEXT_URL);
    json_t *headers = show_headers(host, output, info.headers);
    json_t *shown = json_pack("{s:o, s:O, s:I, s:I}", "send", json_sprintf("%s %s", method, url), "headers", headers,
                              "timeout", (json_int_t)info.timeout_ms, "max_bytes", (json_int_t)info.max_bytes);
    free(method);
    free(url);

    const char *authorization = json_string_value(json_object_get(headers, "authorization"));
    if (authorization != NULL && strncmp(authorization, "Basic ", 6) == 0) {
        struct base64_decode_ctx context;
        size_t len = strlen(authorization + 6);
        uint8_t *pair = malloc(BASE64_DECODE_LENGTH(len));
        base64_decode_init(&context);
        if (base64_decode_update(&context, &len, pair, len, authorization + 6))
            json_object_set_new(shown, "basic", json_stringn((const char *)pair, len));
        free(pair);
    }
    const char *body = NULL, *type = json_string_value(json_object_get(headers, "content-type"));
    size_t len = 0;
    MUST(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_BODY, &body, &len));
    if (type != NULL && strcmp(type, "application/x-www-form-urlencoded") == 0)
        json_object_set_new(shown, "form", show_form(body, len));
    else if (type != NULL && strcmp(type, "application/json") == 0)
        json_object_set_new(shown, "json", json_of(body, len));
    else if (len > 0)
        json_object_set_new(shown, "body", json_stringn(body, len));
    json_decref(headers);
    return shown;
}

static json_t *show_store_task(host *host, const svcauth_output *output)
{
    svcauth_store_info info = {0};
    MUST(svcauth_output_store(output, &info));
    char *key = output_text(output, SVCAUTH_OUTPUT_TEXT_KEY);
    json_t *shown;
    switch (info.operation) {
    case SVCAUTH_STORE_OPERATION_GET:
        shown = json_pack("{s:s, s:s}", "store", "get", "key", key);
        break;
    case SVCAUTH_STORE_OPERATION_PUT:
        shown = json_pack("{s:s, s:s, s:I, s:o}", "store", "put_if", "key", key, "version", (json_int_t)info.version,
                          "record", output_json(output, SVCAUTH_OUTPUT_TEXT_VALUE));
        break;
    case SVCAUTH_STORE_OPERATION_LOCK:
        shown = json_pack("{s:s, s:s, s:I}", "store", "lock", "key", key, "ttl", (json_int_t)info.ttl_ms);
        break;
    case SVCAUTH_STORE_OPERATION_UNLOCK:
        shown = json_pack("{s:s, s:s, s:I}", "store", "unlock", "key", key, "fence", (json_int_t)info.fence);
        break;
    default:
        shown = json_pack("{s:s}", "store", "unknown");
    }
    free(key);
    return shown;
}

json_t *show_task(host *host, const svcauth_output *output, svcauth_output_kind kind)
{
    json_t *shown;
    if (kind == SVCAUTH_OUTPUT_KIND_SEND) {
        shown = show_send(host, output);
    } else if (kind == SVCAUTH_OUTPUT_KIND_STORE) {
        shown = show_store_task(host, output);
    } else if (kind == SVCAUTH_OUTPUT_KIND_READ_SECRET) {
        char *place = show_place(output);
        shown = json_pack("{s:s}", "read_secret", place);
        free(place);
    } else if (kind == SVCAUTH_OUTPUT_KIND_RANDOM) {
        uint64_t bytes = 0;
        MUST(svcauth_output_random(output, &bytes));
        shown = json_pack("{s:I}", "random", (json_int_t)bytes);
    } else {
        shown = json_pack("{s:i}", "unknown", (int)kind);
    }
    svcauth_task_info task = {0};
    MUST(svcauth_output_task(output, &task));
    json_object_set_new(shown, "deadline", since(host, task.deadline_ms));
    return shown;
}

static json_t *lease_text(host *host, const svcauth_lease *lease, svcauth_lease_text which)
{
    const char *text = NULL;
    size_t len = 0;
    MUST(svcauth_lease_get_text(lease, which, &text, &len));
    return text_or_null(text, len);
}

json_t *show_lease(host *host, const svcauth_lease *lease)
{
    svcauth_lease_info info = {0};
    MUST(svcauth_lease_get_info(lease, &info));
    json_t *scopes = json_array(), *token = lease_text(host, lease, SVCAUTH_LEASE_TEXT_VALUE);
    for (uint32_t at = 0; at < info.scopes; at++) {
        const char *scope = NULL;
        size_t len = 0;
        MUST(svcauth_lease_scope(lease, at, &scope, &len));
        json_array_append_new(scopes, json_stringn(scope, len));
    }
    json_t *authorization = lease_text(host, lease, SVCAUTH_LEASE_TEXT_AUTHORIZATION);
    json_t *expected = json_sprintf("Bearer %s", json_string_value(token));
    if (info.id != id_of(json_string_value(token)) || !json_equal(authorization, expected))
        host_differs(host, "the lease's id or authorization is not its token's");
    json_decref(authorization);
    json_decref(expected);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "token", token, "refresh_at",
                     since(host, info.refresh_at_ms), "ask_at", since(host, info.ask_at_ms), "serve_until",
                     since(host, info.serve_until_ms), "expires_at", since(host, info.expires_at_ms),
                     "expires_at_wall", wall_since(info.expires_at_wall_ms), "scopes", scopes, "client_id",
                     lease_text(host, lease, SVCAUTH_LEASE_TEXT_CLIENT_ID), "subject",
                     lease_text(host, lease, SVCAUTH_LEASE_TEXT_SUBJECT));
}

static void set_text(host *host, json_t *shown, const char *name, const svcauth_error *error, svcauth_error_text which)
{
    const char *text = NULL;
    size_t len = 0;
    MUST(svcauth_error_get_text(error, which, &text, &len));
    if (text != NULL)
        json_object_set_new(shown, name, json_stringn(text, len));
}

json_t *show_error(host *host, const svcauth_error *error)
{
    svcauth_error_info info = {0};
    MUST(svcauth_error_get_info(error, &info));
    const char *display = NULL;
    size_t len = 0;
    MUST(svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &display, &len));
    check_planted(host, display, len);

    json_t *shown = json_object(), *oauth = json_object();
    set_text(host, shown, "code", error, SVCAUTH_ERROR_TEXT_CODE);
    set_text(host, shown, "message", error, SVCAUTH_ERROR_TEXT_MESSAGE);
    set_text(host, shown, "member", error, SVCAUTH_ERROR_TEXT_MEMBER);
    set_text(host, shown, "challenge", error, SVCAUTH_ERROR_TEXT_CHALLENGE);
    set_text(host, oauth, "error", error, SVCAUTH_ERROR_TEXT_OAUTH_ERROR);
    set_text(host, oauth, "description", error, SVCAUTH_ERROR_TEXT_OAUTH_DESCRIPTION);
    if (json_object_size(oauth) > 0)
        json_object_set(shown, "oauth", oauth);
    json_decref(oauth);
    json_object_set_new(shown, "fault", json_string(info.code < 200   ? "caller"
                                                    : info.code < 300 ? "server"
                                                    : info.code < 400 ? "network"
                                                                      : "internal"));
    if (info.http_status != 0)
        json_object_set_new(shown, "status", json_integer(info.http_status));
    if (info.has_offset)
        json_object_set_new(shown, "offset", json_integer((json_int_t)info.offset));
    if (info.has_retry_after)
        json_object_set_new(shown, "retry_after_ms", json_integer((json_int_t)info.retry_after_ms));
    return shown;
}

json_t *show_failed(host *host, svcauth_error *error)
{
    svcauth_error_info info = {0};
    MUST(svcauth_error_get_info(error, &info));
    json_t *retry_at = info.has_retry_at ? since(host, info.retry_at_ms) : json_null();
    json_t *shown = json_pack("{s:{s:o, s:o}}", "failed", "error", show_error(host, error), "retry_at", retry_at);
    MUST(svcauth_error_free(error));
    return shown;
}

json_t *show_change(host *host, const svcauth_output *output)
{
    svcauth_lease_change_info change = {0};
    const char *subject = NULL;
    size_t len = 0;
    MUST(svcauth_output_lease_change(output, &change));
    MUST(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_SUBJECT, &subject, &len));
    json_t *shown;
    if (change.state == SVCAUTH_LEASE_STATE_READY || change.state == SVCAUTH_LEASE_STATE_ONCE) {
        svcauth_lease *lease = NULL;
        MUST(svcauth_output_lease(output, &lease));
        json_t *held = show_lease(host, lease);
        const char *token = json_string_value(json_object_get(held, "token"));
        json_t *before = json_object_get(host->announced, token);
        if (before != NULL)
            MUST(svcauth_lease_release((svcauth_lease *)(uintptr_t)json_integer_value(before)));
        json_object_set_new(host->announced, token, json_integer((json_int_t)(uintptr_t)lease));
        shown = json_pack("{s:o}", change.state == SVCAUTH_LEASE_STATE_READY ? "ready" : "once", held);
    } else if (change.state == SVCAUTH_LEASE_STATE_FAILED) {
        svcauth_error *error = NULL;
        MUST(svcauth_output_error(output, &error));
        shown = show_failed(host, error);
    } else {
        shown = json_pack("{s:b}", change.state == SVCAUTH_LEASE_STATE_CLEARED ? "cleared" : "unknown", 1);
    }
    if (change.target >= host->target_count)
        host_differs(host, "no target has the number %u", change.target);
    else
        json_object_set_new(shown, "target", json_string(host->targets[change.target]));
    if (subject != NULL) {
        const char *user = known_subject(host, subject, len);
        json_object_set_new(shown, "user", user == NULL ? json_null() : json_string(user));
    }
    return shown;
}

json_t *show_event(host *host, const svcauth_output *output)
{
    static const char *const ids[] = {"lease", "subject"};
    const char *text = NULL;
    size_t len = 0;
    MUST(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_EVENT, &text, &len));
    check_planted(host, text, len);
    json_t *event = json_of(text, len);
    for (size_t at = 0; at < sizeof ids / sizeof *ids; at++) {
        const char *id = json_string_value(json_object_get(event, ids[at]));
        const char *known = id == NULL ? NULL : known_text(host, id);
        if (known != NULL)
            json_object_set_new(event, ids[at], json_string(known));
    }
    return event;
}

json_t *show_health(host *host)
{
    json_t *all = json_object();
    for (uint32_t target = 0; target < host->target_count; target++) {
        svcauth_text *made = NULL;
        const char *text = NULL;
        size_t len = 0;
        MUST(svcauth_client_health(host->client, target, &made, NULL));
        MUST(svcauth_text_get(made, &text, &len));
        check_planted(host, text, len);
        json_t *health = json_of(text, len);
        MUST(svcauth_text_free(made));
        json_t *expires = json_object_get(health, "expires_at_wall_ms"), *retry = json_object_get(health, "retry_at_ms");
        if (json_is_integer(expires))
            json_object_set_new(health, "expires_at_wall", wall_since((uint64_t)json_integer_value(expires)));
        if (json_is_integer(retry))
            json_object_set_new(health, "retry_at", since(host, (uint64_t)json_integer_value(retry)));
        json_object_set_new(all, host->targets[target], health);
    }
    return all;
}

json_t *show_stats(host *host)
{
    svcauth_stats stats = {0};
    MUST(svcauth_client_stats(host->client, &stats, NULL));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)stats.requests,
                     "token_requests", (json_int_t)stats.token_requests, "tokens_received",
                     (json_int_t)stats.tokens_received, "failures", (json_int_t)stats.failures, "rejections",
                     (json_int_t)stats.rejections, "tasks_overdue", (json_int_t)stats.tasks_overdue,
                     "outcomes_ignored", (json_int_t)stats.outcomes_ignored, "events_dropped",
                     (json_int_t)stats.events_dropped);
}
