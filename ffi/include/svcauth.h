// libsvcauth: tokens for calls between services (OAuth 2.0, RFC 6749), without sockets, clocks or threads.
//
// A program keeps one svcauth_client. It asks it for the token of a target, does what svcauth_client_poll
// wants done (send this request, read that secret), and says how it went with svcauth_client_complete_*.
// svcauth_client_decide says what an outgoing call carries, and svcauth_client_answered what a 401 means.
// A program that sends single messages needs no client: svcauth_exchange_new.
//
// Results. Every function that can fail answers an svcauth_result. All other results go through
// out-parameters, which are written on success only. The parameter `error` is the exception: it is written on
// failure only, and may be NULL for a caller who is content with the code. An error object that was written
// there is freed with svcauth_error_free.
//
// Texts. A text is a pointer and a length in bytes, UTF-8, without a zero at its end. (NULL, 0) is the empty
// text. A text that comes out belongs to the object it came from; one that is made for the caller is an object of
// its own, svcauth_text. JSON is such a text (RFC 8259).
//
// Handles. A handle has the type of a pointer and is none: it is a number that the library looks up. NULL is
// refused with SVCAUTH_RESULT_NULL_POINTER; only the functions that free take it, and do nothing. A handle that
// was freed, one of another kind and anything else is refused with SVCAUTH_RESULT_INVALID_HANDLE. (A number
// comes again after 2^36 handles that had the same place, in WebAssembly after 2^12.) An object that one thread
// frees while another uses it lives until that call ends; texts that were got from it do not.
//
// A program that would rather have all that done for it makes an svcauth_transport, which sends, waits and keeps
// time by itself.
//
// Threads. A handle that is taken as `const` may be used by any number of threads at the same time. But for
// the functions of svcauth_transport, nothing here waits for the network, and nothing calls back.
//
// Fork. A child may go on with its parent's handles, whatever the parent's other threads were doing. A client or
// transport then has the access tokens, which it serves on, and nothing else of its parent's: what can be used
// once it takes from the store, under the store's lock. It makes requests, threads and counters of its own. Tasks
// that were handed out before are the parent's: a child does not do them, and its answers to them are ignored.
// Nothing of this library is called in a child of vfork, or of clone without fork.
//
// Time. Every time is in milliseconds. mono_ms is a clock that never goes back, from any fixed point, and the
// same one in all calls; wall_ms is the time since 1970-01-01T00:00:00Z.
//
// Secrets. Whatever held a secret is wiped when it is freed. Errors and events hold none.
//
// Enums. They come in and go out as uint32_t. A number that stands for nothing is refused with
// SVCAUTH_RESULT_INVALID_VALUE; be ready for numbers that later versions add. None is ever used again for
// something else.
//
// A panic inside the library, which would be a bug, is SVCAUTH_RESULT_PANIC. If it came in a call on a client,
// that client answers so from then on, and can only be freed.
//
// This file is written by a program. Change what it is written from.


#ifndef SVCAUTH_H
#define SVCAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of the interface that this header describes. A program compares it with
// `svcauth_abi_version()` of the library it runs with.
#define SVCAUTH_ABI_VERSION 0

// The caller has put an Authorization header of its own.
#define SVCAUTH_CALL_HAS_AUTHORIZATION 1

// The call is made on behalf of the user whose token is given.
#define SVCAUTH_CALL_HAS_USER_TOKEN 2

// The call belongs to an inbound request that must have had a user.
#define SVCAUTH_CALL_USER_REQUIRED 4

// The call follows a redirect; where it was first made to is given.
#define SVCAUTH_CALL_REDIRECTED 8

// The program reads secrets from files.
#define SVCAUTH_CAPABILITY_SECRET_FILES 1

// The program reads secrets from environment variables.
#define SVCAUTH_CAPABILITY_SECRET_ENVIRONMENT 2

// The program has a source of its own for secrets.
#define SVCAUTH_CAPABILITY_SECRET_CALLBACK 4

// The program has a store that outlives the process, with locks between processes.
#define SVCAUTH_CAPABILITY_DURABLE_STORE 8

// The program shows the configured client certificate.
#define SVCAUTH_CAPABILITY_CLIENT_CERTIFICATE 16

#if defined(SVCAUTH_TRANSPORT)
// As long as the configuration says: `timeouts.wait_s`.
#define SVCAUTH_WAIT_AS_CONFIGURED UINT64_MAX
#endif

// What became of a call of this library. A number is never used for anything else in a later version.
//
// 1 to 99: the library was called wrongly. From 100: the program or its operator has to act. From 200: a
// server's answer. From 300: the network. From 400: svcauth itself, please report it.
enum svcauth_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It worked, and what was asked for is in the out-parameters.
  SVCAUTH_RESULT_OK = 0,
  // A handle, an out-parameter, or a text of more than 0 bytes is NULL.
  SVCAUTH_RESULT_NULL_POINTER = 1,
  // A text is not UTF-8.
  SVCAUTH_RESULT_INVALID_UTF8 = 2,
  // A number stands for nothing here, a length is impossible, or a pointer is not aligned.
  SVCAUTH_RESULT_INVALID_VALUE = 3,
  // The handle has nothing of that kind; its kind says what it has.
  SVCAUTH_RESULT_WRONG_KIND = 4,
  // The index is past the last one.
  SVCAUTH_RESULT_OUT_OF_RANGE = 5,
  // A bug in the library. The client can only be freed.
  SVCAUTH_RESULT_PANIC = 6,
  // The handle was freed, is one of another kind, or none at all.
  SVCAUTH_RESULT_INVALID_HANDLE = 7,
  // The process has as many handles as there can be (16 million, in WebAssembly 65 thousand); one that is
  // never freed is the likely cause.
  SVCAUTH_RESULT_TOO_MANY_HANDLES = 8,
  // A member of the configuration is missing, unknown, of the wrong type or contradicts another.
  SVCAUTH_RESULT_INVALID_CONFIGURATION = 100,
  // An argument makes no sense.
  SVCAUTH_RESULT_INVALID_ARGUMENT = 101,
  // No target of that name is configured.
  SVCAUTH_RESULT_UNKNOWN_TARGET = 102,
  // The configuration needs what this program cannot do.
  SVCAUTH_RESULT_UNSUPPORTED = 103,
  // A secret could not be read, is empty or is not text.
  SVCAUTH_RESULT_SECRET_UNAVAILABLE = 104,
  // The durable store cannot be read, written or locked.
  SVCAUTH_RESULT_STORE_UNAVAILABLE = 105,
  // What the durable store holds was written by something else, or damaged.
  SVCAUTH_RESULT_STORE_CORRUPT = 106,
  // The call belongs to a user's request that carries no token of the user.
  SVCAUTH_RESULT_USER_TOKEN_MISSING = 107,
  // The handle was closed.
  SVCAUTH_RESULT_CLOSED = 108,
  // More users' tokens wait to be exchanged than four times `limits.subjects`.
  SVCAUTH_RESULT_TOO_MANY_SUBJECTS = 109,
  // The server answered with an OAuth error (RFC 6749 section 5.2).
  SVCAUTH_RESULT_OAUTH_ERROR = 200,
  // The answer is not what the message's specification asks for.
  SVCAUTH_RESULT_MALFORMED_ANSWER = 201,
  // `expires_in` is neither a number nor a numeric text.
  SVCAUTH_RESULT_INVALID_EXPIRES_IN = 202,
  // `access_token` is missing, empty, no text, or holds a byte that no header may carry.
  SVCAUTH_RESULT_INVALID_ACCESS_TOKEN = 203,
  // `token_type` is missing.
  SVCAUTH_RESULT_MISSING_TOKEN_TYPE = 204,
  // `token_type` or `issued_token_type` is not what was asked for.
  SVCAUTH_RESULT_UNEXPECTED_TOKEN_TYPE = 205,
  // The granted scopes lack one that the target requires.
  SVCAUTH_RESULT_SCOPE_NOT_GRANTED = 206,
  // A redirect where none is followed.
  SVCAUTH_RESULT_UNEXPECTED_REDIRECT = 207,
  // A status that stands for no answer of this message, without an OAuth error.
  SVCAUTH_RESULT_UNEXPECTED_STATUS = 208,
  // The server says that it cannot answer now (5xx).
  SVCAUTH_RESULT_SERVER_ERROR = 209,
  // The server asks for patience (429).
  SVCAUTH_RESULT_RATE_LIMITED = 210,
  // Metadata speaks for another issuer (RFC 8414 section 3.3).
  SVCAUTH_RESULT_ISSUER_MISMATCH = 211,
  // The server named an endpoint that may not be used: http, another origin, with credentials in it.
  SVCAUTH_RESULT_UNTRUSTED_ENDPOINT = 212,
  // The answer is larger than allowed.
  SVCAUTH_RESULT_ANSWER_TOO_LARGE = 213,
  // The issuer's metadata is sound, and has no endpoint of the kind that is needed.
  SVCAUTH_RESULT_MISSING_ENDPOINT = 214,
  // Nothing listens there, or the name is unknown.
  SVCAUTH_RESULT_CONNECTION_FAILED = 300,
  // No answer in time.
  SVCAUTH_RESULT_TIMEOUT = 301,
  // TLS could not be set up or verified.
  SVCAUTH_RESULT_TLS_FAILED = 302,
  // The connection broke before the answer was whole.
  SVCAUTH_RESULT_CONNECTION_BROKEN = 304,
  // A state that should be impossible.
  SVCAUTH_RESULT_INTERNAL = 400,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_result svcauth_result;
#else
typedef uint32_t svcauth_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What to do with the answer to a call.
enum svcauth_answered
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Give it to the caller.
  SVCAUTH_ANSWERED_DELIVER = 1,
  // `svcauth_client_reject`, and what that says.
  SVCAUTH_ANSWERED_RETRY = 2,
  // `svcauth_client_reject`, and give the answer to the caller: the call cannot be made once more.
  SVCAUTH_ANSWERED_REPORT = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_answered svcauth_answered;
#else
typedef uint32_t svcauth_answered;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a call carries.
enum svcauth_decision_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // What it has already: nothing is added.
  SVCAUTH_DECISION_KIND_NOTHING = 1,
  // The user's own token, a text of the decision.
  SVCAUTH_DECISION_KIND_USER_TOKEN = 2,
  // A lease: `svcauth_client_token_for`.
  SVCAUTH_DECISION_KIND_LEASE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_decision_kind svcauth_decision_kind;
#else
typedef uint32_t svcauth_decision_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What `svcauth_client_token` answers.
enum svcauth_token_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Here it is.
  SVCAUTH_TOKEN_STATE_READY = 1,
  // It is being got: wait for the next output of kind lease for this target.
  SVCAUTH_TOKEN_STATE_PENDING = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_token_state svcauth_token_state;
#else
typedef uint32_t svcauth_token_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What `svcauth_client_reject` answers.
enum svcauth_rejection
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Make the call once more, with the lease that is given.
  SVCAUTH_REJECTION_RETRY = 1,
  // Another token is being got: at the next output of kind lease for the target, or at the caller's
  // deadline, ask again for the same lease.
  SVCAUTH_REJECTION_WAIT = 2,
  // Give the 401 to the caller.
  SVCAUTH_REJECTION_DELIVER = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_rejection svcauth_rejection;
#else
typedef uint32_t svcauth_rejection;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What `svcauth_client_register` answers.
enum svcauth_registration_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // There are credentials, or none are needed.
  SVCAUTH_REGISTRATION_STATE_REGISTERED = 1,
  // It is under way: poll, and ask again.
  SVCAUTH_REGISTRATION_STATE_PENDING = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_registration_state svcauth_registration_state;
#else
typedef uint32_t svcauth_registration_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an output is.
enum svcauth_output_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A token came, went or could not be had: `svcauth_output_lease_change`.
  SVCAUTH_OUTPUT_KIND_LEASE = 1,
  // Something happened, for the log: text event.
  SVCAUTH_OUTPUT_KIND_EVENT = 2,
  // A task: send the request as it is, and follow no redirect. `svcauth_output_send`, texts method, url and
  // body, headers. Answer: response or send_failed.
  SVCAUTH_OUTPUT_KIND_SEND = 3,
  // A task: read a secret. `svcauth_output_secret_kind`, text secret. Answer: bytes or failed.
  SVCAUTH_OUTPUT_KIND_READ_SECRET = 4,
  // A task: take fresh bytes from the system's generator. `svcauth_output_random`. Answer: bytes or failed.
  SVCAUTH_OUTPUT_KIND_RANDOM = 5,
  // A task: use the durable store. `svcauth_output_store`, texts key and value. Answer: record or store, or
  // failed.
  SVCAUTH_OUTPUT_KIND_STORE = 6,
  // A task of a kind that this version of the library cannot describe. Answer: unsupported.
  SVCAUTH_OUTPUT_KIND_OTHER_TASK = 7,
  // What `svcauth_client_decide` answers may be another now: forget decisions that were kept.
  SVCAUTH_OUTPUT_KIND_CALLS_CHANGED = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_output_kind svcauth_output_kind;
#else
typedef uint32_t svcauth_output_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What has become of a token.
enum svcauth_lease_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // `svcauth_output_lease` gives it: for those who wait, and for all until its `ask_at_ms`.
  SVCAUTH_LEASE_STATE_READY = 1,
  // `svcauth_output_lease` gives it, for those who wait now and for nobody else.
  SVCAUTH_LEASE_STATE_ONCE = 2,
  // The last one must not be served any more; ask the client.
  SVCAUTH_LEASE_STATE_CLEARED = 3,
  // None can be had now; `svcauth_output_error` says why, for those who wait.
  SVCAUTH_LEASE_STATE_FAILED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_lease_state svcauth_lease_state;
#else
typedef uint32_t svcauth_lease_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How much an event matters.
enum svcauth_event_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The normal course.
  SVCAUTH_EVENT_LEVEL_INFO = 1,
  // Something is wrong and calls still work.
  SVCAUTH_EVENT_LEVEL_WARN = 2,
  // Calls fail, or a person has to act.
  SVCAUTH_EVENT_LEVEL_ERROR = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_event_level svcauth_event_level;
#else
typedef uint32_t svcauth_event_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What `svcauth_client_adopt` answers.
enum svcauth_adoption
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The client serves it.
  SVCAUTH_ADOPTION_ADOPTED = 1,
  // It has ended, its age cannot be told, or the client has a fresher one: ask the client as always.
  SVCAUTH_ADOPTION_NOT_ADOPTED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_adoption svcauth_adoption;
#else
typedef uint32_t svcauth_adoption;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where a secret is.
enum svcauth_secret_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // In a file.
  SVCAUTH_SECRET_KIND_FILE = 1,
  // In an environment variable.
  SVCAUTH_SECRET_KIND_ENVIRONMENT = 2,
  // Where the program's own source knows it by this name.
  SVCAUTH_SECRET_KIND_CALLBACK = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_secret_kind svcauth_secret_kind;
#else
typedef uint32_t svcauth_secret_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What is done with a record of the store. A record's version is 0 while it does not exist, and another
// number after each write.
enum svcauth_store_operation
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Read it. Answer: record.
  SVCAUTH_STORE_OPERATION_GET = 1,
  // Write it if it still has the version given. Answer: stored or conflict. What was written survives a
  // crash of the process or the machine before the answer is given.
  SVCAUTH_STORE_OPERATION_PUT = 2,
  // Lock it against other processes, for `ttl_ms` at most. Answer: locked or held.
  SVCAUTH_STORE_OPERATION_LOCK = 3,
  // Give the lock back. Answer: done, also when the fence is no longer valid.
  SVCAUTH_STORE_OPERATION_UNLOCK = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_store_operation svcauth_store_operation;
#else
typedef uint32_t svcauth_store_operation;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which attempt of a call it was.
enum svcauth_attempt
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The first.
  SVCAUTH_ATTEMPT_FIRST = 1,
  // The second, with another lease, after a 401.
  SVCAUTH_ATTEMPT_SECOND = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_attempt svcauth_attempt;
#else
typedef uint32_t svcauth_attempt;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text of a decision.
enum svcauth_decision_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The user's token, of kind user token. A secret.
  SVCAUTH_DECISION_TEXT_USER_TOKEN = 1,
  // Whose lease: the same 32 bytes, not a text, as in the output that brings it. Absent for the service's own.
  SVCAUTH_DECISION_TEXT_SUBJECT = 2,
  // The value of the Authorization field for a user's token: `Bearer` and the token. A secret. A lease has
  // its own.
  SVCAUTH_DECISION_TEXT_AUTHORIZATION = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_decision_text svcauth_decision_text;
#else
typedef uint32_t svcauth_decision_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text of an error.
enum svcauth_error_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // All of it in one line, for people.
  SVCAUTH_ERROR_TEXT_DISPLAY = 1,
  // The code's stable name, for logs: `invalid_configuration`.
  SVCAUTH_ERROR_TEXT_CODE = 2,
  // What is wrong and what to do, without the rest.
  SVCAUTH_ERROR_TEXT_MESSAGE = 3,
  // The member (`targets.smd.scopes`), argument, header or URL that is wrong.
  SVCAUTH_ERROR_TEXT_MEMBER = 4,
  // `error` of RFC 6749 section 5.2, as the server sent it.
  SVCAUTH_ERROR_TEXT_OAUTH_ERROR = 5,
  // `error_description` of RFC 6749 section 5.2.
  SVCAUTH_ERROR_TEXT_OAUTH_DESCRIPTION = 6,
  // The WWW-Authenticate header that came with it (RFC 9110 section 11.6.1).
  SVCAUTH_ERROR_TEXT_CHALLENGE = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_error_text svcauth_error_text;
#else
typedef uint32_t svcauth_error_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text of a message.
enum svcauth_exchange_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The method of the request.
  SVCAUTH_EXCHANGE_TEXT_METHOD = 1,
  // The absolute URL of the request.
  SVCAUTH_EXCHANGE_TEXT_URL = 2,
  // The body of the request; empty where there is none. A secret.
  SVCAUTH_EXCHANGE_TEXT_BODY = 3,
  // All header fields of the request as they stand on the wire, lines of `Name: value` that end with a
  // carriage return and a line feed. A secret.
  SVCAUTH_EXCHANGE_TEXT_HEADERS = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_exchange_text svcauth_exchange_text;
#else
typedef uint32_t svcauth_exchange_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text of a lease.
enum svcauth_lease_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The access token. A secret.
  SVCAUTH_LEASE_TEXT_VALUE = 1,
  // The client it was issued to, as far as known.
  SVCAUTH_LEASE_TEXT_CLIENT_ID = 2,
  // Its `sub` claim, unverified, where the token is a JWT.
  SVCAUTH_LEASE_TEXT_SUBJECT = 3,
  // The value of the Authorization field: `Bearer` and the token (RFC 6750 section 2.1). A secret.
  SVCAUTH_LEASE_TEXT_AUTHORIZATION = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_lease_text svcauth_lease_text;
#else
typedef uint32_t svcauth_lease_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text of an output.
enum svcauth_output_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Send: the method of the request.
  SVCAUTH_OUTPUT_TEXT_METHOD = 1,
  // Send: the absolute URL of the request.
  SVCAUTH_OUTPUT_TEXT_URL = 2,
  // Send: the body of the request; empty where there is none. A secret.
  SVCAUTH_OUTPUT_TEXT_BODY = 3,
  // Read a secret: the file, the variable or the name.
  SVCAUTH_OUTPUT_TEXT_SECRET = 4,
  // Store: the name of the record.
  SVCAUTH_OUTPUT_TEXT_KEY = 5,
  // Store, put: the bytes to write. A secret.
  SVCAUTH_OUTPUT_TEXT_VALUE = 6,
  // Event: one JSON object; its member `event` is the event's name.
  SVCAUTH_OUTPUT_TEXT_EVENT = 7,
  // Lease: whose, 32 bytes and not a text; absent for the service's own.
  SVCAUTH_OUTPUT_TEXT_SUBJECT = 8,
  // Send: all header fields as they stand on the wire, lines of `Name: value` that end with a carriage
  // return and a line feed. A secret.
  SVCAUTH_OUTPUT_TEXT_HEADERS = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_output_text svcauth_output_text;
#else
typedef uint32_t svcauth_output_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the monotonic clock of a record relates to that of the client that adopts it.
enum svcauth_record_clock
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It is the same one, and has run on since: another client of this process, or of its parent.
  SVCAUTH_RECORD_CLOCK_SAME = 1,
  // It is another one: another machine, or this one before it was started anew. The wall clock alone tells
  // how old the record is.
  SVCAUTH_RECORD_CLOCK_OTHER = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_record_clock svcauth_record_clock;
#else
typedef uint32_t svcauth_record_clock;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whether the body of a call can be sent again.
enum svcauth_replay
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It cannot, or the call was made twice already.
  SVCAUTH_REPLAY_IMPOSSIBLE = 1,
  // It can, and the call was made once.
  SVCAUTH_REPLAY_POSSIBLE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_replay svcauth_replay;
#else
typedef uint32_t svcauth_replay;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why no response came.
enum svcauth_send_failure
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing listens, the name is unknown, no route: the request was certainly not received.
  SVCAUTH_SEND_FAILURE_REFUSED = 1,
  // No response in time.
  SVCAUTH_SEND_FAILURE_TIMEOUT = 2,
  // TLS could not be set up or verified: the request was certainly not received.
  SVCAUTH_SEND_FAILURE_TLS = 3,
  // The response is larger than allowed.
  SVCAUTH_SEND_FAILURE_TOO_LARGE = 4,
  // The connection broke.
  SVCAUTH_SEND_FAILURE_BROKEN = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_send_failure svcauth_send_failure;
#else
typedef uint32_t svcauth_send_failure;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How an operation on the store ended.
enum svcauth_store_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Put: it was written; `number` is its new version.
  SVCAUTH_STORE_OUTCOME_STORED = 1,
  // Put: it had another version and was not written.
  SVCAUTH_STORE_OUTCOME_CONFLICT = 2,
  // Lock: done; `number` is the fence.
  SVCAUTH_STORE_OUTCOME_LOCKED = 3,
  // Lock: another process has it; `number` is in how many milliseconds it ends, UINT64_MAX if unknown.
  SVCAUTH_STORE_OUTCOME_HELD = 4,
  // Unlock: done.
  SVCAUTH_STORE_OUTCOME_DONE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum svcauth_store_outcome svcauth_store_outcome;
#else
typedef uint32_t svcauth_store_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// One identity and the targets it calls.
//
// It sends nothing, reads no clock and starts no thread: time comes in with each call, work comes out of
// `svcauth_client_poll`. The one rule: after any call that takes a time, poll until there is no output, and
// again at the time that is given then.
//
// Any number of threads may use one client at the same time; each call locks it for its own length, and none
// waits for the network. Freed by `svcauth_client_free`; a call that another thread makes ends as it would.
typedef struct svcauth_client svcauth_client;

// What one call carries. Owned by whoever got it, freed by `svcauth_decision_free`, which wipes a user's
// token in it. Immutable: any number of threads may read it.
typedef struct svcauth_decision svcauth_decision;

// Why something failed. It holds no secret.
//
// Owned by whoever got it, freed by `svcauth_error_free`. Immutable: any number of threads may read it.
typedef struct svcauth_error svcauth_error;

// One message of OAuth: a request to send as it is, and the reader of its answer. No client is involved.
//
// Owned by whoever got it, freed by `svcauth_exchange_free`, which wipes what was secret. Immutable: any
// number of threads may use it, any number of times.
typedef struct svcauth_exchange svcauth_exchange;

// An access token with the times it may be used.
//
// Reference counted: freed by the last `svcauth_lease_release`, and the token wiped then. Immutable: any
// number of threads may read it.
typedef struct svcauth_lease svcauth_lease;

// Something that the client wants of the program: a task to do, the news of a lease, an event.
//
// Owned by whoever got it, freed by `svcauth_output_free`, which wipes what was secret. It does not depend on
// the client. Immutable: any number of threads may read it.
typedef struct svcauth_output svcauth_output;

#if defined(SVCAUTH_TRANSPORT)
// A secret that is asked for by the callback `secret`.
typedef struct svcauth_secret_request svcauth_secret_request;
#endif

// A text, or bytes, that belongs to the caller, freed by `svcauth_text_free`, which wipes it.
// Immutable: any number of threads may read it.
typedef struct svcauth_text svcauth_text;

#if defined(SVCAUTH_TRANSPORT)
// A client that sends requests, keeps time and reads secrets and the store by itself, on threads of its own
// that end when there is nothing to do. Calls on it wait where that is said, for so many milliseconds at the
// most; 0 is not at all, and `SVCAUTH_WAIT_AS_CONFIGURED` what the configuration says.
//
// This type and its functions are there where `SVCAUTH_TRANSPORT` is defined, as pkg-config and CMake do for a
// library that has them.
//
// Any number of threads may use one at the same time. Freed by `svcauth_transport_free`.
typedef struct svcauth_transport svcauth_transport;
#endif

// Counters since the client was made. Frozen: a later version adds functions, not members.
typedef struct {
  // Requests of all kinds.
  uint64_t requests;
  // Token requests among them.
  uint64_t token_requests;
  // Tokens that came.
  uint64_t tokens_received;
  // Attempts that brought none.
  uint64_t failures;
  // Rejections by called services that were acted on.
  uint64_t rejections;
  // Tasks that came to their deadline.
  uint64_t tasks_overdue;
  // Outcomes that nobody awaited.
  uint64_t outcomes_ignored;
  // Events lost because nobody fetched them.
  uint64_t events_dropped;
} svcauth_stats;

// The numbers of an error. Frozen: a later version adds functions, not members.
typedef struct {
  // How long the server asks to wait, in milliseconds (Retry-After).
  uint64_t retry_after_ms;
  // When the client tries again, on the monotonic clock, in milliseconds.
  uint64_t retry_at_ms;
  // Where a text is wrong, in bytes from its start.
  uint64_t offset;
  // The same code that the function answered.
  uint32_t code;
  // The HTTP status of the answer that is wrong; 0 where there was none.
  uint32_t http_status;
  // Whether `retry_after_ms` is known.
  bool has_retry_after;
  // Whether `retry_at_ms` is known.
  bool has_retry_at;
  // Whether `offset` is known.
  bool has_offset;
} svcauth_error_info;

// The numbers of a lease. Frozen: a later version adds functions, not members.
//
// All times are in milliseconds, and but for the last on the program's monotonic clock.
typedef struct {
  // Names the token without telling it, the same in every process: the first 64 bits of its SHA-256.
  uint64_t id;
  // When the client refreshes it.
  uint64_t refresh_at_ms;
  // Until when the program serves it from its own memory without asking the client again.
  uint64_t ask_at_ms;
  // Until when it is served at all: its expiry less a margin.
  uint64_t serve_until_ms;
  // When it expires.
  uint64_t expires_at_ms;
  // When it expires, since 1970-01-01T00:00:00Z.
  uint64_t expires_at_wall_ms;
  // How many scopes were granted.
  uint32_t scopes;
} svcauth_lease_info;

// A change of a token. Frozen: a later version adds functions, not members.
typedef struct {
  // The number of the target.
  uint32_t target;
  // What is the case now.
  svcauth_lease_state state;
} svcauth_lease_change_info;

// What all tasks have. Frozen: a later version adds functions, not members.
typedef struct {
  // Names the task in its answer; never used again by this client.
  uint64_t id;
  // From here on, by the monotonic clock, the client takes it for failed and ignores its answer.
  uint64_t deadline_ms;
} svcauth_task_info;

// How to send a request. Frozen: a later version adds functions, not members.
typedef struct {
  // How long it may take from the first byte sent to the last received, in milliseconds.
  uint64_t timeout_ms;
  // How large the response's body may be, in bytes.
  uint64_t max_bytes;
  // How many header fields the request has.
  uint32_t headers;
} svcauth_send_info;

// How to use the store. Frozen: a later version adds functions, not members.
typedef struct {
  // Put: the version that the record must have.
  uint64_t version;
  // Lock: when it ends by itself, in milliseconds.
  uint64_t ttl_ms;
  // Unlock: what the answer locked gave.
  uint64_t fence;
  // What to do.
  svcauth_store_operation operation;
} svcauth_store_info;

#if defined(SVCAUTH_TRANSPORT)
// Functions of the program that a transport calls, each NULL where it is not needed. Frozen: a later version
// adds functions, not members.
//
// They are called on threads of the transport, several at the same time, and `svcauth_transport_close` may
// call `event` on the thread that it is called on. They may call functions of this library, on this
// transport too; one that waits for a token holds up what is called after it. They do not end by longjmp or
// an exception. One that forks does not return in the child.
typedef struct {
  // Given to each of them.
  void *context;
  // Something happened, for the log: one JSON object, as the text event of an output. Events come one
  // after the other. The text stays until the function returns.
  void (*event)(void *context,
                svcauth_event_level level,
                const char *json,
                size_t json_len);
  // The configuration names a secret with `callback`, by this name: `svcauth_secret_request_answer`, or
  // `svcauth_secret_request_fail`. It may block. The request is valid until the function returns.
  void (*secret)(void *context,
                 const char *name,
                 size_t name_len,
                 svcauth_secret_request *request);
  // None of them is called any more, and this is the last call: for freeing `context`. It comes once, on any
  // thread, perhaps after `svcauth_transport_free` has returned. Not called where no transport was made, and
  // not in a forked child for what its parent made.
  void (*drop)(void *context);
} svcauth_callbacks;
#endif

#if defined(SVCAUTH_TRANSPORT)
// Counters since the transport was made. Frozen: a later version adds functions, not members.
typedef struct {
  // Those of a client.
  svcauth_stats client;
  // How often a caller found no token at hand and the client was asked.
  uint64_t asked;
  // How often a caller had to wait for a token.
  uint64_t waited;
  // Threads there are now.
  uint64_t threads;
  // Events that were not told because the callback was too slow.
  uint64_t events_untold;
} svcauth_transport_counters;
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the interface that the library has.
uint32_t svcauth_abi_version(void);

// Gives the library's version, `1.2.3`. It stays for ever.
svcauth_result svcauth_version(const char **text,
                               size_t *len);

// Decides what a call carries. `flags` are `SVCAUTH_CALL_` bits; a text whose bit is not set is not read.
//
// `url` is what is connected to, not what a Host header says. A call that must not be made is an error.
// Does not wait for other threads. Freed by `svcauth_decision_free`.
//
// Without redirects, two calls with the same flags and user's token whose URLs have the same scheme, host,
// port and path are decided the same, so a program may keep decisions until an output of kind calls changed.
svcauth_result svcauth_client_decide(const svcauth_client *client,
                                     const char *url,
                                     size_t url_len,
                                     uint32_t flags,
                                     const char *user_token,
                                     size_t user_token_len,
                                     const char *redirected_from,
                                     size_t redirected_from_len,
                                     svcauth_decision **decision,
                                     svcauth_error **error);

// Says what to do with the answer to a call that was decided so.
//
// `header_fields` are the answer's, as for `svcauth_client_complete_response`.
svcauth_result svcauth_client_answered(const svcauth_client *client,
                                       const svcauth_decision *decision,
                                       uint32_t status,
                                       const char *header_fields,
                                       size_t header_fields_len,
                                       svcauth_replay replay,
                                       svcauth_answered *what,
                                       svcauth_error **error);

// Gives the kind of a decision.
svcauth_result svcauth_decision_get_kind(const svcauth_decision *decision,
                                         svcauth_decision_kind *kind);

// Gives the number of the target that the URL belongs to; the wrong kind where it belongs to none.
svcauth_result svcauth_decision_target(const svcauth_decision *decision,
                                       uint32_t *target);

// Gives a text of a decision: (NULL, 0) where it has none. It stays until the decision is freed.
svcauth_result svcauth_decision_get_text(const svcauth_decision *decision,
                                         svcauth_decision_text which,
                                         const char **text,
                                         size_t *len);

// Makes the event of one attempt of a call, for the log: one JSON object with the members of the client's own
// events. It tells who called what, and no secret: of `url` it has scheme, host, port and path.
//
// `lease` is what the call carried, NULL for a decision of another kind; `status` is 0 where no answer came.
// A program that writes its log in another form uses the same names.
svcauth_result svcauth_decision_call_event(const svcauth_decision *decision,
                                           const svcauth_lease *lease,
                                           const char *method,
                                           size_t method_len,
                                           const char *url,
                                           size_t url_len,
                                           uint32_t status,
                                           svcauth_attempt attempt,
                                           svcauth_text **event,
                                           svcauth_error **error);

// Frees a decision; NULL is nothing to free.
svcauth_result svcauth_decision_free(svcauth_decision *decision);

// Checks a configuration document without making a client. A text of the error names the member that is
// wrong; its offset, where the document is no JSON.
svcauth_result svcauth_config_check(const char *json,
                                    size_t len,
                                    svcauth_error **error);

// Makes a client. Nothing is sent or read before a token is asked for.
//
// `capabilities` are the `SVCAUTH_CAPABILITY_` bits of what the program can do; a configuration that needs
// more is refused. `seed` spreads schedules: any number, another one in each process. `mono_ms` is a clock
// that never goes back, in milliseconds from any fixed point; `wall_ms` is in milliseconds since 1970.
svcauth_result svcauth_client_new(const char *config_json,
                                  size_t config_len,
                                  uint32_t capabilities,
                                  uint64_t seed,
                                  uint64_t mono_ms,
                                  uint64_t wall_ms,
                                  svcauth_client **client,
                                  svcauth_error **error);

// Frees a client; NULL is nothing to free. Outputs, leases and decisions that came from it stay usable.
svcauth_result svcauth_client_free(svcauth_client *client);

// Gives the number of the target with this name. It is the same as long as the client lives.
svcauth_result svcauth_client_target(const svcauth_client *client,
                                     const char *name,
                                     size_t name_len,
                                     uint32_t *target,
                                     svcauth_error **error);

// Asks for the service's own token for a target. Poll afterwards.
//
// `lease` is written in state ready, and NULL otherwise. Where none can be had before the next attempt, the
// code and `error` say why, and when that is.
//
// Whoever waits for a pending token has to be in the program's own list of those who wait before this is
// called: another thread may fetch the output that brings it before this call returns.
svcauth_result svcauth_client_token(const svcauth_client *client,
                                    uint32_t target,
                                    uint64_t mono_ms,
                                    uint64_t wall_ms,
                                    svcauth_token_state *state,
                                    svcauth_lease **lease,
                                    svcauth_error **error);

// As `svcauth_client_token`, for a call whose decision is of kind lease: the service's own token, or the one
// that the user's token is exchanged for.
svcauth_result svcauth_client_token_for(const svcauth_client *client,
                                        const svcauth_decision *decision,
                                        uint64_t mono_ms,
                                        uint64_t wall_ms,
                                        svcauth_token_state *state,
                                        svcauth_lease **lease,
                                        svcauth_error **error);

// Says that a called service refused the lease with the number `lease_id`, as `svcauth_client_answered` asks.
// Poll afterwards.
//
// `lease` is written where the call is made once more, and NULL otherwise. As with
// `svcauth_client_token`, be in the list of those who wait before. Where the call cannot be made once more,
// the client takes note and the answer is deliver: nobody waits.
svcauth_result svcauth_client_reject(const svcauth_client *client,
                                     const svcauth_decision *decision,
                                     uint64_t lease_id,
                                     svcauth_replay replay,
                                     uint64_t mono_ms,
                                     uint64_t wall_ms,
                                     svcauth_rejection *what,
                                     svcauth_lease **lease,
                                     svcauth_error **error);

// Registers the client now, if it is to be registered and is not (RFC 7591). Poll afterwards; the state is
// another one when an event says so. A token that is asked for brings this about too.
//
// Where it cannot be done before the next attempt, the code and `error` say why, and when that is.
svcauth_result svcauth_client_register(const svcauth_client *client,
                                       uint64_t mono_ms,
                                       uint64_t wall_ms,
                                       svcauth_registration_state *state,
                                       svcauth_error **error);

// Gives what the server answered when the client was registered, as JSON (RFC 7591 section 3.2.1): a secret.
// NULL where it was not.
svcauth_result svcauth_client_registration(const svcauth_client *client,
                                           svcauth_text **json,
                                           svcauth_error **error);

// Gives what of the configuration the program itself has to heed, as JSON with the defaults filled in and
// without secrets. Its members are those of the document, and `targets` has the targets' names in the order of
// their numbers:
//
//     { "targets": […], "store": …, "needs_durable_store": …, "tls": …, "proxy": …, "timeouts": …, "limits": … }
svcauth_result svcauth_client_settings(const svcauth_client *client,
                                       svcauth_text **json,
                                       svcauth_error **error);

// Gives how the service's own token for a target is doing, as JSON, for probes; a member is null where there
// is nothing to tell. The network is not touched.
//
//     { "ready": true, "asked_for": true, "expires_at_wall_ms": …, "error": …, "retry_at_ms": … }
svcauth_result svcauth_client_health(const svcauth_client *client,
                                     uint32_t target,
                                     svcauth_text **json,
                                     svcauth_error **error);

// Says that secrets may have changed: what failed for want of a good one is tried at once. Poll afterwards.
svcauth_result svcauth_client_secrets_changed(const svcauth_client *client,
                                              uint64_t mono_ms,
                                              uint64_t wall_ms,
                                              svcauth_error **error);

// Gives the next thing that the client wants of the program.
//
// `output` is NULL where there is none; then `idle_until_ms` is when to poll again on the monotonic clock,
// UINT64_MAX where only another call brings something new. Both are written on success.
svcauth_result svcauth_client_poll(const svcauth_client *client,
                                   uint64_t mono_ms,
                                   uint64_t wall_ms,
                                   svcauth_output **output,
                                   uint64_t *idle_until_ms,
                                   svcauth_error **error);

// Gives the counters.
svcauth_result svcauth_client_stats(const svcauth_client *client,
                                    svcauth_stats *stats,
                                    svcauth_error **error);

// Answers a send task with the response, whatever its status.
//
// `header_fields` are as they stand on the wire, lines of `Name: value` that end with a line feed,
// with or without a carriage return: what libcurl's header callback is given, and Go's http.Header.Write
// writes. `body` is the body after any transfer coding. Both are copied; the copy of the body is wiped.
svcauth_result svcauth_client_complete_response(const svcauth_client *client,
                                                uint64_t task,
                                                uint32_t status,
                                                const char *header_fields,
                                                size_t header_fields_len,
                                                const uint8_t *body,
                                                size_t body_len,
                                                uint64_t mono_ms,
                                                uint64_t wall_ms,
                                                svcauth_error **error);

// Answers a send task to which no response came. `detail` is in the system's words, without secrets; it
// becomes part of errors and events.
svcauth_result svcauth_client_complete_send_failed(const svcauth_client *client,
                                                   uint64_t task,
                                                   svcauth_send_failure failure,
                                                   const char *detail,
                                                   size_t detail_len,
                                                   uint64_t mono_ms,
                                                   uint64_t wall_ms,
                                                   svcauth_error **error);

// Answers a task that reads a secret or takes random bytes. The bytes are copied; the copy is wiped.
svcauth_result svcauth_client_complete_bytes(const svcauth_client *client,
                                             uint64_t task,
                                             const uint8_t *value,
                                             size_t value_len,
                                             uint64_t mono_ms,
                                             uint64_t wall_ms,
                                             svcauth_error **error);

// Answers a task that reads a record of the store. `version` is 0 where it does not exist. The value is
// copied; the copy is wiped.
svcauth_result svcauth_client_complete_record(const svcauth_client *client,
                                              uint64_t task,
                                              const uint8_t *value,
                                              size_t value_len,
                                              uint64_t version,
                                              uint64_t mono_ms,
                                              uint64_t wall_ms,
                                              svcauth_error **error);

// Answers a task that writes, locks or unlocks a record of the store. `number` is what the outcome names,
// and ignored where it names none.
svcauth_result svcauth_client_complete_store(const svcauth_client *client,
                                             uint64_t task,
                                             svcauth_store_outcome outcome,
                                             uint64_t number,
                                             uint64_t mono_ms,
                                             uint64_t wall_ms,
                                             svcauth_error **error);

// Answers any task but a send task that could not be done. `detail` says why, without secrets; it becomes
// part of errors and events.
svcauth_result svcauth_client_complete_failed(const svcauth_client *client,
                                              uint64_t task,
                                              const char *detail,
                                              size_t detail_len,
                                              uint64_t mono_ms,
                                              uint64_t wall_ms,
                                              svcauth_error **error);

// Answers a task that the program cannot do at all, one of a kind it does not know for instance.
svcauth_result svcauth_client_complete_unsupported(const svcauth_client *client,
                                                   uint64_t task,
                                                   uint64_t mono_ms,
                                                   uint64_t wall_ms,
                                                   svcauth_error **error);

// Gives a text of an error: (NULL, 0) where it has none. It stays until the error is freed.
svcauth_result svcauth_error_get_text(const svcauth_error *error,
                                      svcauth_error_text which,
                                      const char **text,
                                      size_t *len);

// Gives the numbers of an error.
svcauth_result svcauth_error_get_info(const svcauth_error *error,
                                      svcauth_error_info *info);

// Frees an error; NULL is nothing to free.
svcauth_result svcauth_error_free(svcauth_error *error);

// Makes the message `name` with its parameters, a JSON object; nothing is sent. Send the request as it is,
// follow no redirect, and give the answer to `svcauth_exchange_parse`. Freed by `svcauth_exchange_free`.
//
// The messages, with their parameters and what the answer has; `?` stands behind what may be left out:
//
//     register             RFC 7591: a client is registered
//       parameters         endpoint, metadata?, initial_access_token?, allowed_origins?, insecure_http?
//       answer             registration, refused_uri?
//     read_registration    RFC 7592 section 2.1
//       parameters         registration, allowed_origins?, insecure_http?
//       answer             registration, refused_uri?
//     update_registration  RFC 7592 section 2.2
//       parameters         registration, metadata?, allowed_origins?, insecure_http?
//       answer             registration, refused_uri?
//     delete_registration  RFC 7592 section 2.3
//       parameters         registration, insecure_http?
//       answer             nothing
//     authorize            the second step of the flow: the authorization endpoint with the registration's token
//       parameters         endpoint, state, registration?, registration_access_token?, client_id?,
//                          client_secret?, redirect_uri?, scopes?, response_type?, insecure_http?
//       answer             kind, location?, error?, has_code?, status?
//     token                RFC 6749 section 5, RFC 8693
//       parameters         endpoint, auth?, basic_encoding?, client_id?, client_secret?, grant?, scopes?,
//                          audience?, resource?, parameters?, allow_missing_token_type?, allow_form_answer?,
//                          insecure_http?
//       answer             access_token, token_type, expires_in?, scope?, refresh_token?, refresh_expires_in?,
//                          issued_token_type?, content_type_mismatch
//     metadata             RFC 8414, OpenID Connect Discovery
//       parameters         issuer, document?, insecure_http?
//       answer             issuer, token_endpoint?, authorization_endpoint?, registration_endpoint?, jwks_uri?,
//                          revocation_endpoint?, introspection_endpoint?,
//                          token_endpoint_auth_methods_supported?
//
// The parameters:
//
//     endpoint, issuer            a URL: https, or http of this machine
//     insecure_http               list of origins that may be spoken to without TLS besides
//     metadata                    the client metadata (RFC 7591 section 2); of an update, the members to change
//     registration                what an answer calls so, whole; for authorize it gives what is not given by itself
//     allowed_origins             list of origins where the client may be managed, besides the endpoint's own
//     initial_access_token,       texts; secrets
//     registration_access_token,
//     client_secret
//     client_id, redirect_uri     texts
//     state                       a fresh random text
//     response_type               "token" unless given
//     auth                        "client_secret_basic" unless given, "client_secret_post" or "none"
//     basic_encoding              "form" unless given (RFC 6749 section 2.3.1), or "raw"
//     grant                       "client_credentials" unless given, or
//                                 { "type": "refresh_token", "refresh_token" },
//                                 { "type": "token_exchange", "subject_token", "subject_token_type",
//                                   "requested_token_type"? }, or
//                                 { "type": "bare", "method"? }: a request without parameters, by "POST" unless
//                                 given, or "GET" (OPAAL)
//     scopes, audience, resource  lists of texts
//     parameters                  further parameters of the request, texts by name
//     allow_missing_token_type,   booleans, false unless given: what a server may do besides
//     allow_form_answer
//     document                    "openid" unless given, or "oauth"
//
// The answer:
//
//     registration                all that is known of the registration (RFC 7591 section 3.2.1), to be saved whole
//     refused_uri                 why the registration_client_uri that the server gave is left out
//     kind                        "login_page" with location; "callback" with has_code, and error if one came;
//                                 "error_page", with error if one came; "answered" with status
//     error                       { "error", "description"?, "uri"? }
//     expires_in,                 seconds, rounded down; an expires_in of more than ten years is a point in time,
//     refresh_expires_in          in seconds since 1970 (OPAAL)
//     scope                       the granted scopes with a space between them; empty: none
//     content_type_mismatch       whether the answer was JSON and did not say so
//
// What the server said besides is kept beside these members. A wrong name or parameter is
// `SVCAUTH_RESULT_INVALID_ARGUMENT`; a text of the error has its path, or its offset where the text is no
// JSON.
svcauth_result svcauth_exchange_new(const char *name,
                                    size_t name_len,
                                    const char *parameters_json,
                                    size_t parameters_len,
                                    svcauth_exchange **exchange,
                                    svcauth_error **error);

// Gives a text of a message. It stays until the message is freed.
svcauth_result svcauth_exchange_get_text(const svcauth_exchange *exchange,
                                         svcauth_exchange_text which,
                                         const char **text,
                                         size_t *len);

// Reads the answer to the request, and gives what it says as a JSON object, described with
// `svcauth_exchange_new`. It may hold secrets; freed by `svcauth_text_free`.
//
// `header_fields` and `body` are as for `svcauth_client_complete_response`. An answer that says no, or that
// the specification does not allow, is an error.
svcauth_result svcauth_exchange_parse(const svcauth_exchange *exchange,
                                      uint32_t status,
                                      const char *header_fields,
                                      size_t header_fields_len,
                                      const uint8_t *body,
                                      size_t body_len,
                                      svcauth_text **answer,
                                      svcauth_error **error);

// Frees a message; NULL is nothing to free. Texts that were parsed stay.
svcauth_result svcauth_exchange_free(svcauth_exchange *exchange);

// Gives a text of a lease: (NULL, 0) where it has none. It stays until the last reference is released.
svcauth_result svcauth_lease_get_text(const svcauth_lease *lease,
                                      svcauth_lease_text which,
                                      const char **text,
                                      size_t *len);

// Gives the numbers of a lease.
svcauth_result svcauth_lease_get_info(const svcauth_lease *lease,
                                      svcauth_lease_info *info);

// Gives the scope at `index`, from 0. It stays until the last reference is released.
svcauth_result svcauth_lease_scope(const svcauth_lease *lease,
                                   uint32_t index,
                                   const char **text,
                                   size_t *len);

// Gives the `sub` claim of an access token, unverified, where it is a JWT that has one, and NULL otherwise: for
// the audit trail, and never for access. The text is freed by `svcauth_text_free`.
svcauth_result svcauth_token_subject(const char *token,
                                     size_t len,
                                     svcauth_text **subject,
                                     svcauth_error **error);

// Takes one more reference, for a thread or structure of its own.
svcauth_result svcauth_lease_retain(const svcauth_lease *lease);

// Gives a reference back; NULL is nothing to give back.
svcauth_result svcauth_lease_release(const svcauth_lease *lease);

// Gives the kind of an output.
svcauth_result svcauth_output_get_kind(const svcauth_output *output,
                                       svcauth_output_kind *kind);

// Gives a text of an output: (NULL, 0) where it is absent. It stays until the output is freed.
svcauth_result svcauth_output_get_text(const svcauth_output *output,
                                       svcauth_output_text which,
                                       const char **text,
                                       size_t *len);

// Gives what has become of which token; whose it is is a text.
svcauth_result svcauth_output_lease_change(const svcauth_output *output,
                                           svcauth_lease_change_info *info);

// Gives the lease of a change in state ready or once, with a reference for the caller:
// `svcauth_lease_release`.
svcauth_result svcauth_output_lease(const svcauth_output *output,
                                    svcauth_lease **lease);

// Gives why a change is in state failed, as an error that the caller frees.
svcauth_result svcauth_output_error(const svcauth_output *output,
                                    svcauth_error **error);

// Gives how much an event matters.
svcauth_result svcauth_output_event_level(const svcauth_output *output,
                                          svcauth_event_level *level);

// Frees an output; NULL is nothing to free. A task is not answered by it.
svcauth_result svcauth_output_free(svcauth_output *output);

// Says which events the program listens to: those below the level `least` are not made from now on. Without
// it all are.
svcauth_result svcauth_client_hear(const svcauth_client *client,
                                   svcauth_event_level least,
                                   svcauth_error **error);

// Gives all that the client wants of the program, as `svcauth_client_poll` does one after the other: for
// programs to which each call is dear.
//
// `outputs` is NULL where there is nothing. Otherwise it holds outputs, one behind the other to its end, and
// may be secret. An output is made of numbers, 8 bytes with the least significant first, and of texts: a
// number, how many bytes, and the bytes. Its first number is an svcauth_output_kind, and then come for
//
//     lease          target, state (svcauth_lease_state), text subject; in state ready and once also
//                    refresh_at_ms, ask_at_ms, serve_until_ms, expires_at_ms, expires_at_wall_ms, lifetime_ms,
//                    texts authorization and client_id, the number of scopes, each as a text;
//                    in state failed also the handle of an svcauth_error
//     event          level (svcauth_event_level), text event
//     send           id, deadline_ms, timeout_ms, max_bytes, texts method, url, headers and body
//     calls_changed  nothing
//     any other      the handle of an svcauth_output
//
// Handles are freed by the program. `idle_until_ms` is when to poll again on the monotonic clock, UINT64_MAX
// where only another call brings something new. Both are written on success.
svcauth_result svcauth_client_poll_all(const svcauth_client *client,
                                       uint64_t mono_ms,
                                       uint64_t wall_ms,
                                       svcauth_text **outputs,
                                       uint64_t *idle_until_ms,
                                       svcauth_error **error);

// Notes a lease down for another client of the same configuration, as a JSON object that holds the token: for
// `svcauth_client_adopt`. A secret; freed by `svcauth_text_free`. The times are what both clocks show now.
//
// Its members are `format` (1), `access_token`, `recorded_at_mono_ms`, `recorded_at_wall_ms`, `refresh_in_ms`,
// `serve_for_ms`, `expires_in_ms`, `expires_at_wall_ms`, `lifetime_ms`, `scopes` (a list), `client_id` and `subject`
// (null where unknown): a program that has a lease's times, from `svcauth_client_poll_all`, may write it by itself.
svcauth_result svcauth_lease_record(const svcauth_lease *lease,
                                    uint64_t mono_ms,
                                    uint64_t wall_ms,
                                    svcauth_text **record,
                                    svcauth_error **error);

// Gives a client the lease of another client of the same configuration, as `svcauth_lease_record` noted it
// down: the service's own token for a target. Poll afterwards.
//
// It is announced, refreshed and rejected like any other. A text that is no record is
// `SVCAUTH_RESULT_STORE_CORRUPT`.
svcauth_result svcauth_client_adopt(const svcauth_client *client,
                                    uint32_t target,
                                    const char *record,
                                    size_t record_len,
                                    svcauth_record_clock clock,
                                    uint64_t mono_ms,
                                    uint64_t wall_ms,
                                    svcauth_adoption *what,
                                    svcauth_error **error);

// Gives what all tasks have.
svcauth_result svcauth_output_task(const svcauth_output *output,
                                   svcauth_task_info *info);

// Gives how to send the request.
svcauth_result svcauth_output_send(const svcauth_output *output,
                                   svcauth_send_info *info);

// Gives the header field at `index` of the request, from 0. Each name stands there once. Both texts stay
// until the output is freed; the value may be a secret.
svcauth_result svcauth_output_header(const svcauth_output *output,
                                     uint32_t index,
                                     const char **name,
                                     size_t *name_len,
                                     const char **value,
                                     size_t *value_len);

// Gives where the secret is; its name is a text.
svcauth_result svcauth_output_secret_kind(const svcauth_output *output,
                                          svcauth_secret_kind *kind);

// Gives how many random bytes are wanted.
svcauth_result svcauth_output_random(const svcauth_output *output,
                                     uint64_t *bytes);

// Gives how to use the store; the record's name and new content are texts.
svcauth_result svcauth_output_store(const svcauth_output *output,
                                    svcauth_store_info *info);

// Gives where the text is. It stays until the handle is freed.
svcauth_result svcauth_text_get(const svcauth_text *handle,
                                const char **text,
                                size_t *len);

// Frees a text; NULL is nothing to free.
svcauth_result svcauth_text_free(svcauth_text *handle);

#if defined(SVCAUTH_TRANSPORT)
// Makes a transport as the configuration file at `path` says. Touches no network and starts no thread: both
// happen when the first token is asked for.
//
// `callbacks` is copied; NULL where there are none. See `svcauth_transport_new`.
svcauth_result svcauth_transport_open(const char *path,
                                      size_t path_len,
                                      const svcauth_callbacks *callbacks,
                                      svcauth_transport **transport,
                                      svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// As `svcauth_transport_open`, of a configuration document that the program has at hand.
//
// What this library cannot do and the configuration needs is refused: a secret named with `callback` where
// there is no such callback, one-use refresh tokens without a store.
svcauth_result svcauth_transport_new(const char *config_json,
                                     size_t config_len,
                                     const svcauth_callbacks *callbacks,
                                     svcauth_transport **transport,
                                     svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Closes a transport and frees it; NULL is nothing to free. Leases and decisions that came from it stay
// usable, and calls that other threads make end as after `svcauth_transport_close`.
svcauth_result svcauth_transport_free(svcauth_transport *transport);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Ends a transport: its threads end, those who wait are answered `SVCAUTH_RESULT_CLOSED`, and so is everybody
// who asks later. Waits for what is being saved to the store, `timeouts.store_s` at the most; where a token that
// can be used once is on its way, for the answer too, `timeouts.request_s` more.
//
// Callbacks that are under way may outlast it, on the transport's threads; none but `drop` begins after it.
//
// A process that ends without it may leave its lock in the store, and others wait until they see that it is
// dead.
svcauth_result svcauth_transport_close(const svcauth_transport *transport,
                                       svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives the number of the target with this name. It is the same as long as the transport lives.
svcauth_result svcauth_transport_target(const svcauth_transport *transport,
                                        const char *name,
                                        size_t name_len,
                                        uint32_t *target,
                                        svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives what of the configuration the program itself may heed, as `svcauth_client_settings`.
svcauth_result svcauth_transport_settings(const svcauth_transport *transport,
                                          svcauth_text **json,
                                          svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives the service's own token for a target, and waits for it where there is none. As long as there is one,
// no lock is taken; it is refreshed in the background. Released by `svcauth_lease_release`.
svcauth_result svcauth_transport_lease(const svcauth_transport *transport,
                                       uint32_t target,
                                       uint64_t wait_ms,
                                       svcauth_lease **lease,
                                       svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Decides what a call carries, as `svcauth_client_decide`, whose arguments it has; the decision's functions are
// the same. Does not wait.
svcauth_result svcauth_transport_decide(const svcauth_transport *transport,
                                        const char *url,
                                        size_t url_len,
                                        uint32_t flags,
                                        const char *user_token,
                                        size_t user_token_len,
                                        const char *redirected_from,
                                        size_t redirected_from_len,
                                        svcauth_decision **decision,
                                        svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// As `svcauth_transport_lease`, for a call whose decision is of kind lease: the service's own token, or the one
// that the user's token is exchanged for.
svcauth_result svcauth_transport_lease_for(const svcauth_transport *transport,
                                           const svcauth_decision *decision,
                                           uint64_t wait_ms,
                                           svcauth_lease **lease,
                                           svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Says what to do with the answer to a call that was decided so, as `svcauth_client_answered`: deliver it, or
// `svcauth_transport_reject`. Does not wait.
svcauth_result svcauth_transport_answered(const svcauth_transport *transport,
                                          const svcauth_decision *decision,
                                          uint32_t status,
                                          const char *header_fields,
                                          size_t header_fields_len,
                                          svcauth_replay replay,
                                          svcauth_answered *what,
                                          svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Says that a called service refused the lease with the number `lease_id`, and waits for another one.
//
// The answer is retry with the `lease` to make the call once more with, or deliver, and `lease` is NULL then.
// Where the call cannot be made once more, the client takes note, nothing is waited for, and the answer is
// deliver.
svcauth_result svcauth_transport_reject(const svcauth_transport *transport,
                                        const svcauth_decision *decision,
                                        uint64_t lease_id,
                                        svcauth_replay replay,
                                        uint64_t wait_ms,
                                        svcauth_rejection *what,
                                        svcauth_lease **lease,
                                        svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Waits until every target has a token, for a program that wants to be sure before it serves. Where one has
// none in time, the code and `error` say why.
svcauth_result svcauth_transport_ready(const svcauth_transport *transport,
                                       uint64_t wait_ms,
                                       svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives how the targets are doing, as JSON, for probes; a member is null where there is nothing to tell. The
// network is not touched. `ready` is whether every target that was asked for a token can serve one now.
//
//     { "ready": true,
//       "targets": { "smd": { "ready": true, "asked_for": true, "expires_at_wall_ms": …, "error": …,
//                             "retry_in_ms": … } } }
svcauth_result svcauth_transport_health(const svcauth_transport *transport,
                                        svcauth_text **json,
                                        svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives the counters.
svcauth_result svcauth_transport_stats(const svcauth_transport *transport,
                                       svcauth_transport_counters *counters,
                                       svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Says that secrets may have changed: what failed for want of a good one is tried at once. Does not wait.
svcauth_result svcauth_transport_secrets_changed(const svcauth_transport *transport,
                                                 svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Sends a message that `svcauth_exchange_new` made, and reads its answer as `svcauth_exchange_parse` does, with
// the TLS, the proxy and the limits of the configuration: `timeouts.request_s`, `limits.answer_bytes`. The
// transport's own state is not concerned.
svcauth_result svcauth_transport_exchange(const svcauth_transport *transport,
                                          const svcauth_exchange *exchange,
                                          svcauth_text **answer,
                                          svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Gives the secret that is asked for; it is copied, and the copy wiped after use. The last answer counts.
svcauth_result svcauth_secret_request_answer(const svcauth_secret_request *request,
                                             const char *secret,
                                             size_t secret_len,
                                             svcauth_error **error);
#endif

#if defined(SVCAUTH_TRANSPORT)
// Says that the secret cannot be had, and why, without secrets; it becomes part of errors and events. So does
// a callback that returns without an answer.
svcauth_result svcauth_secret_request_fail(const svcauth_secret_request *request,
                                           const char *detail,
                                           size_t detail_len,
                                           svcauth_error **error);
#endif

#if defined(__wasm__)
// Gives memory for arguments and results, aligned for all types here; NULL where there is no more.
// Freed by `svcauth_free` with the same size. Only in the WebAssembly module.
void *svcauth_alloc(size_t size);
#endif

#if defined(__wasm__)
// Wipes memory and gives it back; NULL is nothing to free. Only in the WebAssembly module.
void svcauth_free(void *memory,
                  size_t size);
#endif

#if defined(__wasm__)
// Gives where the library writes the place of a panic, `file:line:column`, with a zero at its end. Only in
// the WebAssembly module.
//
// A panic, which would be a bug, is a trap there: the host calls this once at the start, and reads the text
// after a trap. It is empty when memory ran out. The module's memory is then to be wiped, and the module
// instantiated anew.
const char *svcauth_panic_text(void);
#endif

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SVCAUTH_H */
