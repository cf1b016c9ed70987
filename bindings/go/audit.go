package svcauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// audit is what the core says for the log about calls to a URL, whatever becomes of them.
type audit struct {
	Target   *string `json:"target"`
	URL      string  `json:"url"`
	Kind     string  `json:"kind"`
	Subject  *string `json:"subject"`
	ClientID *string `json:"client_id"`
}

func (a *audit) read(event []byte) {
	_ = json.Unmarshal(event, a) // what is no JSON tells nothing
}

// tellCall logs a call that was made. Its names are those of the core's event.
func (c *Client) tellCall(r *http.Request, found *route, lease *Lease, response *http.Response, retried bool) {
	ctx := r.Context()
	if !c.logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	a := &found.audit
	attributes := make([]slog.Attr, 0, 9)
	attributes = append(attributes, slog.String("event", "call"))
	if a.Target != nil {
		attributes = append(attributes, slog.String("target", *a.Target))
	}
	attributes = append(attributes, slog.String("method", method(r)), slog.String("url", a.URL))
	if response != nil {
		attributes = append(attributes, slog.Int("status", response.StatusCode))
	}
	attributes = append(attributes, slog.String("kind", a.Kind))
	subject, clientID := a.Subject, a.ClientID
	if lease != nil {
		said := lease.Subject()
		subject, clientID = &said, &lease.held.ClientID
	}
	if subject != nil && *subject != "" {
		attributes = append(attributes, slog.String("subject", *subject))
	}
	if clientID != nil && *clientID != "" {
		attributes = append(attributes, slog.String("client_id", *clientID))
	}
	c.logger.LogAttrs(ctx, slog.LevelInfo, message, append(attributes, slog.Bool("retried", retried))...)
}

// tellRefused logs a call that must not be made.
func (c *Client) tellRefused(r *http.Request, err error) {
	var e *Error
	if errors.As(err, &e) && e.Code == ErrUserTokenMissing {
		c.logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError, message,
			slog.String("event", string(e.Code)), slog.String("target", e.Member))
	}
}

// method is what goes on the wire: net/http takes "" for GET.
func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
