#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *read_file(const char *folder, const char *name)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *content = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (content == NULL) {
        fprintf(stderr, "%s: line %d: %s\n", path, error.line, error.text);
        exit(1);
    }
    return content;
}

// RFC 7396.
static json_t *merge_patch(const json_t *target, json_t *patch)
{
    if (!json_is_object(patch))
        return json_incref(patch);
    json_t *result = json_is_object(target) ? json_copy((json_t *)target) : json_object();
    const char *name;
    json_t *value;
    json_object_foreach(patch, name, value) {
        if (json_is_null(value))
            json_object_del(result, name);
        else
            json_object_set_new(result, name, merge_patch(json_object_get(result, name), value));
    }
    return result;
}

static int is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(name, *names) == 0)
            return 1;
    return 0;
}

json_t *overlay(const json_t *below, const json_t *above)
{
    static const char *const merged[] = {"config", "capabilities", "secrets", "store", NULL};
    json_t *result = json_copy((json_t *)below);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)above, name, value) {
        json_t *under = json_object_get(result, name);
        if (strcmp(name, "let") == 0) {
            json_t *names = under == NULL ? json_object() : json_copy(under);
            json_object_update(names, value);
            json_object_set_new(result, name, names);
        } else if (is_one_of(name, merged)) {
            json_object_set_new(result, name, merge_patch(under, value));
        } else {
            json_object_set(result, name, value);
        }
    }
    return result;
}

static json_t *write_out(json_t *value, const json_t *names);

// What the text stands for; NULL where it is no name.
static json_t *named(const json_t *text, const json_t *names)
{
    const char *name = json_string_value(text);
    if (name == NULL || name[0] != '$')
        return NULL;
    json_t *found = json_object_get(names, name + 1);
    if (found == NULL) {
        fprintf(stderr, "%s is not in let\n", name);
        exit(1);
    }
    return write_out(found, names);
}

static json_t *write_out(json_t *value, const json_t *names)
{
    json_t *found = named(value, names), *result, *item;
    const char *name;
    size_t at;
    if (found != NULL)
        return found;
    if (json_is_array(value)) {
        result = json_array();
        json_array_foreach(value, at, item) {
            found = named(item, names);
            if (json_is_array(found)) {
                json_array_extend(result, found);
                json_decref(found);
            } else {
                json_array_append_new(result, found != NULL ? found : write_out(item, names));
            }
        }
        return result;
    }
    if (json_is_object(value)) {
        result = json_object();
        json_object_foreach(value, name, item)
            json_object_set_new(result, name, write_out(item, names));
        return result;
    }
    return json_incref(value);
}

json_t *written_out(const json_t *scenario)
{
    static const char *const members[] = {"config",  "capabilities", "secrets", "store", "by_hand",
                                          "events", "refused",      "steps",   NULL};
    json_t *result = json_object();
    for (const char *const *member = members; *member != NULL; member++) {
        json_t *value = json_object_get(scenario, *member);
        if (value != NULL)
            json_object_set_new(result, *member, write_out(value, json_object_get(scenario, "let")));
    }
    return result;
}
