package svcauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

type userKey struct{}

// user is what a context says about the user on whose behalf calls are made.
type user struct {
	token    string
	has      bool
	required bool
}

// Format implements fmt.Formatter: no verb prints the token.
func (u *user) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "user") }

func userOf(ctx context.Context) user {
	if u, ok := ctx.Value(userKey{}).(*user); ok {
		return *u
	}
	return user{}
}

// WithUserToken marks calls that are made with the context as made on behalf of the user who holds token, as it
// stood behind "Bearer" in the inbound request.
//
// What the called service gets is the target's `user_token`: this token, one it is exchanged for, or the service's
// own. It goes to no URL outside of the targets.
func WithUserToken(ctx context.Context, token string) context.Context {
	u := userOf(ctx)
	u.token, u.has = token, true
	return context.WithValue(ctx, userKey{}, &u)
}

// WithUserRequired marks calls that are made with the context as belonging to a user's request: without a user's
// token they are refused with ErrUserTokenMissing, instead of being made with the service's own.
func WithUserRequired(ctx context.Context) context.Context {
	u := userOf(ctx)
	u.required = true
	return context.WithValue(ctx, userKey{}, &u)
}

// PassUser is middleware that takes the bearer token of the inbound request, where there is one, into the request's
// context, as [WithUserToken] does. It checks nothing: put it behind what authenticates the request.
func PassUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := bearer(r.Header.Get("Authorization")); ok {
			r = r.WithContext(WithUserToken(r.Context(), token))
		}
		next.ServeHTTP(w, r)
	})
}

// RequireUser is middleware for the routes where there must be a user: outbound calls that are made with the
// request's context are refused without a user's token, as [WithUserRequired] says. It takes the bearer token as
// [PassUser] does.
func RequireUser(next http.Handler) http.Handler {
	return PassUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(WithUserRequired(r.Context())))
	}))
}

// bearer reads an Authorization header (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
func bearer(header string) (token string, ok bool) {
	scheme, rest, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.Trim(rest, " "), true
}
