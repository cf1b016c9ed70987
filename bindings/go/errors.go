package svcauth

import (
	"errors"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Code is the stable name of what went wrong. It is an error, for errors.Is:
//
//	if errors.Is(err, svcauth.ErrUserTokenMissing) {
type Code string

// The caller's and the operator's errors.
const (
	// ErrInvalidConfiguration: a member of the configuration is missing, unknown, of the wrong type or contradicts
	// another; Error.Member names it.
	ErrInvalidConfiguration Code = "invalid_configuration"
	// ErrInvalidArgument: an argument makes no sense.
	ErrInvalidArgument Code = "invalid_argument"
	// ErrInvalidUTF8: a text that is given is no UTF-8.
	ErrInvalidUTF8 Code = "invalid_utf8"
	// ErrInvalidValue: a value that is given is out of range.
	ErrInvalidValue Code = "invalid_value"
	// ErrUnknownTarget: no target of that name is configured.
	ErrUnknownTarget Code = "unknown_target"
	// ErrUnsupported: the configuration needs what this program cannot do.
	ErrUnsupported Code = "unsupported"
	// ErrSecretUnavailable: a secret could not be read, is empty or is not text.
	ErrSecretUnavailable Code = "secret_unavailable"
	// ErrStoreUnavailable: the durable store cannot be read, written or locked.
	ErrStoreUnavailable Code = "store_unavailable"
	// ErrStoreCorrupt: what the durable store holds was written by something else, or damaged.
	ErrStoreCorrupt Code = "store_corrupt"
	// ErrUserTokenMissing: the call belongs to a user's request that carries no token of the user.
	ErrUserTokenMissing Code = "user_token_missing"
	// ErrTooManySubjects: tokens of too many users are waited for at once; limits.subjects bounds them.
	ErrTooManySubjects Code = "too_many_subjects"
	// ErrClosed: the client was closed.
	ErrClosed Code = "closed"
)

// What a server answered.
const (
	// ErrOAuth: the server answered with an OAuth error (RFC 6749 section 5.2); see Error.OAuthError.
	ErrOAuth Code = "oauth_error"
	// ErrMalformedAnswer: the answer is not what the message's specification asks for.
	ErrMalformedAnswer Code = "malformed_answer"
	// ErrInvalidExpiresIn: expires_in is neither a number nor a numeric text.
	ErrInvalidExpiresIn Code = "invalid_expires_in"
	// ErrInvalidAccessToken: access_token is missing, empty, no text, or holds a byte that no header may carry.
	ErrInvalidAccessToken Code = "invalid_access_token"
	// ErrMissingTokenType: token_type is missing.
	ErrMissingTokenType Code = "missing_token_type"
	// ErrUnexpectedTokenType: token_type or issued_token_type is not what was asked for.
	ErrUnexpectedTokenType Code = "unexpected_token_type"
	// ErrScopeNotGranted: the granted scopes lack one that the target requires.
	ErrScopeNotGranted Code = "scope_not_granted"
	// ErrUnexpectedRedirect: a redirect where none is followed.
	ErrUnexpectedRedirect Code = "unexpected_redirect"
	// ErrUnexpectedStatus: a status that stands for no answer of this message.
	ErrUnexpectedStatus Code = "unexpected_status"
	// ErrServer: the server says that it cannot answer now (5xx).
	ErrServer Code = "server_error"
	// ErrRateLimited: the server asks for patience (429).
	ErrRateLimited Code = "rate_limited"
	// ErrIssuerMismatch: metadata speaks for another issuer (RFC 8414 section 3.3).
	ErrIssuerMismatch Code = "issuer_mismatch"
	// ErrUntrustedEndpoint: the server named an endpoint that may not be used.
	ErrUntrustedEndpoint Code = "untrusted_endpoint"
	// ErrAnswerTooLarge: the answer is larger than allowed.
	ErrAnswerTooLarge Code = "answer_too_large"
	// ErrMissingEndpoint: neither the configuration nor the server's metadata names the endpoint that is needed.
	ErrMissingEndpoint Code = "missing_endpoint"
)

// The network's errors, and ours.
const (
	// ErrConnectionFailed: nothing listens there, or the name is unknown.
	ErrConnectionFailed Code = "connection_failed"
	// ErrTimeout: no answer in time.
	ErrTimeout Code = "timeout"
	// ErrTLS: TLS could not be set up or verified.
	ErrTLS Code = "tls_failed"
	// ErrConnectionBroken: the connection broke before the answer was whole.
	ErrConnectionBroken Code = "connection_broken"
	// ErrInternal: a bug in svcauth; please report it.
	ErrInternal Code = "internal"
)

// Error implements error.
func (c Code) Error() string { return "svcauth: " + string(c) }

// Error is why a token could not be had, or a call not be made. It holds no secret.
type Error struct {
	// Code says what went wrong, for programs.
	Code Code
	// Message says what is wrong and what to do.
	Message string
	// Member is the configuration member (targets.smd.scopes), argument, header or URL that is wrong.
	Member string
	// OAuthError and OAuthDescription are what the server said (RFC 6749 section 5.2).
	OAuthError, OAuthDescription string
	// Challenge is the WWW-Authenticate header that came with it.
	Challenge string
	// Status is the HTTP status of the answer that is wrong; 0 where there was none.
	Status int
	// Offset is where the configuration document is no JSON, in bytes from its start; 0 otherwise.
	Offset int64
	// RetryAfter is how long the server asks to wait; 0 where it did not say.
	RetryAfter time.Duration
	// RetryAt is when the client tries again; zero where it does not by itself.
	RetryAt time.Time

	text string
}

// Error implements error: all of it in one line.
func (e *Error) Error() string { return "svcauth: " + e.text }

// Is says whether target is the Code of e.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Timeout says whether time ran out, as in net.Error.
func (e *Error) Timeout() bool { return e.Code == ErrTimeout }

// gaveUp is the error of a caller whose context ended, with the reason why there was no token before.
type gaveUp struct {
	cause  error
	reason *Error
}

func (g *gaveUp) Error() string {
	if g.reason == nil {
		return "svcauth: no token before the caller gave up: " + g.cause.Error()
	}
	return g.reason.Error() + " (" + g.cause.Error() + ")"
}

func (g *gaveUp) Unwrap() []error {
	if g.reason == nil {
		return []error{g.cause}
	}
	return []error{g.cause, g.reason}
}

// Timeout says whether it was the deadline that ended the waiting, as in net.Error.
func (g *gaveUp) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(g.cause, &t) && t.Timeout()
}

func newError(code Code, message, member string) *Error {
	text := string(code) + ": " + message
	if member != "" {
		text = string(code) + " (" + member + "): " + message
	}
	return &Error{Code: code, Message: message, Member: member, text: text}
}

func errClosed() *Error {
	return newError(ErrClosed, "the client was closed; open another one", "")
}

// errorOf turns what an engine says into an *Error; nil stays nil.
func (c *clock) errorOf(err error) error {
	if err == nil {
		return nil
	}
	var f *engine.Failure
	if !errors.As(err, &f) {
		return err
	}
	return c.failure(f)
}

func (c *clock) failure(f *engine.Failure) *Error {
	e := &Error{
		Code:             Code(f.Code),
		Message:          f.Message,
		Member:           f.Member,
		OAuthError:       f.OAuthError,
		OAuthDescription: f.OAuthDescription,
		Challenge:        f.Challenge,
		Status:           f.Status,
		Offset:           max(f.Offset, 0),
		text:             f.Display,
	}
	if f.RetryAfterMS >= 0 {
		e.RetryAfter = milliseconds(uint64(f.RetryAfterMS))
	}
	if f.RetryAtMS >= 0 {
		e.RetryAt = c.started.Add(milliseconds(uint64(f.RetryAtMS)))
	}
	return e
}
