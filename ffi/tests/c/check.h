// What the test programs share: a check that names itself, and short ways to write texts.
#ifndef CHECK_H
#define CHECK_H

#include "svcauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

#define OK(call) CHECK((call) == SVCAUTH_RESULT_OK)

// A text as its two arguments.
#define TEXT(literal) (literal), (sizeof(literal) - 1)

// Whether a text that came out is this one.
static inline int is_text(const char *text, size_t len, const char *expected)
{
    return len == strlen(expected) && (len == 0 || memcmp(text, expected, len) == 0);
}

// Whether a text that came out has this part.
static inline int has(const char *text, size_t len, const char *part)
{
    size_t size = strlen(part);
    for (size_t at = 0; at + size <= len; at++)
        if (memcmp(text + at, part, size) == 0)
            return 1;
    return 0;
}

#define CONFIG                                                                  \
    "{ \"endpoints\": { \"token\": \"https://issuer.example/oauth2/token\" },"  \
    "  \"client\": { \"credentials\": [ { \"client_id\": \"bss\","              \
    "      \"client_secret\": { \"file\": \"/run/secrets/bss\" } } ] },"        \
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"],"   \
    "      \"scopes\": [\"read\"] } } }"

#endif
