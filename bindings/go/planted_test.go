package svcauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openchami/svcauth-go"
)

// All that a program could print of what it holds tells no secret.
func TestNoSecretIsPrinted(t *testing.T) {
	const planted = "planted-secret-0123456789"
	l := startLab(t)
	l.post("/admin/clients", fmt.Sprintf(`{"client_id":"vault","client_secret":%q,"scope":"read","grant_types":["client_credentials"]}`, planted))
	file := filepath.Join(t.TempDir(), "secret")
	ok(t, os.WriteFile(file, []byte(planted+"\n"), 0o600))
	t.Setenv("PLANTED_SECRET", planted)
	logger := slog.New(slog.NewJSONHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var printed bytes.Buffer
	print := func(values ...any) {
		for _, value := range values {
			fmt.Fprintf(&printed, "%v %+v %#v %s %q %x\n", value, value, value, value, value, value)
			logger.Info("printed", "value", value)
		}
	}
	secrets := []string{planted}
	for _, source := range []string{
		fmt.Sprintf(`{"file":%q}`, file), `{"env":"PLANTED_SECRET"}`, `{"callback":"vault"}`, fmt.Sprintf(`{"value":%q}`, planted),
	} {
		config := l.config(fmt.Sprintf(`{"client":{"credentials":[{"client_id":"vault","client_secret":%s}]}}`, source))
		client := l.client(config, svcauth.WithLogger(logger), svcauth.WithSecrets(func(context.Context, string) (string, error) { return planted, nil }))
		target, err := client.Target("smd")
		ok(t, err)
		lease, err := target.Lease(t.Context())
		ok(t, err)
		user := l.userToken() // a new one, as keys are rotated below
		secrets = append(secrets, lease.Token(), user)
		ctx := svcauth.WithUserToken(t.Context(), user)
		expect(t, 200, client.HTTPClient(), ctx, l.Smd+node)
		expect(t, 200, client.HTTPClient(), t.Context(), l.Smd+node+"?password="+planted)
		print(client, target, lease, *target, client.HTTPClient(), &svcauth.Transport{Client: client}, client.Health(), client.Stats(), ctx)
		l.post("/lab/faults", fmt.Sprintf(`{"endpoint":"token","fault":{"action":{"answer":{"status":400,"content_type":"application/json","body":%q}}}}`,
			fmt.Sprintf(`{"error":"invalid_request","error_description":"secret %s is odd"}`, planted)))
		l.post("/lab/smd", `{"keys":"always"}`)
		l.post("/lab/keys/rotate", "")
		_, _ = get(t.Context(), client.HTTPClient(), l.Smd+node)
		_, err = svcauth.New([]byte(strings.Replace(string(config), `"client_secret"`, `"client_secert"`, 1)))
		var e *svcauth.Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		print(err, *e, client.Healthy(), client.Health())
		l.post("/lab/reset", "")
		ok(t, client.Close())
	}
	all := printed.String() + l.log.String()
	for _, secret := range secrets {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%d", []byte(secret))} {
			if at := strings.Index(all, form); at >= 0 {
				t.Fatalf("a secret is told: …%s…", all[max(0, at-200):min(len(all), at+len(form)+50)])
			}
		}
	}
	if len(l.log.events("token_received")) != 4 || len(l.log.events("call")) < 12 {
		t.Errorf("too few events: %s", l.log.String())
	}
	for _, call := range l.log.events("call") {
		if call["url"] != l.Smd+node || call["method"] != "GET" || call["target"] != "smd" {
			t.Errorf("%v", call)
		}
		if call["kind"] == "user" && call["subject"] != "alice" || call["kind"] == "service" && call["subject"] != "vault" {
			t.Errorf("%v", call)
		}
	}
}
