//go:build svcauth_forced_panic

package svcauth

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// noop answers every token request.
type noop struct {
	mutex    sync.Mutex
	requests int
}

func (n *noop) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.requests++
	if r.Body != nil {
		r.Body.Close()
	}
	const answer = `{"access_token":"a-planted-token","token_type":"bearer","expires_in":3600}`
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)), Request: r,
	}, nil
}

const forcedConfig = `{
	"endpoints": {"token": "https://issuer.example/token"},
	"client": {"credentials": [{"client_id": "a", "client_secret": {"value": "a planted secret"}}]},
	"targets": {"one": {"urls": ["https://one.example"]}, "two": {"urls": ["https://two.example"]}}
}`

func TestACoreThatPanicsIsReplacedAndNoLeaseIsLost(t *testing.T) {
	var log bytes.Buffer
	server := &noop{}
	c, err := New([]byte(forcedConfig), WithHTTPClient(&http.Client{Transport: server}), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	one, err := c.Target("one")
	if err != nil {
		t.Fatal(err)
	}
	before, err := one.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := c.core.Load()
	forced := 0
	err = c.turn(func(core engine.Client, _ engine.Now) error {
		if forced++; forced > 1 {
			return nil
		}
		return core.(interface{ ForcePanic() error }).ForcePanic()
	})
	if err != nil || forced != 2 {
		t.Errorf("%v after %d calls", err, forced)
	}
	if c.core.Load() == ended {
		t.Fatal("the core is the same")
	}
	if _, err := ended.PollAll(c.now(), &engine.Outputs{}); err == nil {
		t.Error("the old one still answers")
	}
	if after, err := one.Lease(t.Context()); err != nil || after.ID() != before.ID() || server.requests != 1 {
		t.Errorf("%v, %v, %d requests", after, err, server.requests)
	}
	if health := c.Health()[0]; !health.Ready || health.ExpiresAt.Sub(before.ExpiresAt()).Abs() > time.Second {
		t.Errorf("the new core does not know the lease: %+v", health)
	}
	two, err := c.Target("two")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Token(t.Context()); err != nil {
		t.Errorf("the new core gives nothing: %v", err)
	}
	if _, err := c.decide(&engine.Call{URL: "https://one.example/x"}); err != nil {
		t.Error(err)
	}
	c.Close()
	text := log.String()
	if !strings.Contains(text, `"event":"client_replaced"`) || !strings.Contains(text, ".rs:") {
		t.Errorf("no event tells the place: %s", text)
	}
	if strings.Contains(text, "planted") || strings.Contains(text, "forced\"") {
		t.Errorf("a secret is told: %s", text)
	}
}

func TestAPanicEndsTheCoreOfOneClientOnly(t *testing.T) {
	var clients []*Client
	for range 2 {
		c, err := New([]byte(forcedConfig), WithHTTPClient(&http.Client{Transport: &noop{}}), WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	cores := []*core{clients[0].core.Load(), clients[1].core.Load()}
	_ = clients[0].turn(func(core engine.Client, _ engine.Now) error {
		return core.(interface{ ForcePanic() error }).ForcePanic()
	})
	if clients[0].core.Load() == cores[0] || clients[1].core.Load() != cores[1] {
		t.Error("the wrong core was replaced")
	}
	if err := clients[1].Healthy(); err != nil {
		t.Error(err)
	}
	if _, err := cores[1].PollAll(clients[1].now(), &engine.Outputs{}); err != nil {
		t.Errorf("the other core: %v", err)
	}
}
