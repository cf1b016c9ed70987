package svcauth_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rust runs the command svcauth, which is built on the Rust client, with a configuration.
func rust(t *testing.T, config []byte, arguments ...string) string {
	t.Helper()
	program := os.Getenv("SVCAUTH_COMMAND")
	if program == "" {
		t.Fatal("SVCAUTH_COMMAND does not name the svcauth program; make go-test builds it and says where it is")
	}
	file := filepath.Join(t.TempDir(), "svcauth.json")
	ok(t, os.WriteFile(file, config, 0o600))
	command := exec.Command(program, append([]string{"--config", file}, arguments...)...)
	var said strings.Builder
	command.Stderr = &said
	told, err := command.Output()
	if err != nil {
		t.Errorf("svcauth %v: %v: %s", arguments, err, said.String())
	}
	return strings.TrimSpace(string(told))
}

func TestProcessesInGoAndRustRegisterOnce(t *testing.T) {
	l := startLab(t)
	l.post("/lab/faults", `{"endpoint":"register","fault":{"delay_ms":50}}`)
	config := l.config(fmt.Sprintf(`{
		"endpoints": {"registration": %q}, "store": {"file": %q},
		"client": {"credentials": null, "registration": {"metadata": {
			"scope": "read", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"
		}}}
	}`, l.Issuer+"/oauth2/register", filepath.Join(t.TempDir(), "state.json")))
	before := l.requests("issuer", "/oauth2/register")
	var all sync.WaitGroup
	for range 3 {
		client := l.client(config)
		all.Add(1)
		go func() {
			defer all.Done()
			expect(t, 200, client.HTTPClient(), t.Context(), l.Smd+node)
		}()
	}
	if token := rust(t, config, "token", "smd"); token == "" {
		t.Error("no token from the command")
	}
	all.Wait()
	if n := l.requests("issuer", "/oauth2/register") - before; n != 1 {
		t.Errorf("%d registrations", n)
	}
	rust(t, config, "register", "--delete")
	expect(t, 200, l.client(config).HTTPClient(), t.Context(), l.Smd+node)
	if n := l.requests("issuer", "/oauth2/register") - before; n != 2 {
		t.Errorf("%d registrations after the first was deleted", n)
	}
}

func TestProcessesInGoAndRustSpendNoRefreshTokenTwice(t *testing.T) {
	l := startLab(t, "--ttl", "2")
	var bootstrap struct {
		Token string `json:"bootstrap_token"`
	}
	ok(t, json.Unmarshal(l.post("/lab/bootstrap-token", `{"subject":"bss","audience":"smd","scopes":["read"]}`), &bootstrap))
	folder := t.TempDir()
	secret := filepath.Join(folder, "bootstrap")
	ok(t, os.WriteFile(secret, []byte(bootstrap.Token), 0o600))
	config := l.config(fmt.Sprintf(`{
		"issuer": null, "endpoints": {"token": %q}, "client": {"credentials": null, "auth": "none"},
		"targets": {"smd": {"grant": {
			"type": "token_exchange", "subject_token": {"file": %q},
			"subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token"
		}, "scopes": null}},
		"store": {"file": %q}
	}`, l.Tokensmith+"/oauth/token", secret, filepath.Join(folder, "state.json")))
	until := time.Now().Add(3 * time.Second)
	var all sync.WaitGroup
	for range 2 {
		target, err := l.client(config).Target("smd")
		ok(t, err)
		all.Add(1)
		go func() {
			defer all.Done()
			for ; time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
				if _, err := target.Token(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for time.Now().Before(until) {
		rust(t, config, "--wait", "5", "token", "smd")
	}
	all.Wait()
	var stats struct {
		Reuse    int `json:"refresh_reuse"`
		Requests []struct {
			Grant string `json:"grant"`
			Count int    `json:"count"`
		} `json:"token_requests"`
	}
	ok(t, json.Unmarshal(l.get("/lab/stats"), &stats))
	exchanges, refreshes := 0, 0
	for _, row := range stats.Requests {
		if strings.Contains(row.Grant, "token-exchange") {
			exchanges += row.Count
		}
		if strings.Contains(row.Grant, "refresh_token") {
			refreshes += row.Count
		}
	}
	if stats.Reuse != 0 || exchanges != 1 || refreshes < 2 {
		t.Errorf("%+v", stats)
	}
}
