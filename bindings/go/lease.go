package svcauth

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Lease is an access token that may be used now. Keep it for one call, and ask again for the next.
type Lease struct {
	askAt  time.Duration // until when it is served without asking the core, since the client was opened
	token  string
	held   *engine.Lease
	claims *claims
}

// claims are what the token says of itself, once somebody has asked for it.
type claims struct {
	client  *Client
	once    sync.Once
	subject string
}

func (c *Client) newLease(l *engine.Lease) *Lease {
	if l == nil {
		return nil
	}
	made := &struct {
		lease  Lease
		claims claims
	}{lease: Lease{askAt: milliseconds(l.AskAt), token: l.Value, held: l}}
	made.lease.claims, made.claims.client = &made.claims, c
	return &made.lease
}

// Token is the access token. A secret.
func (l *Lease) Token() string { return l.token }

// Authorization is the value of the header that carries it, "Bearer …" (RFC 6750 section 2.1). A secret.
func (l *Lease) Authorization() string { return l.held.Authorization }

// ID names the token without telling it; the same in every process, and in events.
func (l *Lease) ID() string {
	return fmt.Sprintf("%016x", l.held.ID())
}

// ExpiresAt is when it expires, by the wall clock.
func (l *Lease) ExpiresAt() time.Time { return time.UnixMilli(int64(l.held.ExpiresAtWall)) }

// Scopes are the scopes that were granted.
func (l *Lease) Scopes() []string { return append([]string(nil), l.held.Scopes...) }

// ClientID is the client it was issued to, as far as known.
func (l *Lease) ClientID() string { return l.held.ClientID }

// Subject is its sub claim, unverified, where the token is a JWT.
func (l *Lease) Subject() string {
	l.claims.once.Do(func() {
		subject, err := l.claims.client.core.Load().Subject(l.held.Value)
		if err != nil { // the client is closed
			subject = library.Subject(l.held.Value)
		}
		l.claims.subject = subject
	})
	return l.claims.subject
}

// Format implements fmt.Formatter: no verb prints the token.
func (l Lease) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "Lease("+l.ID()+" expires "+strconv.Quote(l.ExpiresAt().UTC().Format(time.RFC3339))+")")
}

// LogValue implements slog.LogValuer.
func (l *Lease) LogValue() slog.Value {
	if l == nil {
		return slog.Value{}
	}
	return slog.StringValue(l.ID())
}
