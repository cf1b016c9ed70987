package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "a secret: 100%"

// lab is a running svcauth-lab, and the file of a configuration for it.
type lab struct {
	t                  *testing.T
	Admin, Issuer, Smd string
	config             string
}

func startLab(t *testing.T) *lab {
	t.Helper()
	program := os.Getenv("SVCAUTH_LAB")
	if program == "" {
		t.Fatal("SVCAUTH_LAB does not name the svcauth-lab program; examples/go/test builds it and says where it is")
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
	l := &lab{t: t, config: filepath.Join(t.TempDir(), "svcauth.json")}
	ok(t, json.Unmarshal(line, l))
	l.post("/admin/clients", fmt.Sprintf(`{"client_id":"bss","client_secret":%q,"scope":"read","grant_types":["client_credentials"]}`, secret))
	ok(t, os.WriteFile(l.config, fmt.Appendf(nil, `{
		"issuer": %q,
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
		"targets": {"smd": {"urls": [%q], "scopes": ["read"]}}
	}`, l.Issuer, l.Smd+"/hsm/v2"), 0o600))
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

func (l *lab) userToken(name string, lifetime int) string {
	var user struct {
		Token string `json:"access_token"`
	}
	ok(l.t, json.Unmarshal(l.post("/lab/user-token", fmt.Sprintf(`{"sub":%q,"scopes":["read"],"lifetime":%d}`, name, lifetime)), &user))
	return user.Token
}

// seen tells whom SMD has seen since the last reset, and what it answered.
func (l *lab) seen() string {
	l.t.Helper()
	response, err := http.Get(l.Admin + "/lab/log?service=smd")
	ok(l.t, err)
	defer response.Body.Close()
	var calls []struct {
		Sub    string
		Status int
	}
	ok(l.t, json.NewDecoder(response.Body).Decode(&calls))
	var told []string
	for _, call := range calls {
		told = append(told, strings.TrimSpace(fmt.Sprintf("%d %s", call.Status, call.Sub)))
	}
	return strings.Join(told, ", ")
}

// get is a caller of ours: one without svcauth.
func get(t *testing.T, url, user string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	ok(t, err)
	if user != "" {
		request.Header.Set("Authorization", "Bearer "+user)
	}
	response, err := http.DefaultClient.Do(request)
	ok(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ok(t, err)
	return response.StatusCode, string(body)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
