package svcauth_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/openchami/svcauth-go"
)

const (
	node   = "/hsm/v2/State/Components/x0c0s0b0n0"
	secret = "a secret: 100%"
)

// lab is a running svcauth-lab with the client bss.
type lab struct {
	t *testing.T

	Issuer, Admin, Opaal, Smd, Elsewhere, Tokensmith string
	log                                              journal
}

// journal is a log that many goroutines write.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.String()
}

// events are the log's records of that name.
func (j *journal) events(name string) (found []map[string]any) {
	for line := range strings.Lines(j.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["event"] == name {
			found = append(found, record)
		}
	}
	return found
}

func startLab(t *testing.T, arguments ...string) *lab {
	t.Helper()
	program := os.Getenv("SVCAUTH_LAB")
	if program == "" {
		t.Fatal("SVCAUTH_LAB does not name the svcauth-lab program; make go-test builds it and says where it is")
	}
	command := exec.Command(program, append([]string{"--until-stdin-closes"}, arguments...)...)
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
	l.post("/admin/clients", fmt.Sprintf(`{"client_id":"bss","client_secret":%q,"scope":"read","grant_types":["client_credentials"]}`, secret))
	return l
}

// config is what a service that calls SMD says; more is laid over it.
func (l *lab) config(more ...string) []byte {
	config := map[string]any{
		"issuer":  l.Issuer,
		"client":  map[string]any{"credentials": []any{map[string]any{"client_id": "bss", "client_secret": map[string]any{"env": "BSS_SECRET"}}}},
		"targets": map[string]any{"smd": map[string]any{"urls": []any{l.Smd + "/hsm/v2"}, "scopes": []any{"read"}}},
	}
	for _, text := range more {
		var over any
		ok(l.t, json.Unmarshal([]byte(text), &over))
		config = svcauth.MergePatch(config, over).(map[string]any)
	}
	text, err := json.Marshal(config)
	ok(l.t, err)
	return text
}

func (l *lab) client(config []byte, options ...svcauth.Option) *svcauth.Client {
	l.t.Helper()
	if _, set := os.LookupEnv("BSS_SECRET"); !set {
		l.t.Setenv("BSS_SECRET", secret)
	}
	client, err := svcauth.New(config, append([]svcauth.Option{svcauth.WithLogger(l.logger())}, options...)...)
	ok(l.t, err)
	l.t.Cleanup(func() { ok(l.t, client.Close()) })
	return client
}

func (l *lab) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(&l.log, nil)) }

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

// entry is one request that a service of the lab has seen.
type entry struct {
	Method, Path, Sub, Authorization string
	Status                           int
}

func (l *lab) logged(service string) (entries []entry) {
	l.t.Helper()
	response, err := http.Get(l.Admin + "/lab/log?service=" + service)
	ok(l.t, err)
	defer response.Body.Close()
	ok(l.t, json.NewDecoder(response.Body).Decode(&entries))
	return entries
}

func (l *lab) tokenRequests() int { return l.requests("issuer", "/oauth2/token") }

// requests counts those that a service has seen for a path.
func (l *lab) requests(service, path string) (count int) {
	for _, entry := range l.logged(service) {
		if entry.Path == path {
			count++
		}
	}
	return count
}

func (l *lab) get(path string) []byte {
	l.t.Helper()
	response, err := http.Get(l.Admin + path)
	ok(l.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ok(l.t, err)
	return answer
}

func (l *lab) userToken() string {
	var user struct {
		Token string `json:"access_token"`
	}
	ok(l.t, json.Unmarshal(l.post("/lab/user-token", `{"sub":"alice","scopes":["read"]}`), &user))
	return user.Token
}

// get makes a call, and gives its status.
func get(ctx context.Context, client *http.Client, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, err
	}
	return do(client, request)
}

func do(client *http.Client, request *http.Request) (int, error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func expect(t *testing.T, status int, client *http.Client, ctx context.Context, url string) {
	t.Helper()
	if got, err := get(ctx, client, url); err != nil || got != status {
		t.Errorf("%s: %d, %v; expected %d", url, got, err, status)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
