#include "planted.h"

#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#define FEWEST_CHARACTERS 8

uint64_t id_of(const char *text)
{
    struct sha256_ctx context;
    uint8_t digest[8];
    uint64_t id = 0;
    sha256_init(&context);
    sha256_update(&context, strlen(text), (const uint8_t *)text);
    sha256_digest(&context, sizeof digest, digest);
    for (size_t at = 0; at < sizeof digest; at++)
        id = id << 8 | digest[at];
    return id;
}

const char *known_text(const host *host, const char *id)
{
    return json_string_value(json_object_get(host->known, id));
}

const char *known_subject(const host *host, const char *bytes, size_t len)
{
    char id[17] = "";
    for (size_t at = 0; at < 8 && at < len; at++)
        snprintf(id + 2 * at, 3, "%02x", (uint8_t)bytes[at]);
    return known_text(host, id);
}

void plant(host *host, const char *secret)
{
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, id_of(secret));
    json_object_set_new(host->known, id, json_string(secret));
    if (strlen(secret) >= FEWEST_CHARACTERS)
        json_array_append_new(host->planted, json_string(secret));
}

static int is_secret(const char *name)
{
    static const char *const names[] = {"access_token", "refresh_token", "client_secret", "registration_access_token",
                                        "user"};
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (strcmp(name, names[at]) == 0)
            return 1;
    return 0;
}

void learn(host *host, json_t *step)
{
    const char *name;
    json_t *value;
    size_t at;
    json_object_foreach(step, name, value) {
        if (json_is_string(value) && is_secret(name))
            plant(host, json_string_value(value));
        else
            learn(host, value);
    }
    json_array_foreach(step, at, value)
        learn(host, value);
}

void check_planted(host *host, const char *text, size_t len)
{
    size_t at;
    json_t *secret;
    json_array_foreach(host->planted, at, secret) {
        if (len > 0 && memmem(text, len, json_string_value(secret), json_string_length(secret)) != NULL)
            host_differs(host, "the secret %s is told: %.*s", json_string_value(secret), (int)len, text);
    }
}
