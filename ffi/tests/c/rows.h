// Rows of a table: a call, and the code it must answer.
#ifndef ROWS_H
#define ROWS_H

#include "check.h"

static int failed;

static inline void row(const char *what, svcauth_result got, svcauth_result expected)
{
    if (got != expected) {
        fprintf(stderr, "%s: answered %u, expected %u\n", what, (unsigned)got, (unsigned)expected);
        failed = 1;
    }
}

#define IS_NULL(call) row(#call, (call), SVCAUTH_RESULT_NULL_POINTER)
#define IS_VALUE(call) row(#call, (call), SVCAUTH_RESULT_INVALID_VALUE)
#define IS_UTF8(call) row(#call, (call), SVCAUTH_RESULT_INVALID_UTF8)
#define IS_KIND(call) row(#call, (call), SVCAUTH_RESULT_WRONG_KIND)
#define IS_HANDLE(call) row(#call, (call), SVCAUTH_RESULT_INVALID_HANDLE)
#define IS(expected, call) row(#call, (call), SVCAUTH_RESULT_##expected)

#define UNTOUCHED ((void *)&failed)

#endif
