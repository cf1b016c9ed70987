/* The program's own HTTP, on libcurl: one request, one answer, no redirect followed. */
#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A text that is a pointer and a length, as in svcauth.h. */
typedef struct {
    const char *at;
    size_t len;
} text;

typedef struct {
    uint32_t status;
    /* As they stand on the wire, and the body; each with a zero behind its end. */
    char *headers, *body;
    size_t headers_len, body_len;
} http_answer;

/* Sends a request whose header fields are lines of `Name: value`. Answers 0, and what went wrong on stderr, when
 * there is no answer. */
int http_send(text method, text url, text headers, text body, http_answer *answer);

/* Frees an answer, and wipes it: it may hold a token. */
void http_free(http_answer *answer);

#ifdef __cplusplus
}
#endif

#endif
