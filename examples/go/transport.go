package main

/*
#include "svcauth.h"
*/
import "C"

import (
	"context"
	"io"
	"net/http"
)

// Transport puts the right token on each request, and sends a request once more when that is what a 401 asks for.
type Transport struct {
	Client *Client
	Base   http.RoundTripper
}

type userToken struct{}

// WithUserToken marks the calls made with ctx as made on behalf of the user who holds token.
func WithUserToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, userToken{}, token)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	d, err := t.Client.decide(request)
	if err != nil {
		return nil, err
	}
	defer C.svcauth_decision_free(d.handle)
	var kind C.svcauth_decision_kind
	C.svcauth_decision_get_kind(d.handle, &kind)
	switch kind {
	case C.SVCAUTH_DECISION_KIND_NOTHING:
		return t.Base.RoundTrip(request)
	case C.SVCAUTH_DECISION_KIND_USER_TOKEN:
		return t.Base.RoundTrip(bearing(request, d.text(C.SVCAUTH_DECISION_TEXT_USER_TOKEN)))
	}
	lease, err := d.lease(request.Context())
	if err != nil {
		return nil, err
	}
	response, err := t.Base.RoundTrip(bearing(request, lease.value))
	if err != nil {
		return nil, err
	}
	again := d.answered(request, response, lease)
	if again == nil {
		return response, nil
	}
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	response.Body.Close()
	once := bearing(request, again.value)
	if request.GetBody != nil {
		if once.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
	return t.Base.RoundTrip(once)
}

func bearing(request *http.Request, token string) *http.Request {
	bearing := request.Clone(request.Context())
	bearing.Header.Set("Authorization", "Bearer "+token)
	return bearing
}

// decision is what the library says about one request.
type decision struct {
	client *Client
	handle *C.svcauth_decision
	whose  owner
}

func (c *Client) decide(request *http.Request) (*decision, error) {
	d := &decision{client: c}
	var flags C.uint32_t
	if request.Header.Get("Authorization") != "" {
		flags |= C.SVCAUTH_CALL_HAS_AUTHORIZATION
	}
	user, has := request.Context().Value(userToken{}).(string)
	if has {
		flags |= C.SVCAUTH_CALL_HAS_USER_TOKEN
	}
	first := request
	for first.Response != nil {
		first = first.Response.Request
		flags |= C.SVCAUTH_CALL_REDIRECTED
	}
	p, n := chars(request.URL.String())
	u, m := chars(user)
	f, k := chars(first.URL.String())
	var object *C.svcauth_error
	if err := check(C.svcauth_client_decide(c.handle, p, n, flags, u, m, f, k, &d.handle, &object), object); err != nil {
		return nil, err
	}
	C.svcauth_decision_target(d.handle, &d.whose.target)
	d.whose.subject = d.text(C.SVCAUTH_DECISION_TEXT_SUBJECT)
	return d, nil
}

func (d *decision) text(which C.svcauth_decision_text) string {
	return read(func(p **C.char, n *C.size_t) C.svcauth_result {
		return C.svcauth_decision_get_text(d.handle, which, p, n)
	})
}

// lease waits for the token, for as long as ctx allows.
func (d *decision) lease(ctx context.Context) (*Lease, error) {
	heard, leave := d.client.listen(d.whose)
	defer leave()
	var state C.svcauth_token_state
	var handle *C.svcauth_lease
	var object *C.svcauth_error
	mono, wall := now()
	err := check(C.svcauth_client_token_for(d.client.handle, d.handle, mono, wall, &state, &handle, &object), object)
	d.client.poke()
	if err != nil || state == C.SVCAUTH_TOKEN_STATE_READY {
		return take(handle), err
	}
	select {
	case it := <-heard:
		return it.lease, it.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answered gives the lease to send the request with once more; nil to deliver the response.
func (d *decision) answered(request *http.Request, response *http.Response, sent *Lease) *Lease {
	var replay C.svcauth_replay = C.SVCAUTH_REPLAY_POSSIBLE
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		replay = C.SVCAUTH_REPLAY_IMPOSSIBLE
	}
	var what C.svcauth_answered
	p, n := chars(fields(response.Header))
	C.svcauth_client_answered(d.client.handle, d.handle, C.uint32_t(response.StatusCode), p, n, replay, &what, nil)
	if what == C.SVCAUTH_ANSWERED_DELIVER {
		return nil
	}
	return d.reject(request.Context(), sent, replay)
}

func (d *decision) reject(ctx context.Context, sent *Lease, replay C.svcauth_replay) *Lease {
	heard, leave := d.client.listen(d.whose)
	defer leave()
	for waited := false; ; waited = true {
		what := C.svcauth_rejection(C.SVCAUTH_REJECTION_DELIVER)
		var handle *C.svcauth_lease
		mono, wall := now()
		C.svcauth_client_reject(d.client.handle, d.handle, sent.id, replay, mono, wall, &what, &handle, nil)
		d.client.poke()
		if what != C.SVCAUTH_REJECTION_WAIT || waited && ctx.Err() != nil {
			return take(handle)
		}
		select {
		case <-heard:
		case <-ctx.Done():
		}
	}
}
