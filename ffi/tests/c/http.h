// A program's own HTTP: one request over one connection to this machine, and the few JSON members that tests
// look at.
#ifndef HTTP_H
#define HTTP_H

#include "check.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    unsigned status;
    // All that came.
    char *text;
    const char *headers, *body;
    size_t headers_len, body_len;
} http_answer;

static inline void http_free(http_answer *answer)
{
    free(answer->text);
    answer->text = NULL;
}

static inline void http_write(int connection, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(connection, bytes, len);
        CHECK(written > 0);
        bytes += written;
        len -= (size_t)written;
    }
}

// `url` is `http://127.0.0.1:PORT/…`; `headers` is a block of lines.
static inline http_answer http_send(const char *method, size_t method_len, const char *url, size_t url_len,
                                    const char *headers, size_t headers_len, const char *body, size_t body_len)
{
    static const char origin[] = "http://127.0.0.1:";
    CHECK(url_len > sizeof origin && memcmp(url, origin, sizeof origin - 1) == 0);
    char *path;
    unsigned long port = strtoul(url + sizeof origin - 1, &path, 10);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connection >= 0 && connect(connection, (void *)&address, sizeof address) == 0);

    char line[128];
    http_write(connection, method, method_len);
    http_write(connection, " ", 1);
    http_write(connection, path, (size_t)(url + url_len - path));
    // Without chunks: the answer ends with the connection.
    snprintf(line, sizeof line, " HTTP/1.0\r\nHost: 127.0.0.1:%lu\r\nContent-Length: %zu\r\n", port, body_len);
    http_write(connection, line, strlen(line));
    http_write(connection, headers, headers_len);
    http_write(connection, "\r\n", 2);
    http_write(connection, body, body_len);

    size_t room = 1 << 16, len = 0;
    http_answer answer = {.text = malloc(room + 1)};
    for (ssize_t got = 1; got > 0; len += (size_t)got) {
        got = read(connection, answer.text + len, room - len);
        CHECK(got >= 0 && len + (size_t)got < room);
    }
    close(connection);
    answer.text[len] = 0;
    char *end = strstr(answer.text, "\r\n\r\n");
    CHECK(end != NULL && sscanf(answer.text, "HTTP/1.%*d %u", &answer.status) == 1);
    answer.headers = answer.text;
    answer.headers_len = (size_t)(end - answer.text) + 2;
    answer.body = end + 4;
    answer.body_len = len - answer.headers_len - 2;
    return answer;
}

// One request of the test's own; `body` is JSON, or NULL.
static inline http_answer http_ask(const char *method, const char *origin, const char *path, const char *body)
{
    char url[512];
    snprintf(url, sizeof url, "%s%s", origin, path);
    body = body == NULL ? "" : body;
    return http_send(method, strlen(method), url, strlen(url), TEXT("Content-Type: application/json\r\n"), body,
                     strlen(body));
}

// Orders something of the lab.
static inline void lab_order(const char *method, const char *admin, const char *path, const char *body)
{
    http_answer answer = http_ask(method, admin, path, body);
    if (answer.status / 100 != 2)
        fprintf(stderr, "%s: %u %s\n", path, answer.status, answer.body);
    CHECK(answer.status / 100 == 2);
    http_free(&answer);
}

// Copies a member's value as it is written, a text without its quotes; empty where there is none.
static inline void json_member(char *copy, size_t room, const char *json, size_t len, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *end = json + len, *at = json;
    size_t size = strlen(quoted);
    copy[0] = 0;
    while (at + size <= end && memcmp(at, quoted, size) != 0)
        at++;
    if (at + size > end)
        return;
    at += size;
    const char *from = at;
    int depth = 0, text = 0;
    for (; at < end; at++) {
        if (text) {
            at += *at == '\\';
            text = *at != '"';
        } else if (*at == '"') {
            text = 1;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == ',') {
            if (depth == 0)
                break;
        } else if (*at == '}' || *at == ']') {
            if (depth-- == 0)
                break;
        }
    }
    if (*from == '"' && at - from >= 2) {
        from++;
        at--;
    }
    CHECK((size_t)(at - from) < room);
    memcpy(copy, from, (size_t)(at - from));
    copy[at - from] = 0;
}

#endif
