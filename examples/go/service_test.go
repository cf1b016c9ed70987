package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/openchami/svcauth-go"
)

// The test program is the service too, when it is started so.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SERVICE") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is the running service.
type process struct {
	*exec.Cmd
	url string
	log bytes.Buffer
}

func (l *lab) startService() *process {
	l.t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], l.config, l.Smd, "127.0.0.1:0")}
	p.Env = append(os.Environ(), "BE_THE_SERVICE=yes", "BSS_SECRET="+secret)
	p.Stderr = &p.log
	stdout, err := p.StdoutPipe()
	ok(l.t, err)
	ok(l.t, p.Start())
	l.t.Cleanup(func() { _ = p.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	ok(l.t, err)
	p.url = strings.TrimPrefix(strings.TrimSpace(line), "listening on ")
	return p
}

func (p *process) end(t *testing.T) {
	t.Helper()
	ok(t, p.Process.Signal(syscall.SIGTERM))
	if err := p.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.log.String())
	}
}

// until repeats what takes its time.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// visit is what a caller gets, and whom SMD sees then.
type visit struct {
	path, user string
	status     int
	body, seen string
}

func visits(l *lab) []visit {
	const script, parameters = "/boot/v1/bootscript?host=", "/boot/v1/bootparameters?host="
	alice, expired := l.userToken("alice", 600), l.userToken("bob", -10)
	return []visit{
		{script + "x0c0s0b0n0", "", 200, "#!ipxe\nkernel http://boot/kernel nid=1 xname=x0c0s0b0n0 role=", "200 bss"},
		{script + "x0c0s0b0n1", alice, 200, "xname=x0c0s0b0n1", "200 alice"},
		{script + "x0c0s0b0n1", expired, 401, "SMD answered 401", "401"},
		{script + "x9", "", 404, "SMD answered 404", "404 bss"},
		// An encoded slash is in no target: no token goes along.
		{script + "../../../admin", "", 401, "SMD answered 401", "401"},
		{parameters + "x0c0s0b0n2", alice, 200, `"hosts":["x0c0s0b0n2"]`, "200 alice"},
		{parameters + "x0c0s0b0n2", "", 401, "user", ""},
		{parameters + "x0c0s0b0n2", expired, 401, "SMD answered 401", "401"},
	}
}

func (l *lab) play(url string, rows []visit) {
	l.t.Helper()
	for _, row := range rows {
		l.post("/lab/reset", "")
		status, body := get(l.t, url+row.path, row.user)
		if seen := l.seen(); status != row.status || !strings.Contains(body, row.body) || seen != row.seen {
			l.t.Errorf("%s: %d %q, SMD: %q", row.path, status, body, seen)
		}
	}
}

func TestEachCallToSMDCarriesTheRightToken(t *testing.T) {
	l := startLab(t)
	p := l.startService()
	l.play(p.url, visits(l))
	until(t, "the probe says yes", func() bool {
		status, _ := get(t, p.url+"/boot/v1/service/status", "")
		return status == 200
	})
	p.end(t)
	for _, told := range []string{`"event":"call"`, `"subject":"alice"`, `"client_id":"bss"`, `"event":"user_token_missing"`} {
		if !strings.Contains(p.log.String(), told) {
			t.Errorf("%s is not in the log", told)
		}
	}
	for _, told := range []string{secret, "eyJ", "DATA RACE"} {
		if strings.Contains(p.log.String(), told) {
			t.Errorf("%s is in the log", told)
		}
	}
}

func TestANewSigningKeyIsNoticedByNobody(t *testing.T) {
	l := startLab(t)
	l.post("/lab/smd", `{"keys":"always"}`)
	p := l.startService()
	boot := func() {
		t.Helper()
		if status, body := get(t, p.url+"/boot/v1/bootscript?host=x0c0s0b0n0", ""); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	boot()
	l.post("/lab/keys/rotate", "")
	boot()
	if seen := l.seen(); seen != "200 bss, 401, 200 bss" {
		t.Errorf("SMD: %s", seen)
	}
	var counters struct {
		Svcauth svcauth.Stats
	}
	_, body := get(t, p.url+"/debug/vars", "")
	ok(t, json.Unmarshal([]byte(body), &counters))
	if counters.Svcauth.TokenRequests != 2 || counters.Svcauth.Rejections != 1 {
		t.Errorf("%+v", counters.Svcauth)
	}
	p.end(t)
}

func TestTheServiceStartsWhileTheAuthorizationServerIsAway(t *testing.T) {
	l := startLab(t)
	l.post("/lab/faults", `{"endpoint":"token","fault":{"action":{"answer":{"status":503}}}}`)
	p := l.startService()
	until(t, "the probe says no", func() bool {
		status, _ := get(t, p.url+"/boot/v1/service/status", "")
		return status == 503
	})
	response, err := http.Get(p.url + "/boot/v1/bootscript?host=x0c0s0b0n0")
	ok(t, err)
	response.Body.Close()
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	l.post("/lab/faults", `{"endpoint":"token","fault":{}}`)
	until(t, "a node boots", func() bool {
		status, _ := get(t, p.url+"/boot/v1/bootscript?host=x0c0s0b0n0", "")
		return status == 200
	})
	p.end(t)
}

// The same handlers on a router of github.com/go-chi/chi.
func TestTheMiddlewareIsAChiMiddlewareToo(t *testing.T) {
	l := startLab(t)
	t.Setenv("BSS_SECRET", secret)
	client, err := svcauth.Open(l.config)
	ok(t, err)
	defer client.Close()
	s := newService(client, l.Smd)

	router := chi.NewRouter()
	router.Route("/boot/v1", func(router chi.Router) {
		router.With(svcauth.PassUser).Get("/bootscript", s.bootScript)
		router.Group(func(users chi.Router) {
			users.Use(svcauth.RequireUser)
			users.Get("/bootparameters", s.bootParameters)
		})
	})
	server := httptest.NewServer(router)
	defer server.Close()
	l.play(server.URL, visits(l))
}
