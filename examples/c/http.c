#define _DEFAULT_SOURCE /* explicit_bzero, strndup */
#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 10L
#define MOST_BYTES ((size_t)1 << 20)

static void wipe_and_free(char *bytes, size_t len)
{
    if (bytes != NULL)
        explicit_bzero(bytes, len);
    free(bytes);
}

/* Appends to bytes that may be secret: realloc could leave a copy behind. */
static int append(char **bytes, size_t *len, const char *more, size_t count)
{
    char *grown = count > MOST_BYTES || *len > MOST_BYTES - count ? NULL : malloc(*len + count + 1);
    if (grown == NULL)
        return 0;
    if (*len > 0)
        memcpy(grown, *bytes, *len);
    memcpy(grown + *len, more, count);
    grown[*len + count] = 0;
    wipe_and_free(*bytes, *len);
    *bytes = grown;
    *len += count;
    return 1;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    http_answer *answer = context;
    /* Each answer begins with its status line; only the last one counts (100 Continue comes before). */
    if (size * count > 5 && memcmp(line, "HTTP/", 5) == 0) {
        wipe_and_free(answer->headers, answer->headers_len);
        answer->headers = NULL;
        answer->headers_len = 0;
    }
    return append(&answer->headers, &answer->headers_len, line, size * count) ? size * count : 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    http_answer *answer = context;
    return append(&answer->body, &answer->body_len, bytes, size * count) ? size * count : 0;
}

static struct curl_slist *header_list(text headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    const char *line = headers.at, *end = headers.at + headers.len;
    while (list != NULL && line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *stop = next == NULL ? end : next;
        size_t len = (size_t)(stop - line);
        char *copy = strndup(line, len > 0 && line[len - 1] == '\r' ? len - 1 : len);
        struct curl_slist *longer = copy == NULL ? NULL : curl_slist_append(list, copy);
        if (copy != NULL)
            wipe_and_free(copy, strlen(copy));
        if (longer == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
        line = next == NULL ? end : next + 1;
    }
    return list;
}

int http_send(text method, text url, text headers, text body, http_answer *answer)
{
    char *method_text = strndup(method.at, method.len), *url_text = strndup(url.at, url.len);
    struct curl_slist *list = header_list(headers);
    CURL *curl = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;
    memset(answer, 0, sizeof *answer);
    if (curl != NULL && list != NULL && method_text != NULL && url_text != NULL) {
        curl_easy_setopt(curl, CURLOPT_URL, url_text);
        if (body.len > 0 || strcmp(method_text, "POST") == 0) {
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.len > 0 ? body.at : "");
        }
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method_text);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    if (code != CURLE_OK) {
        fprintf(stderr, "no answer from %.*s: %s\n", (int)url.len, url.at, curl_easy_strerror(code));
        http_free(answer);
    }
    answer->status = (uint32_t)status;
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    free(method_text);
    free(url_text);
    return code == CURLE_OK;
}

void http_free(http_answer *answer)
{
    wipe_and_free(answer->headers, answer->headers_len);
    wipe_and_free(answer->body, answer->body_len);
    memset(answer, 0, sizeof *answer);
}
