package openchami

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openchami/svcauth-go"
)

const secret = "a secret: 100%"

// quiet keeps svcauth's events out of the tests' output.
var quiet = svcauth.WithLogger(slog.New(slog.DiscardHandler))

// lab is a running svcauth-lab.
type lab struct {
	t                                     *testing.T
	Admin, Issuer, Opaal, Tokensmith, Smd string
	folder                                string
}

func startLab(t *testing.T) *lab {
	t.Helper()
	program := os.Getenv("SVCAUTH_LAB")
	if program == "" {
		t.Fatal("SVCAUTH_LAB does not name the svcauth-lab program; examples/openchami/test builds it and says where it is")
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
	l := &lab{t: t, folder: t.TempDir()}
	ok(t, json.Unmarshal(line, l))
	l.post("/admin/clients", fmt.Sprintf(`{"client_id":"bss","client_secret":%q,"scope":"read","grant_types":["client_credentials"]}`, secret))
	l.write("secret", secret+"\n")
	return l
}

func (l *lab) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.folder, name)
	ok(l.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// configuration is the page's, with the lab's addresses and files for those in it.
func (l *lab) configuration(file string) string {
	l.t.Helper()
	text, err := os.ReadFile(file)
	ok(l.t, err)
	return l.write("svcauth.json", strings.NewReplacer(
		"https://hydra.example", l.Issuer,
		"https://opaal.example", l.Opaal,
		"https://tokensmith.example", l.Tokensmith,
		"https://smd.example", l.Smd,
		"/run/secrets/bss", filepath.Join(l.folder, "secret"),
		"/var/lib/boot-service", l.folder,
		"/etc/openchami/ca.pem", authority(l.t),
	).Replace(string(text)))
}

// authority is a certificate authority that nothing here needs.
func authority(t *testing.T) string {
	path, err := filepath.Abs(filepath.Join("testdata", "ca.pem"))
	ok(t, err)
	return path
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

// member posts, and gives a text from the answer.
func (l *lab) member(name, path, body string) string {
	l.t.Helper()
	var answer map[string]any
	ok(l.t, json.Unmarshal(l.post(path, body), &answer))
	text, _ := answer[name].(string)
	return text
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

func (l *lab) expect(seen string) {
	l.t.Helper()
	if got := l.seen(); got != seen {
		l.t.Errorf("SMD: %q, expected %q", got, seen)
	}
	l.post("/lab/reset", "")
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
