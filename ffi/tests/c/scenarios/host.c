#include "host.h"
#include "planted.h"
#include "show.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// More than any scenario needs between two steps; a client that spins goes past it.
#define MOST_OUTPUTS 10000
#define UNKNOWN_TASK 999999

void host_differs(host *host, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) >= 0)
        json_array_append_new(host->differences, json_string(text));
    va_end(arguments);
    free(text);
}

uint64_t host_mono(const host *host)
{
    return (uint64_t)((int64_t)host->mono_ms + host->mono_step);
}

uint64_t host_wall(const host *host)
{
    return (uint64_t)(WALL_START + (int64_t)host->mono_ms - MONO_START + host->wall_step);
}

static void must(host *host, const char *what, svcauth_result result)
{
    if (result != SVCAUTH_RESULT_OK)
        host_differs(host, "%s: result %u", what, (unsigned)result);
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static size_t length(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

// Making the client.

static uint32_t capabilities(const json_t *scenario)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } all[] = {
        {"secret_files", SVCAUTH_CAPABILITY_SECRET_FILES},       {"secret_env", SVCAUTH_CAPABILITY_SECRET_ENVIRONMENT},
        {"secret_callback", SVCAUTH_CAPABILITY_SECRET_CALLBACK}, {"durable_store", SVCAUTH_CAPABILITY_DURABLE_STORE},
        {"client_certificate", SVCAUTH_CAPABILITY_CLIENT_CERTIFICATE},
    };
    uint32_t bits = 0;
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        if (!json_is_false(json_object_get(json_object_get(scenario, "capabilities"), all[at].name)))
            bits |= all[at].bit;
    return bits;
}

static svcauth_error *make_client(host *host)
{
    json_t *config = json_object_get(host->scenario, "config"), *target;
    char *text = json_dumps(config, JSON_COMPACT);
    svcauth_error *error = NULL;
    svcauth_result result = svcauth_client_new(text, strlen(text), capabilities(host->scenario), 1, host_mono(host),
                                               host_wall(host), &host->client, &error);
    free(text);
    if (result != SVCAUTH_RESULT_OK)
        return error;
    const char *name;
    host->target_count = (uint32_t)json_object_size(json_object_get(config, "targets"));
    json_object_foreach(json_object_get(config, "targets"), name, target) {
        uint32_t number = MOST_TARGETS;
        must(host, "target", svcauth_client_target(host->client, name, strlen(name), &number, NULL));
        if (number < host->target_count && number < MOST_TARGETS)
            host->targets[number] = name;
        else
            host_differs(host, "%s has the number %u", name, number);
    }
    host->ignored = 0;
    host->open_count = 0;
    return NULL;
}

static void change_secrets(host *host, json_t *change)
{
    const char *place;
    json_t *secret;
    json_object_foreach(change, place, secret) {
        if (!json_is_string(secret)) {
            json_object_del(host->secrets, place);
            continue;
        }
        // White space at its end is no part of it.
        char *bare = strdup(json_string_value(secret));
        for (size_t len = strlen(bare); len > 0 && strchr(" \t\r\n", bare[len - 1]) != NULL;)
            bare[--len] = 0;
        plant(host, bare);
        free(bare);
        json_object_set(host->secrets, place, secret);
    }
}

json_t *host_start(host *host, const json_t *scenario)
{
    memset(host, 0, sizeof *host);
    host->scenario = scenario;
    host->mono_ms = MONO_START;
    host->idle_until = UINT64_MAX;
    host->secrets = json_object();
    host->names = json_object();
    host->handed_out = json_array();
    host->known = json_object();
    host->planted = json_array();
    host->announced = json_object();
    host->records = json_object();
    host->differences = json_array();
    host->tasks = json_array();
    host->leases = json_array();
    host->events = json_array();
    store_start(&host->store);
    svcauth_error *error = make_client(host);
    if (error != NULL) {
        json_t *shown = show_error(host, error);
        must(host, "free", svcauth_error_free(error));
        return shown;
    }
    change_secrets(host, json_object_get(scenario, "secrets"));
    store_change(&host->store, json_object_get(scenario, "store"));
    return NULL;
}

void host_end(host *host)
{
    const char *token;
    json_t *lease;
    json_object_foreach(host->announced, token, lease)
        must(host, "release", svcauth_lease_release((svcauth_lease *)(uintptr_t)json_integer_value(lease)));
    must(host, "free", svcauth_client_free(host->client));
    store_end(&host->store);
    json_decref(host->secrets);
    json_decref(host->names);
    json_decref(host->handed_out);
    json_decref(host->known);
    json_decref(host->planted);
    json_decref(host->announced);
    json_decref(host->records);
    json_decref(host->differences);
    json_decref(host->tasks);
    json_decref(host->leases);
    json_decref(host->events);
}

// Answering tasks.

// The list of header fields that an answer has, as lines; the caller frees it.
static char *header_lines(json_t *answer)
{
    json_t *headers = json_object_get(answer, "headers"), *value, *item;
    const char *name;
    size_t len = 0, at;
    char *lines = NULL;
    FILE *out = open_memstream(&lines, &len);
    json_object_foreach(headers, name, value) {
        if (json_is_string(value))
            fprintf(out, "%s: %s\r\n", name, json_string_value(value));
        json_array_foreach(value, at, item)
            fprintf(out, "%s: %s\r\n", name, json_string_value(item));
    }
    if (json_object_get(answer, "json") != NULL && json_object_get(headers, "content-type") == NULL)
        fputs("content-type: application/json\r\n", out);
    fclose(out);
    return lines;
}

static svcauth_result respond(host *host, uint64_t id, json_t *answer)
{
    json_t *status = json_object_get(answer, "status"), *value = json_object_get(answer, "json"),
           *text = json_object_get(answer, "text");
    char *lines = header_lines(answer), *json = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *body = json != NULL ? json : json_string_value(text);
    svcauth_result result = svcauth_client_complete_response(
        host->client, id, status == NULL ? 200 : (uint32_t)json_integer_value(status), lines, strlen(lines),
        (const uint8_t *)body, json != NULL ? strlen(json) : json_string_length(text), host_mono(host), host_wall(host), NULL);
    free(lines);
    free(json);
    return result;
}

static svcauth_send_failure send_failure(const char *name)
{
    static const char *const names[] = {"", "refused", "timeout", "tls", "too_large", "broken"};
    for (uint32_t at = 1; at < sizeof names / sizeof *names; at++)
        if (strcmp(name, names[at]) == 0)
            return at;
    return 0;
}

static svcauth_result complete(host *host, uint64_t id, json_t *answer)
{
    static const struct {
        const char *name;
        svcauth_store_outcome outcome;
    } outcomes[] = {
        {"stored", SVCAUTH_STORE_OUTCOME_STORED}, {"conflict", SVCAUTH_STORE_OUTCOME_CONFLICT},
        {"locked", SVCAUTH_STORE_OUTCOME_LOCKED}, {"held", SVCAUTH_STORE_OUTCOME_HELD},
        {"done", SVCAUTH_STORE_OUTCOME_DONE},
    };
    svcauth_client *client = host->client;
    uint64_t mono = host_mono(host), wall = host_wall(host);
    json_t *bytes = json_object_get(answer, "bytes"), *record = json_object_get(answer, "record");
    const char *failed = member(answer, "failed"), *fails = member(answer, "fails");
    if (bytes != NULL)
        return svcauth_client_complete_bytes(client, id, (const uint8_t *)json_string_value(bytes),
                                             json_string_length(bytes), mono, wall, NULL);
    if (failed != NULL)
        return svcauth_client_complete_failed(client, id, failed, strlen(failed), mono, wall, NULL);
    if (fails != NULL)
        return svcauth_client_complete_send_failed(client, id, send_failure(fails), NULL, 0, mono, wall, NULL);
    if (json_is_true(json_object_get(answer, "unsupported")))
        return svcauth_client_complete_unsupported(client, id, mono, wall, NULL);
    if (record != NULL || json_object_get(answer, "version") != NULL) {
        char *text = record == NULL || json_is_null(record) ? NULL : json_dumps(record, JSON_COMPACT | JSON_ENCODE_ANY);
        uint64_t version = (uint64_t)json_integer_value(json_object_get(answer, "version"));
        svcauth_result result = svcauth_client_complete_record(client, id, (const uint8_t *)text, length(text), version,
                                                               mono, wall, NULL);
        free(text);
        return result;
    }
    for (size_t at = 0; at < sizeof outcomes / sizeof *outcomes; at++) {
        json_t *number = json_object_get(answer, outcomes[at].name);
        if (number != NULL)
            return svcauth_client_complete_store(client, id, outcomes[at].outcome,
                                                 json_is_null(number) ? UINT64_MAX : (uint64_t)json_integer_value(number),
                                                 mono, wall, NULL);
    }
    return respond(host, id, answer);
}

static uint64_t task_to_answer(host *host, const char *name)
{
    if (name != NULL && strcmp(name, "unknown") == 0)
        return UNKNOWN_TASK;
    if (name != NULL) {
        json_t *id = json_object_get(host->names, name);
        if (id == NULL)
            host_differs(host, "no task has the name %s", name);
        return (uint64_t)json_integer_value(id);
    }
    for (size_t at = 0; at < host->open_count; at++)
        if (host->open[at].deadline_ms > host_mono(host))
            return host->open[at].id;
    host_differs(host, "no task is open");
    return UNKNOWN_TASK;
}

static json_t *answer(host *host, const json_t *step, json_t *given)
{
    svcauth_stats stats = {0};
    uint64_t id = task_to_answer(host, member(step, "task")), before = host->ignored;
    size_t kept = 0;
    for (size_t at = 0; at < host->open_count; at++)
        if (host->open[at].id != id)
            host->open[kept++] = host->open[at];
    host->open_count = kept;
    must(host, "complete", complete(host, id, given));
    must(host, "stats", svcauth_client_stats(host->client, &stats, NULL));
    host->ignored = stats.outcomes_ignored;
    return json_string(host->ignored > before ? "ignored" : "accepted");
}

// Asking.

static uint32_t target_number(host *host, const char *name)
{
    uint32_t number = 0;
    must(host, name, svcauth_client_target(host->client, name, strlen(name), &number, NULL));
    return number;
}

// A call that carries a user's or the service's own lease for a target, as `token` and `reject` mean it.
static svcauth_decision *decision_for(host *host, const char *target, const char *user)
{
    json_t *targets = json_object_get(json_object_get(host->scenario, "config"), "targets");
    json_t *urls = json_object_get(json_object_get(targets, target), "urls");
    const char *url = json_string_value(json_array_get(urls, 0));
    svcauth_decision *decision = NULL;
    must(host, "decide", svcauth_client_decide(host->client, url, length(url), user != NULL ? SVCAUTH_CALL_HAS_USER_TOKEN : 0,
                                               user, length(user), NULL, 0, &decision, NULL));
    return decision;
}

// `name` and the lease, which is released.
static json_t *with_lease(host *host, const char *name, svcauth_lease *lease)
{
    json_t *shown = json_pack("{s:o}", name, show_lease(host, lease));
    must(host, "release", svcauth_lease_release(lease));
    return shown;
}

static json_t *token(host *host, const char *target, const char *user)
{
    svcauth_token_state state = 0;
    svcauth_lease *lease = NULL;
    svcauth_error *error = NULL;
    svcauth_result result;
    if (user == NULL) {
        result = svcauth_client_token(host->client, target_number(host, target), host_mono(host), host_wall(host), &state,
                                      &lease, &error);
    } else {
        svcauth_decision *decision = decision_for(host, target, user);
        result = svcauth_client_token_for(host->client, decision, host_mono(host), host_wall(host), &state, &lease, &error);
        must(host, "free", svcauth_decision_free(decision));
    }
    if (result != SVCAUTH_RESULT_OK)
        return show_failed(host, error);
    return state == SVCAUTH_TOKEN_STATE_READY ? with_lease(host, "ready", lease) : json_string("pending");
}

static json_t *reject(host *host, const json_t *step, const char *refused, svcauth_replay replay)
{
    const char *target = member(step, "target");
    svcauth_rejection what = 0;
    svcauth_lease *lease = NULL;
    svcauth_decision *decision = decision_for(host, target == NULL ? "smd" : target, member(step, "user"));
    svcauth_result result = svcauth_client_reject(host->client, decision, id_of(refused), replay, host_mono(host),
                                                  host_wall(host), &what, &lease, NULL);
    must(host, "free", svcauth_decision_free(decision));
    if (replay == SVCAUTH_REPLAY_IMPOSSIBLE) {
        // Here a report is about a decision, and the configuration may say that no such call carries a lease.
        if (result != SVCAUTH_RESULT_WRONG_KIND && (result != SVCAUTH_RESULT_OK || what != SVCAUTH_REJECTION_DELIVER))
            host_differs(host, "report: result %u, %u", result, what);
        return json_null();
    }
    must(host, "reject", result);
    if (what == SVCAUTH_REJECTION_RETRY)
        return with_lease(host, "retry", lease);
    return json_string(what == SVCAUTH_REJECTION_WAIT ? "wait" : what == SVCAUTH_REJECTION_DELIVER ? "deliver" : "unknown");
}

static json_t *record(host *host, const char *of)
{
    json_t *lease = json_object_get(host->announced, of);
    svcauth_text *made = NULL;
    const char *text = NULL;
    size_t len = 0;
    if (lease == NULL) {
        host_differs(host, "no lease has the token %s", of);
        return json_null();
    }
    must(host, "record", svcauth_lease_record((svcauth_lease *)(uintptr_t)json_integer_value(lease), host_mono(host),
                                              host_wall(host), &made, NULL));
    must(host, "text", svcauth_text_get(made, &text, &len));
    json_object_set_new(host->records, of, text_or_null(text, len));
    must(host, "free", svcauth_text_free(made));
    return json_null();
}

static json_t *adopt(host *host, const json_t *step, const char *of)
{
    const char *target = member(step, "target"), *clock = member(step, "clock"), *text = member(host->records, of);
    svcauth_adoption what = 0;
    must(host, "adopt",
         svcauth_client_adopt(host->client, target_number(host, target == NULL ? "smd" : target), text, length(text),
                              clock != NULL && strcmp(clock, "same") == 0 ? SVCAUTH_RECORD_CLOCK_SAME
                                                                          : SVCAUTH_RECORD_CLOCK_OTHER,
                              host_mono(host), host_wall(host), &what, NULL));
    return json_string(what == SVCAUTH_ADOPTION_ADOPTED       ? "adopted"
                       : what == SVCAUTH_ADOPTION_NOT_ADOPTED ? "not_adopted"
                                                              : "unknown");
}

static json_t *start_registration(host *host)
{
    svcauth_registration_state state = 0;
    svcauth_error *error = NULL;
    if (svcauth_client_register(host->client, host_mono(host), host_wall(host), &state, &error) != SVCAUTH_RESULT_OK)
        return show_failed(host, error);
    return json_string(state == SVCAUTH_REGISTRATION_STATE_REGISTERED ? "registered" : "pending");
}

static void restart(host *host, const json_t *step)
{
    must(host, "free", svcauth_client_free(host->client));
    host->client = NULL;
    host->mono_step += json_integer_value(json_object_get(step, "mono_step"));
    svcauth_error *error = make_client(host);
    if (error != NULL) {
        host_differs(host, "the client cannot be made again");
        must(host, "free", svcauth_error_free(error));
    }
}

static json_t *answered(host *host, const svcauth_decision *decision, json_t *answer)
{
    static const char *const words[] = {"unknown", "deliver", "retry", "report"};
    json_t *challenge;
    size_t at, len = 0;
    char *fields = NULL;
    FILE *out = open_memstream(&fields, &len);
    json_array_foreach(json_object_get(answer, "www_authenticate"), at, challenge)
        fprintf(out, "WWW-Authenticate: %s\r\n", json_string_value(challenge));
    fclose(out);
    svcauth_answered what = 0;
    must(host, "answered",
         svcauth_client_answered(host->client, decision, (uint32_t)json_integer_value(json_object_get(answer, "status")),
                                 fields, len,
                                 json_is_true(json_object_get(answer, "replayable")) ? SVCAUTH_REPLAY_POSSIBLE
                                                                                     : SVCAUTH_REPLAY_IMPOSSIBLE,
                                 &what, NULL));
    free(fields);
    return json_string(words[what < 4 ? what : 0]);
}

static json_t *call(host *host, json_t *made)
{
    static const char *const kinds[] = {"unknown", "nothing", "user_token", "lease"};
    const char *url = member(made, "url"), *user = member(made, "user_token"), *from = member(made, "redirected_from");
    uint32_t flags = (json_is_true(json_object_get(made, "has_authorization")) ? SVCAUTH_CALL_HAS_AUTHORIZATION : 0) |
                     (json_is_true(json_object_get(made, "user_required")) ? SVCAUTH_CALL_USER_REQUIRED : 0) |
                     (user != NULL ? SVCAUTH_CALL_HAS_USER_TOKEN : 0) | (from != NULL ? SVCAUTH_CALL_REDIRECTED : 0);
    svcauth_decision *decision = NULL;
    svcauth_error *error = NULL;
    if (svcauth_client_decide(host->client, url, length(url), flags, user, length(user), from, length(from), &decision,
                              &error) != SVCAUTH_RESULT_OK) {
        json_t *shown = json_pack("{s:o}", "refused", show_error(host, error));
        must(host, "free", svcauth_error_free(error));
        return shown;
    }
    svcauth_decision_kind kind = 0;
    uint32_t target = 0;
    const char *text = NULL;
    size_t len = 0;
    must(host, "kind", svcauth_decision_get_kind(decision, &kind));
    json_t *shown = json_pack("{s:s}", "carries", kinds[kind < 4 ? kind : 0]);
    if (svcauth_decision_target(decision, &target) == SVCAUTH_RESULT_OK && target < host->target_count)
        json_object_set_new(shown, "target", json_string(host->targets[target]));
    must(host, "user's token", svcauth_decision_get_text(decision, SVCAUTH_DECISION_TEXT_USER_TOKEN, &text, &len));
    if (text != NULL)
        json_object_set_new(shown, "user", json_stringn(text, len));
    must(host, "subject", svcauth_decision_get_text(decision, SVCAUTH_DECISION_TEXT_SUBJECT, &text, &len));
    if (text != NULL) {
        const char *known = known_subject(host, text, len);
        json_object_set_new(shown, "user", text_or_null(known, length(known)));
    }
    json_t *came = json_object_get(made, "answer");
    if (came != NULL)
        json_object_set_new(shown, "answered", answered(host, decision, came));
    must(host, "free", svcauth_decision_free(decision));
    return shown;
}

static json_t *act(host *host, const json_t *step)
{
    const char *of;
    json_t *value;
    if ((of = member(step, "token")) != NULL)
        return token(host, of, member(step, "user"));
    if ((of = member(step, "reject")) != NULL)
        return reject(host, step, of, SVCAUTH_REPLAY_POSSIBLE);
    if ((of = member(step, "report")) != NULL)
        return reject(host, step, of, SVCAUTH_REPLAY_IMPOSSIBLE);
    if ((value = json_object_get(step, "answer")) != NULL)
        return answer(host, step, value);
    if (json_is_true(json_object_get(step, "register")))
        return start_registration(host);
    if ((of = member(step, "record")) != NULL)
        return record(host, of);
    if ((of = member(step, "adopt")) != NULL)
        return adopt(host, step, of);
    if (json_is_true(json_object_get(step, "secrets_changed")))
        must(host, "secrets changed",
             svcauth_client_secrets_changed(host->client, host_mono(host), host_wall(host), NULL));
    if (json_is_true(json_object_get(step, "restart")))
        restart(host, step);
    value = json_object_get(step, "call");
    return value == NULL ? json_null() : call(host, value);
}

// Polling.

static int is_by_hand(const host *host, svcauth_output_kind kind)
{
    const char *name = kind == SVCAUTH_OUTPUT_KIND_READ_SECRET ? "read_secret"
                       : kind == SVCAUTH_OUTPUT_KIND_RANDOM    ? "random"
                       : kind == SVCAUTH_OUTPUT_KIND_STORE     ? "store"
                                                               : NULL;
    json_t *given;
    size_t at;
    if (name == NULL)
        return 1;
    json_array_foreach(json_object_get(host->scenario, "by_hand"), at, given) {
        if (strcmp(json_string_value(given), name) == 0)
            return 1;
    }
    return 0;
}

static svcauth_result read_secret(host *host, const svcauth_output *output, uint64_t id)
{
    static const char none[] = "no such file or directory";
    char *place = show_place(output);
    json_t *secret = json_object_get(host->secrets, place);
    free(place);
    if (secret == NULL)
        return svcauth_client_complete_failed(host->client, id, none, strlen(none), host_mono(host), host_wall(host), NULL);
    return svcauth_client_complete_bytes(host->client, id, (const uint8_t *)json_string_value(secret),
                                         json_string_length(secret), host_mono(host), host_wall(host), NULL);
}

static svcauth_result take_random(host *host, const svcauth_output *output, uint64_t id)
{
    uint64_t count = 0;
    must(host, "random", svcauth_output_random(output, &count));
    uint8_t *bytes = malloc(count + 1);
    for (uint64_t at = 0; at < count; at++)
        bytes[at] = host->random++;
    svcauth_result result =
        svcauth_client_complete_bytes(host->client, id, bytes, count, host_mono(host), host_wall(host), NULL);
    free(bytes);
    return result;
}

static void do_task(host *host, const svcauth_output *output, svcauth_output_kind kind)
{
    svcauth_task_info task = {0};
    must(host, "task", svcauth_output_task(output, &task));
    if (is_by_hand(host, kind)) {
        json_array_append_new(host->tasks, show_task(host, output, kind));
        json_array_append_new(host->handed_out, json_integer((json_int_t)task.id));
        if (host->open_count < MOST_OPEN)
            host->open[host->open_count++] = (open_task){task.id, task.deadline_ms};
        return;
    }
    must(host, "complete", kind == SVCAUTH_OUTPUT_KIND_STORE         ? store_use(host, output, task.id)
                           : kind == SVCAUTH_OUTPUT_KIND_READ_SECRET ? read_secret(host, output, task.id)
                                                                     : take_random(host, output, task.id));
}

static void take(host *host, svcauth_output *output)
{
    svcauth_output_kind kind = 0;
    must(host, "kind", svcauth_output_get_kind(output, &kind));
    if (kind == SVCAUTH_OUTPUT_KIND_LEASE)
        json_array_append_new(host->leases, show_change(host, output));
    else if (kind == SVCAUTH_OUTPUT_KIND_EVENT)
        json_array_append_new(host->events, show_event(host, output));
    else if (kind != SVCAUTH_OUTPUT_KIND_CALLS_CHANGED)
        do_task(host, output, kind);
    must(host, "free", svcauth_output_free(output));
}

static void poll(host *host)
{
    for (int count = 0; count < MOST_OUTPUTS; count++) {
        svcauth_output *output = NULL;
        uint64_t until = 0;
        svcauth_result result =
            svcauth_client_poll(host->client, host_mono(host), host_wall(host), &output, &until, NULL);
        if (result != SVCAUTH_RESULT_OK) {
            must(host, "poll", result);
            return;
        }
        if (output != NULL) {
            take(host, output);
            continue;
        }
        host->idle_until = until == UINT64_MAX ? until : (uint64_t)((int64_t)until - host->mono_step);
        if (host->idle_until <= host->mono_ms)
            host_differs(host, "idle until %lld, which is past", (long long)host->idle_until - MONO_START);
        return;
    }
    host_differs(host, "more than %d outputs without a pause", MOST_OUTPUTS);
}

// Polls at each time on the way that the client asked for; nothing may come of it before the step.
static void advance(host *host, uint64_t to, int asleep)
{
    if (to < host->mono_ms)
        host_differs(host, "the step's time is before that of the last step");
    while (!asleep && host->idle_until < to && json_array_size(host->differences) == 0) {
        host->mono_ms = host->idle_until;
        poll(host);
        if (json_array_size(host->tasks) + json_array_size(host->leases) + json_array_size(host->events) > 0)
            host_differs(host, "something happened before the step, at %lld", (long long)host->mono_ms - MONO_START);
    }
    host->mono_ms = to;
}

static void check_members(host *host, json_t *step)
{
    static const char known[] = " note at asleep wall_step secrets store token user reject report target answer task register"
                                " secrets_changed restart mono_step record adopt clock call expect ";
    const char *name;
    json_t *value;
    json_object_foreach(step, name, value) {
        char word[64];
        snprintf(word, sizeof word, " %s ", name);
        if (strstr(known, word) == NULL)
            host_differs(host, "%s is not known to the format", name);
    }
}

json_t *host_step(host *host, json_t *step)
{
    check_members(host, step);
    json_array_clear(host->tasks);
    json_array_clear(host->leases);
    json_array_clear(host->events);
    json_array_clear(host->handed_out);
    json_t *at = json_object_get(step, "at");
    if (at != NULL)
        advance(host, MONO_START + (uint64_t)json_integer_value(at), json_is_true(json_object_get(step, "asleep")));
    host->wall_step += json_integer_value(json_object_get(step, "wall_step"));
    change_secrets(host, json_object_get(step, "secrets"));
    store_change(&host->store, json_object_get(step, "store"));
    learn(host, step);
    json_t *result = act(host, step);
    poll(host);
    return json_pack("{s:o, s:O, s:O, s:O, s:o, s:o, s:o, s:o}", "result", result, "tasks", host->tasks, "leases",
                     host->leases, "events", host->events, "idle_until",
                     host->idle_until == UINT64_MAX ? json_null() : json_integer((json_int_t)host->idle_until - MONO_START),
                     "store", store_show(host), "health", show_health(host), "stats", show_stats(host));
}

void host_name_tasks(host *host, const json_t *step)
{
    json_t *task;
    size_t at;
    json_array_foreach(json_object_get(json_object_get(step, "expect"), "tasks"), at, task) {
        const char *name = member(task, "as");
        if (name != NULL)
            json_object_set(host->names, name, json_array_get(host->handed_out, at));
    }
}
