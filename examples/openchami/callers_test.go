// Package openchami tests what the pages beside it say.
package openchami

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openchami/svcauth-go"

	"svcauth-openchami/bootservice"
	"svcauth-openchami/bss"
	"svcauth-openchami/cloudinit"
	"svcauth-openchami/powercontrol"
)

const node = "x0c0s0b0n0"

func TestBSSAsksInItsOwnNameForNodesAndInTheUsersForUsers(t *testing.T) {
	l := startLab(t)
	for _, config := range []struct{ file, name string }{{"bss/svcauth.json", "bss"}, {"bss/opaal.json", "opaal"}} {
		smd, err := bss.OpenSMD(l.configuration(config.file), l.Smd, quiet)
		ok(t, err)
		component := func(w http.ResponseWriter, r *http.Request) {
			switch node, err := smd.Component(r.Context(), node); {
			case errors.Is(err, svcauth.ErrUserTokenMissing):
				w.WriteHeader(http.StatusUnauthorized)
			case err != nil:
				http.Error(w, err.Error(), http.StatusBadGateway)
			default:
				_ = json.NewEncoder(w).Encode(node)
			}
		}
		authenticated := 0
		authenticate := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				authenticated++
				next.ServeHTTP(w, r)
			})
		}
		router := bss.Router(component, component, authenticate)
		alice := l.member("access_token", "/lab/user-token", `{"sub":"alice","scopes":["read"]}`)
		for _, row := range []struct {
			path, user   string
			status       int
			authenticate int
			seen         string
		}{
			{"/boot/v1/bootscript", "", 200, 0, "200 " + config.name},
			{"/boot/v1/bootparameters", alice, 200, 1, "200 alice"},
			{"/boot/v1/bootparameters", "", 401, 1, ""},
		} {
			l.post("/lab/reset", "")
			authenticated = 0
			request := httptest.NewRequest(http.MethodGet, row.path, nil)
			if row.user != "" {
				request.Header.Set("Authorization", "Bearer "+row.user)
			}
			recorder := httptest.NewRecorder()
			router.ServeHTTP(recorder, request)
			if recorder.Code != row.status || authenticated != row.authenticate {
				t.Errorf("%s %s: %d %s, authenticated %d times", config.file, row.path, recorder.Code, recorder.Body, authenticated)
			}
			l.expect(row.seen)
		}
		if _, err := smd.EthernetInterfaces(t.Context()); err != nil {
			t.Error(err)
		}
		ok(t, smd.Healthy())
		ok(t, smd.Close())
	}
}

func TestCloudInitSurvivesANewKeyAndASecond401IsAnErrorLikeOthers(t *testing.T) {
	l := startLab(t)
	l.post("/lab/smd", `{"keys":"always"}`)
	smd, err := cloudinit.OpenSMD(l.configuration("cloudinit/svcauth.json"), l.Smd, quiet)
	ok(t, err)
	defer smd.Close()
	groups := func() error {
		_, err := smd.Groups(t.Context(), node)
		return err
	}
	ok(t, groups())
	l.expect("200 opaal")
	l.post("/lab/keys/rotate", "")
	ok(t, groups())
	l.expect("401, 200 opaal")

	l.post("/lab/faults", `{"endpoint":"smd","fault":{"action":{"answer":{"status":401}}}}`)
	if err := groups(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
	l.post("/lab/faults", `{"endpoint":"smd","fault":{}}`)
	ok(t, groups())
}

// A loop of the caller's own around it, as cloud-init has one today, does not make twice as many calls.
func TestALoopAroundTheClientDoesNotDoubleTheCalls(t *testing.T) {
	l := startLab(t)
	client, err := svcauth.Open(l.configuration("bss/svcauth.json"), quiet)
	ok(t, err)
	defer client.Close()
	calls := client.HTTPClient()
	call := func() int {
		response, err := calls.Get(l.Smd + "/hsm/v2/memberships/" + node)
		ok(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	if status := call(); status != 200 {
		t.Fatal(status)
	}
	l.post("/lab/reset", "")
	l.post("/lab/faults", `{"endpoint":"smd","fault":{"action":{"answer":{"status":401}}}}`)
	for range 2 {
		if status := call(); status != 401 {
			t.Errorf("%d", status)
		}
	}
	l.expect("401, 401, 401")
	if n := client.Stats().TokenRequests; n != 2 {
		t.Errorf("%d token requests, with the first", n)
	}
}

func TestPowerControlSendsItsQueryAgain(t *testing.T) {
	l := startLab(t)
	l.post("/lab/smd", `{"keys":"always"}`)
	var flags powercontrol.Flags
	set := flag.NewFlagSet("power-control", flag.ContinueOnError)
	flags.Register(set)
	ok(t, set.Parse([]string{
		"-oauth2-client-id=bss", "-oauth2-client-secret-file=" + filepath.Join(l.folder, "secret"),
		"-oauth2-token-url=" + l.Issuer + "/oauth2/token", "-oauth2-scopes=read", "-hsm-url=" + l.Smd,
	}))
	client, err := flags.Open(quiet)
	ok(t, err)
	defer client.Close()
	hsm := powercontrol.HSM{URL: flags.SMD, Calls: client.HTTPClient()}
	states, err := hsm.Query(t.Context(), node)
	if err != nil || states[node] == "" {
		t.Errorf("%v %v", states, err)
	}
	l.expect("200 bss")
	l.post("/lab/keys/rotate", "")
	states, err = hsm.Query(t.Context(), node)
	if err != nil || states[node] == "" {
		t.Errorf("%v %v", states, err)
	}
	l.expect("401, 200 bss")
}

func TestBootServiceGetsTokenSmithsTokensByItsHook(t *testing.T) {
	l := startLab(t)
	t.Setenv("TOKENSMITH_BOOTSTRAP_TOKEN", l.member("bootstrap_token", "/lab/bootstrap-token", `{"subject":"boot-service","audience":"smd","scopes":["read"]}`))
	token, calls, client, err := bootservice.Open(l.configuration("bootservice/svcauth.json"), quiet)
	ok(t, err)
	defer client.Close()
	value, err := token(t.Context())
	ok(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.Smd+"/hsm/v2/State/Components/"+node, nil)
	ok(t, err)
	request.Header.Set("Authorization", "Bearer "+value)
	response, err := http.DefaultClient.Do(request)
	ok(t, err)
	response.Body.Close()
	l.expect("200 boot-service")
	response, err = calls.Get(l.Smd + "/hsm/v2/State/Components/" + node)
	ok(t, err)
	response.Body.Close()
	l.expect("200 boot-service")
	// The bootstrap token is spent, and the state file holds what comes after it.
	ok(t, client.Close())
	_, calls, client, err = bootservice.Open(l.configuration("bootservice/svcauth.json"), quiet)
	ok(t, err)
	defer client.Close()
	response, err = calls.Get(l.Smd + "/hsm/v2/State/Components/" + node)
	ok(t, err)
	response.Body.Close()
	l.expect("200 boot-service")
}
