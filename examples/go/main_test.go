package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const node = "/hsm/v2/State/Components/x0c0s0b0n0"

// lab is a running svcauth-lab with the client bss, and our own client of it.
type lab struct {
	t                             *testing.T
	Issuer, Admin, Smd, Elsewhere string
	log                           bytes.Buffer
	calls                         *http.Client
}

func start(t *testing.T, secret string) *lab {
	t.Helper()
	program := os.Getenv("SVCAUTH_LAB")
	if program == "" {
		t.Fatal("SVCAUTH_LAB does not name the svcauth-lab program; ./run --test builds it and says where it is")
	}
	command := exec.Command(program, "--until-stdin-closes")
	stdin, err := command.StdinPipe()
	ok(t, err)
	stdout, err := command.StdoutPipe()
	ok(t, err)
	ok(t, command.Start())
	t.Cleanup(func() {
		stdin.Close()
		ok(t, command.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	ok(t, err)
	l := &lab{t: t}
	ok(t, json.Unmarshal(line, l))
	l.post("/admin/clients", `{"client_id":"bss","client_secret":"a secret: 100%","scope":"read",
		"grant_types":["client_credentials"]}`)

	t.Setenv("BSS_SECRET", secret)
	client, err := New(fmt.Sprintf(`{
		"issuer": %q,
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
		"targets": {"smd": {"urls": [%q], "scopes": ["read"]}}
	}`, l.Issuer, l.Smd+"/hsm/v2"), http.DefaultTransport, slog.New(slog.NewTextHandler(&l.log, nil)))
	ok(t, err)
	t.Cleanup(client.Close)
	l.calls = &http.Client{Transport: &Transport{Client: client, Base: http.DefaultTransport}, Timeout: 20 * time.Second}
	return l
}

func (l *lab) post(path, body string) []byte {
	l.t.Helper()
	response, err := http.Post(l.Admin+path, "application/json", strings.NewReader(body))
	ok(l.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ok(l.t, err)
	if response.StatusCode >= 300 {
		l.t.Fatalf("%s: %s %s", path, response.Status, answer)
	}
	return answer
}

func (l *lab) get(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	ok(l.t, err)
	response, err := l.calls.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func (l *lab) expect(status int, ctx context.Context, url string) {
	l.t.Helper()
	if got, err := l.get(ctx, url); err != nil || got != status {
		l.t.Errorf("%s: %d, %v; expected %d", url, got, err, status)
	}
}

// logged gives the requests that a service of the lab has seen.
func (l *lab) logged(service string) (entries []struct {
	Path, Sub, Authorization string
	Status                   int
}) {
	l.t.Helper()
	response, err := http.Get(l.Admin + "/lab/log?service=" + service)
	ok(l.t, err)
	defer response.Body.Close()
	ok(l.t, json.NewDecoder(response.Body).Decode(&entries))
	return entries
}

func (l *lab) tokenRequests() (count int) {
	for _, entry := range l.logged("issuer") {
		if entry.Path == "/oauth2/token" {
			count++
		}
	}
	return count
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyCallersShareOneTokenAndSurviveANewSigningKey(t *testing.T) {
	l := start(t, "a secret: 100%")
	everyone := func() {
		var callers sync.WaitGroup
		for range 32 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				l.expect(200, t.Context(), l.Smd+node)
			}()
		}
		callers.Wait()
	}
	everyone()
	if n := l.tokenRequests(); n != 1 {
		t.Errorf("%d token requests for the first calls", n)
	}
	l.post("/lab/smd", `{"keys":"always"}`)
	l.post("/lab/keys/rotate", "")
	everyone()
	if n := l.tokenRequests(); n != 2 {
		t.Errorf("%d token requests after the 401s", n)
	}
	refused := 0
	for _, entry := range l.logged("smd") {
		if entry.Status == 401 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("SMD never answered 401")
	}
}

func TestARefusalNamesWhatTheServerSaid(t *testing.T) {
	l := start(t, "wrong")
	_, err := l.get(t.Context(), l.Smd+node)
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("no svcauth error: %v", err)
	}
	if refusal.Code != "oauth_error" || refusal.OAuth != "invalid_client" || refusal.HTTPStatus != 401 {
		t.Errorf("%+v", refusal)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the secret is in %v", err)
	}
}

func TestACallerWhoGivesUpHarmsNobody(t *testing.T) {
	l := start(t, "a secret: 100%")
	l.post("/lab/faults", `{"endpoint":"token","fault":{"delay_ms":300}}`)
	hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var patient sync.WaitGroup
	patient.Add(1)
	go func() {
		defer patient.Done()
		l.expect(200, t.Context(), l.Smd+node)
	}()
	if _, err := l.get(hasty, l.Smd+node); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the hasty one got %v", err)
	}
	patient.Wait()
	if n := l.tokenRequests(); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func TestTheUsersTokenIsPassedOnAndNoTokenGoesElsewhere(t *testing.T) {
	l := start(t, "a secret: 100%")
	var user struct{ Access_token string }
	ok(t, json.Unmarshal(l.post("/lab/user-token", `{"sub":"alice","scopes":["read"]}`), &user))
	ctx := WithUserToken(t.Context(), user.Access_token)
	l.expect(200, ctx, l.Smd+node)
	if n := l.tokenRequests(); n != 0 {
		t.Errorf("%d token requests for a user's call", n)
	}
	last := l.logged("smd")
	if sub := last[len(last)-1].Sub; sub != "alice" {
		t.Errorf("SMD saw %q", sub)
	}
	l.expect(200, ctx, l.Elsewhere+"/")
	l.expect(200, t.Context(), l.Elsewhere+"/")
	for _, entry := range l.logged("elsewhere") {
		if entry.Authorization != "" {
			t.Error("a token went elsewhere")
		}
	}
}

func TestAWrongConfigurationNamesTheMember(t *testing.T) {
	_, err := New(`{"isuer": "https://hydra.example"}`, nil, nil)
	var wrong *Error
	if !errors.As(err, &wrong) || wrong.Code != "invalid_configuration" || wrong.Member != "isuer" {
		t.Errorf("%v", err)
	}
}
