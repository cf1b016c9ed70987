// The language-neutral scenarios of core/scenarios, whose README describes them, through poll and complete in C:
// scenarios FOLDER. Prints each difference, and how many scenarios there were.
#include "compare.h"
#include "host.h"
#include "scenario.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_indented(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(1) | JSON_ENCODE_ANY);
    fprintf(stderr, "%s\n", text);
    free(text);
}

// Whether there were differences; they are printed.
static int report(const host *host, const char *file, const char *name, size_t step, const json_t *said, const json_t *got)
{
    json_t *difference;
    size_t at;
    if (json_array_size(host->differences) == 0)
        return 0;
    fprintf(stderr, "%s, %s, step %zu\n", file, name, step);
    json_array_foreach(host->differences, at, difference)
        fprintf(stderr, "    %s\n", json_string_value(difference));
    if (said != NULL)
        print_indented(said);
    if (got != NULL)
        print_indented(got);
    return 1;
}

static int run(const char *file, const char *name, const json_t *scenario)
{
    host host;
    json_t *expected = json_object_get(scenario, "refused"), *refused = host_start(&host, scenario), *step;
    size_t number;
    int failed = 0;
    if (expected != NULL)
        compare(&host, "refused", expected, refused);
    else if (refused != NULL)
        compare(&host, "refused", json_null(), refused);
    if (expected == NULL && refused == NULL) {
        json_array_foreach(json_object_get(scenario, "steps"), number, step) {
            json_t *got = host_step(&host, step);
            compare_step(&host, step, got);
            failed = report(&host, file, name, number + 1, step, got);
            host_name_tasks(&host, step);
            json_decref(got);
            if (failed)
                break;
        }
    }
    json_decref(refused);
    failed = failed || report(&host, file, name, 0, NULL, NULL);
    host_end(&host);
    return failed;
}

static int is_scenario(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end != NULL && strcmp(end, ".json") == 0 && strcmp(entry->d_name, "base.json") != 0;
}

int main(int count, char **arguments)
{
    struct dirent **files = NULL;
    if (count != 2) {
        fprintf(stderr, "usage: scenarios FOLDER\n");
        return 2;
    }
    int found = scandir(arguments[1], &files, is_scenario, alphasort), cases = 0, failed = 0;
    json_t *base = read_file(arguments[1], "base.json");
    for (int at = 0; at < found; at++) {
        json_t *file = read_file(arguments[1], files[at]->d_name), *all = json_object_get(file, "cases"), *one;
        json_t *whole = overlay(base, file), *alone = json_pack("[{}]");
        size_t number;
        json_array_foreach(all == NULL ? alone : all, number, one) {
            json_t *laid = overlay(whole, one), *scenario = written_out(laid);
            const char *name = json_string_value(json_object_get(one, "case"));
            failed += run(files[at]->d_name, name == NULL ? "whole" : name, scenario);
            cases++;
            json_decref(scenario);
            json_decref(laid);
        }
        json_decref(alone);
        json_decref(whole);
        json_decref(file);
        free(files[at]);
    }
    free(files);
    json_decref(base);
    printf("%d files, %d cases, %d failed\n", found, cases, failed);
    return failed > 0 || cases == 0;
}
