// One crossing from Go for what takes several calls of libsvcauth. Texts that come out stay until the object
// they belong to is freed.

#if defined(__has_include)
#if !__has_include(<svcauth.h>)
#error "svcauth.h was not found: install libsvcauth (make install PREFIX=...), or build without the tag svcauth_cgo"
#endif
#endif
#include <svcauth.h>

typedef struct {
  const char *at;
  size_t len;
} text;

typedef struct {
  text display, code, message, member, oauth_error, oauth_description, challenge;
  svcauth_error_info info;
} failure;

static inline void read_failure(const svcauth_error *error, failure *out) {
  text *texts[] = {&out->display,     &out->code,              &out->message,  &out->member,
                   &out->oauth_error, &out->oauth_description, &out->challenge};
  const svcauth_error_text which[] = {SVCAUTH_ERROR_TEXT_DISPLAY,     SVCAUTH_ERROR_TEXT_CODE,
                                      SVCAUTH_ERROR_TEXT_MESSAGE,     SVCAUTH_ERROR_TEXT_MEMBER,
                                      SVCAUTH_ERROR_TEXT_OAUTH_ERROR, SVCAUTH_ERROR_TEXT_OAUTH_DESCRIPTION,
                                      SVCAUTH_ERROR_TEXT_CHALLENGE};
  for (unsigned i = 0; i < sizeof which / sizeof *which; i++)
    svcauth_error_get_text(error, which[i], &texts[i]->at, &texts[i]->len);
  svcauth_error_get_info(error, &out->info);
}

typedef struct {
  text client_id, authorization;
  svcauth_lease_info info;
} lease;

static inline void read_lease(const svcauth_lease *from, lease *out) {
  svcauth_lease_get_text(from, SVCAUTH_LEASE_TEXT_CLIENT_ID, &out->client_id.at, &out->client_id.len);
  svcauth_lease_get_text(from, SVCAUTH_LEASE_TEXT_AUTHORIZATION, &out->authorization.at, &out->authorization.len);
  svcauth_lease_get_info(from, &out->info);
}

typedef struct {
  uint32_t flags;
  text url, user_token, redirected_from;
} call;

static inline svcauth_result decide(const svcauth_client *client, const call *made, svcauth_decision **decision,
                                    svcauth_error **error) {
  return svcauth_client_decide(client, made->url.at, made->url.len, made->flags, made->user_token.at,
                               made->user_token.len, made->redirected_from.at, made->redirected_from.len, decision,
                               error);
}

typedef struct {
  svcauth_decision *handle;
  svcauth_decision_kind kind;
  bool has_target;
  uint32_t target;
  text authorization, subject, event;
  svcauth_text *owned;
} decision;

static inline svcauth_result read_decision(const svcauth_client *client, const call *made, decision *out,
                                           svcauth_error **error) {
  svcauth_result result = decide(client, made, &out->handle, error);
  if (result != SVCAUTH_RESULT_OK)
    return result;
  svcauth_decision_get_kind(out->handle, &out->kind);
  out->has_target = svcauth_decision_target(out->handle, &out->target) == SVCAUTH_RESULT_OK;
  svcauth_decision_get_text(out->handle, SVCAUTH_DECISION_TEXT_AUTHORIZATION, &out->authorization.at,
                            &out->authorization.len);
  svcauth_decision_get_text(out->handle, SVCAUTH_DECISION_TEXT_SUBJECT, &out->subject.at, &out->subject.len);
  result = svcauth_decision_call_event(out->handle, NULL, NULL, 0, made->url.at, made->url.len, 0,
                                       SVCAUTH_ATTEMPT_FIRST, &out->owned, error);
  if (result == SVCAUTH_RESULT_OK)
    svcauth_text_get(out->owned, &out->event.at, &out->event.len);
  else
    svcauth_decision_free(out->handle);
  return result;
}

static inline void free_decision(decision *read) {
  svcauth_text_free(read->owned);
  svcauth_decision_free(read->handle);
}

static inline svcauth_result token_for(const svcauth_client *client, const call *made, uint64_t mono, uint64_t wall,
                                       svcauth_token_state *state, svcauth_lease **lease, svcauth_error **error) {
  svcauth_decision *handle = NULL;
  svcauth_result result = decide(client, made, &handle, error);
  if (result != SVCAUTH_RESULT_OK)
    return result;
  result = svcauth_client_token_for(client, handle, mono, wall, state, lease, error);
  svcauth_decision_free(handle);
  return result;
}

static inline svcauth_result answered(const svcauth_client *client, const call *made, uint32_t status,
                                      const char *fields, size_t len, svcauth_replay replay, svcauth_answered *what,
                                      svcauth_error **error) {
  svcauth_decision *handle = NULL;
  svcauth_result result = decide(client, made, &handle, error);
  if (result != SVCAUTH_RESULT_OK)
    return result;
  result = svcauth_client_answered(client, handle, status, fields, len, replay, what, error);
  svcauth_decision_free(handle);
  return result;
}

static inline svcauth_result reject(const svcauth_client *client, const call *made, uint64_t id, svcauth_replay replay,
                                    uint64_t mono, uint64_t wall, svcauth_rejection *what, svcauth_lease **lease,
                                    svcauth_error **error) {
  svcauth_decision *handle = NULL;
  svcauth_result result = decide(client, made, &handle, error);
  if (result != SVCAUTH_RESULT_OK)
    return result;
  result = svcauth_client_reject(client, handle, id, replay, mono, wall, what, lease, error);
  svcauth_decision_free(handle);
  return result;
}

typedef struct {
  svcauth_text *handle; // NULL: none
  text block;
  uint64_t idle_until;
} outputs;

static inline svcauth_result poll_all(const svcauth_client *client, uint64_t mono, uint64_t wall, outputs *out,
                                      svcauth_error **error) {
  svcauth_result result = svcauth_client_poll_all(client, mono, wall, &out->handle, &out->idle_until, error);
  if (result == SVCAUTH_RESULT_OK && out->handle != NULL)
    svcauth_text_get(out->handle, &out->block.at, &out->block.len);
  return result;
}

// Handles that stand among the outputs.
static inline svcauth_error *error_of(uint64_t handle) { return (svcauth_error *)(uintptr_t)handle; }
static inline svcauth_output *output_of(uint64_t handle) { return (svcauth_output *)(uintptr_t)handle; }

typedef struct {
  svcauth_task_info task;
  text secret, key, value;
  svcauth_secret_kind secret_kind;
  uint64_t random;
  svcauth_store_info store;
} output;

static inline void output_text(const svcauth_output *from, svcauth_output_text which, text *out) {
  svcauth_output_get_text(from, which, &out->at, &out->len);
}

static inline void read_output(const svcauth_output *from, output *out) {
  svcauth_output_kind kind = 0;
  svcauth_output_get_kind(from, &kind);
  svcauth_output_task(from, &out->task);
  switch (kind) {
  case SVCAUTH_OUTPUT_KIND_READ_SECRET:
    svcauth_output_secret_kind(from, &out->secret_kind);
    output_text(from, SVCAUTH_OUTPUT_TEXT_SECRET, &out->secret);
    break;
  case SVCAUTH_OUTPUT_KIND_RANDOM:
    svcauth_output_random(from, &out->random);
    break;
  case SVCAUTH_OUTPUT_KIND_STORE:
    output_text(from, SVCAUTH_OUTPUT_TEXT_KEY, &out->key);
    output_text(from, SVCAUTH_OUTPUT_TEXT_VALUE, &out->value);
    svcauth_output_store(from, &out->store);
    break;
  default:
    break;
  }
}
