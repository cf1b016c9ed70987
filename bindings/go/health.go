package svcauth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Health is how one target's token is doing.
type Health struct {
	// Target is its name.
	Target string
	// Ready says whether a token can be served now.
	Ready bool
	// AskedFor says whether anybody has asked for one yet.
	AskedFor bool
	// ExpiresAt is when the token expires; zero where there is none.
	ExpiresAt time.Time
	// Err is why the last attempt failed; nil if it did not.
	Err error
	// RetryAt is the next attempt; zero where none is due.
	RetryAt time.Time
}

// Ready waits until every target has a token: for a program that wants to be sure before it serves. The error is
// the first target's that has none when ctx ends, or that cannot have one now.
func (c *Client) Ready(ctx context.Context) error {
	// All are asked for before the first is waited for.
	_ = c.turn(func(core engine.Client, now engine.Now) error {
		for number := range c.names {
			_, _ = core.Token(uint32(number), now)
		}
		return nil
	})
	for _, name := range c.names {
		target, err := c.Target(name)
		if err != nil {
			return err
		}
		if _, err := target.Lease(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Healthy is nil while every target that was asked for can serve a token, and why not otherwise. It asks for
// nothing and never waits.
func (c *Client) Healthy() error {
	for _, health := range c.Health() {
		if health.AskedFor && !health.Ready {
			if health.Err != nil {
				return health.Err
			}
			return newError(ErrTimeout, "there is no token yet", "targets."+health.Target)
		}
	}
	return nil
}

// Health tells how the targets are doing, in the order of their names; nothing after Close.
func (c *Client) Health() []Health {
	var all []Health
	for number, name := range c.names {
		if health, err := c.health(uint32(number)); err == nil {
			health.Target = name
			all = append(all, health)
		}
	}
	return all
}

func (c *Client) health(target uint32) (h Health, err error) {
	text, err := c.core.Load().Health(target)
	if err != nil {
		return h, err
	}
	var told struct {
		Ready         bool       `json:"ready"`
		AskedFor      bool       `json:"asked_for"`
		ExpiresAtWall *int64     `json:"expires_at_wall_ms"`
		Error         *toldError `json:"error"`
		RetryAt       *uint64    `json:"retry_at_ms"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return h, err
	}
	h.Ready, h.AskedFor = told.Ready, told.AskedFor
	if told.ExpiresAtWall != nil {
		h.ExpiresAt = time.UnixMilli(*told.ExpiresAtWall)
	}
	if told.RetryAt != nil {
		h.RetryAt = c.started.Add(milliseconds(*told.RetryAt))
	}
	if told.Error != nil {
		h.Err = told.Error.error(h.RetryAt)
	}
	return h, nil
}

// reason is why the last attempt for a target failed; nil where it did not.
func (c *Client) reason(target uint32) *Error {
	h, err := c.health(target)
	if err != nil {
		return nil
	}
	reason, _ := h.Err.(*Error)
	return reason
}

// toldError is an error of the core as JSON.
type toldError struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Member  string `json:"member"`
	Status  int    `json:"status"`
	OAuth   struct {
		Error       string `json:"error"`
		Description string `json:"description"`
	} `json:"oauth"`
	RetryAfterMS uint64 `json:"retry_after_ms"`
	Challenge    string `json:"challenge"`
}

func (t *toldError) error(retryAt time.Time) *Error {
	e := newError(t.Code, t.Message, t.Member)
	e.Status, e.OAuthError, e.OAuthDescription, e.Challenge = t.Status, t.OAuth.Error, t.OAuth.Description, t.Challenge
	e.RetryAfter, e.RetryAt = milliseconds(t.RetryAfterMS), retryAt
	if e.OAuthError != "" {
		e.text += " [" + e.OAuthError + "]"
	}
	return e
}

// Stats are counters since the client was opened.
type Stats struct {
	// Requests of all kinds to the authorization server, and token requests among them.
	Requests, TokenRequests uint64
	// TokensReceived, and Failures to get one.
	TokensReceived, Failures uint64
	// Rejections by called services that were acted on.
	Rejections uint64
	// Asked is how often a caller found no token at hand and the core was asked; Waited how often one had to wait.
	Asked, Waited uint64
	// EventsDropped because nobody fetched them.
	EventsDropped uint64
}

// Stats gives the counters.
func (c *Client) Stats() Stats {
	core, _ := c.core.Load().Stats() // none after Close
	return Stats{
		Requests:       core.Requests,
		TokenRequests:  core.TokenRequests,
		TokensReceived: core.TokensReceived,
		Failures:       core.Failures,
		Rejections:     core.Rejections,
		Asked:          c.asked.Load(),
		Waited:         c.waited.Load(),
		EventsDropped:  core.EventsDropped,
	}
}
