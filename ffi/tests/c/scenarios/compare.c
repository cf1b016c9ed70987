#include "compare.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static void differ(host *host, const char *path, const json_t *expected, const json_t *got)
{
    char *wanted = json_dumps(expected, JSON_ENCODE_ANY), *came = got == NULL ? NULL : json_dumps(got, JSON_ENCODE_ANY);
    host_differs(host, "%s: expected %s, got %s", path, wanted, came == NULL ? "nothing" : came);
    free(wanted);
    free(came);
}

static int is_member_of_body(const char *path)
{
    size_t len = strlen(path);
    return (len >= 5 && strcmp(path + len - 5, ".form") == 0) || strstr(path, ".json") != NULL;
}

static void compare_objects(host *host, const char *path, json_t *expected, json_t *got)
{
    char inner[1024];
    const char *name;
    json_t *value;
    json_object_foreach(expected, name, value) {
        if (strcmp(name, "as") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s.%s", path, name);
        compare(host, inner, value, json_object_get(got, name));
    }
    json_object_foreach(got, name, value) {
        if (is_member_of_body(path) && json_object_get(expected, name) == NULL)
            host_differs(host, "%s.%s: not expected", path, name);
    }
}

static void compare_arrays(host *host, const char *path, json_t *expected, json_t *got)
{
    char inner[1024];
    size_t wanted = json_array_size(expected), came = json_array_size(got);
    for (size_t at = 0; at < wanted || at < came; at++) {
        snprintf(inner, sizeof inner, "%s[%zu]", path, at);
        if (at >= wanted)
            host_differs(host, "%s: not expected", inner);
        else
            compare(host, inner, json_array_get(expected, at), json_array_get(got, at));
    }
}

void compare(host *host, const char *path, json_t *expected, json_t *got)
{
    const char *text = json_string_value(expected), *came = json_string_value(got);
    if (json_is_object(expected) && json_is_object(got)) {
        compare_objects(host, path, expected, got);
        return;
    }
    if (json_is_array(expected) && json_is_array(got)) {
        compare_arrays(host, path, expected, got);
        return;
    }
    int same;
    if (text != NULL && json_is_object(got)) {
        const char *event = json_string_value(json_object_get(got, "event"));
        same = event != NULL && strcmp(event, text) == 0;
    } else if (text != NULL && came != NULL && text[0] == '~') {
        same = strstr(came, text + 1) != NULL;
    } else if (json_is_number(expected) && json_is_number(got)) {
        same = json_number_value(expected) == json_number_value(got);
    } else if (json_is_null(expected)) {
        same = got == NULL || json_is_null(got);
    } else {
        same = json_equal(expected, got);
    }
    if (!same)
        differ(host, path, expected, got);
}

void compare_step(host *host, const json_t *step, const json_t *got)
{
    static const char *const lists[] = {"tasks", "leases", "events"};
    static const char *const others[] = {"idle_until", "store", "health", "stats"};
    json_t *expect = json_object_get(step, "expect"), *none = json_array(), *accepted = json_string("accepted");
    for (size_t at = 0; at < sizeof lists / sizeof *lists; at++) {
        json_t *expected = json_object_get(expect, lists[at]);
        const json_t *rule = expected;
        if (rule == NULL && strcmp(lists[at], "events") == 0)
            rule = json_object_get(host->scenario, "events");
        const char *any = json_string_value(rule);
        if (any == NULL || strcmp(any, "any") != 0)
            compare(host, lists[at], expected == NULL ? none : expected, json_object_get(got, lists[at]));
    }
    json_t *result = json_object_get(expect, "result"), *came = json_object_get(got, "result");
    if (result == NULL && json_object_get(step, "answer") != NULL)
        result = accepted;
    if (result != NULL)
        compare(host, "result", result, came);
    else if (!json_is_null(came))
        host_differs(host, "result: missing in expect");
    for (size_t at = 0; at < sizeof others / sizeof *others; at++) {
        json_t *expected = json_object_get(expect, others[at]);
        if (expected != NULL)
            compare(host, others[at], expected, json_object_get(got, others[at]));
    }
    json_decref(none);
    json_decref(accepted);
}
