package svcauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Transport is an [http.RoundTripper] that adds the right token to each call, and makes a call once more with a new
// token where the first was refused.
//
// A call to a URL of no target goes out as it is. So does one that has an Authorization of its own. A redirect is
// followed with the token only within the target. [WithUserToken] says on whose behalf a call is made. The request's
// context ends the waiting for a token.
//
// A refused call is made once more only if its body can be sent again: it has none, or has GetBody. The second
// answer is the caller's whatever it is, so that retry libraries around it see what happens.
type Transport struct {
	// Client knows the tokens.
	Client *Client
	// Base makes the calls; without it they go through a transport as the client's configuration has it.
	Base http.RoundTripper
	// Target, where it is set, is the only one whose token is added. Calls to others go out as they are.
	Target *Target
}

// HTTPClient gives an HTTP client that adds the right token to each call; see [Transport]. A call takes a minute at
// most, unless its Timeout is changed.
func (c *Client) HTTPClient() *http.Client {
	return &http.Client{Transport: &Transport{Client: c}, Timeout: time.Minute}
}

// HTTPClient is [Client.HTTPClient] for calls to this target only: others go out as they are.
func (t *Target) HTTPClient() *http.Client {
	return &http.Client{Transport: &Transport{Client: t.client, Target: t}, Timeout: time.Minute}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c, base := t.Client, t.base()
	found, err := c.route(r)
	if err != nil {
		closeBody(r)
		c.tellRefused(r, err)
		return nil, err
	}
	if t.Target != nil && found.kind != engine.CarriesNothing && found.target != t.Target.id {
		return base.RoundTrip(r)
	}
	if found.kind == engine.CarriesLease {
		return t.withLease(base, r, found)
	}
	to := r
	if found.kind == engine.CarriesUserToken {
		to = bearing(r, found.authorization)
	}
	response, err := base.RoundTrip(to)
	c.tellCall(r, found, nil, response, false)
	return response, err
}

func (t *Transport) withLease(base http.RoundTripper, r *http.Request, found *route) (*http.Response, error) {
	c := t.Client
	lease := c.fresh(found.cell)
	if lease == nil {
		var err error
		if lease, err = c.leaseFor(r, found); err != nil {
			closeBody(r)
			return nil, err
		}
	}
	response, err := base.RoundTrip(bearing(r, lease.held.Authorization))
	c.tellCall(r, found, lease, response, false)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	again := c.unauthorized(r, response, lease, found)
	if again == nil {
		return response, nil
	}
	once := bearing(r, again.held.Authorization)
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return response, nil
		}
		once.Body = body
	}
	// Its connection is free for the second attempt once the rest was read.
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	response.Body.Close()
	response, err = base.RoundTrip(once)
	c.tellCall(r, found, again, response, true)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		c.refused(r, response, again)
	}
	return response, err
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// Format implements fmt.Formatter: no verb prints what the client holds.
func (t *Transport) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "svcauth.Transport") }

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return t.Client.base
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// bearing is a copy of r with an Authorization of its own: a RoundTripper leaves requests as they are.
func bearing(r *http.Request, authorization string) *http.Request {
	type decorated struct {
		request http.Request
		value   [1]string
	}
	d := &decorated{value: [1]string{authorization}}
	d.request = *r
	header := make(http.Header, len(r.Header)+1)
	for name, values := range r.Header {
		header[name] = values
	}
	header["Authorization"] = d.value[:]
	d.request.Header = header
	return &d.request
}

// leaseFor waits for the token of a call.
func (c *Client) leaseFor(r *http.Request, found *route) (*Lease, error) {
	made := c.callOf(r)
	return c.get(r.Context(), found.whose, func(core engine.Client, now engine.Now) (*engine.Lease, error) {
		return core.TokenFor(made, now)
	})
}

// callOf is the call that a decision to carry a lease was about.
func (c *Client) callOf(r *http.Request) *engine.Call {
	by := userOf(r.Context())
	var flags uint32
	if by.required {
		flags |= engine.UserRequired
	}
	return call(r, flags, by)
}

// unauthorized gives the lease to make a call once more with; nil to deliver the 401.
func (c *Client) unauthorized(r *http.Request, response *http.Response, sent *Lease, found *route) *Lease {
	replay := engine.ReplayPossible
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		replay = engine.ReplayImpossible
	}
	made := c.callOf(r)
	switch c.answered(made, response, replay) {
	case engine.Retry:
		return c.reject(r.Context(), made, sent, found)
	case engine.Report:
		c.report(made, sent)
	}
	return nil
}

// refused reports that the second attempt was refused too.
func (c *Client) refused(r *http.Request, response *http.Response, sent *Lease) {
	made := c.callOf(r)
	if c.answered(made, response, engine.ReplayImpossible) == engine.Report {
		c.report(made, sent)
	}
}

func (c *Client) answered(made *engine.Call, response *http.Response, replay engine.Replay) engine.Answered {
	answer := &engine.Answer{Status: response.StatusCode, Fields: fields(response.Header), Replay: replay}
	what, err := c.core.Load().Answered(made, answer)
	if err != nil {
		return engine.Deliver
	}
	return what
}

// report says that a lease was refused, where the call is not made again.
func (c *Client) report(made *engine.Call, sent *Lease) {
	_ = c.turn(func(core engine.Client, now engine.Now) error {
		_, _, err := core.Reject(made, sent.held.ID(), engine.ReplayImpossible, now)
		return err
	})
}

// reject says that a lease was refused, and waits for another one.
func (c *Client) reject(ctx context.Context, made *engine.Call, sent *Lease, found *route) *Lease {
	for last := false; ; {
		var what engine.Rejection
		var lease *engine.Lease
		var place *waiting
		err := c.turn(func(core engine.Client, now engine.Now) (err error) {
			what, lease, err = core.Reject(made, sent.held.ID(), engine.ReplayPossible, now)
			if what == engine.RejectionWait {
				place = c.cell(found.whose).enlist()
			}
			return err
		})
		if err != nil || what != engine.RejectionWait || last {
			return c.newLease(lease)
		}
		c.waited.Add(1)
		select {
		case <-place.heard:
		case <-ctx.Done():
			last = true
		}
	}
}
