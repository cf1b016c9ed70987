package svcauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openchami/svcauth-go"
)

func TestManyCallersShareOneTokenAndSurviveANewSigningKey(t *testing.T) {
	l := startLab(t)
	l.post("/lab/faults", `{"endpoint":"token","fault":{"delay_ms":20}}`)
	client := l.client(l.config())
	calls := client.HTTPClient()
	everyone := func() {
		var callers sync.WaitGroup
		for range 64 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				expect(t, 200, calls, t.Context(), l.Smd+node)
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
	if stats := client.Stats(); stats.TokenRequests != 2 || stats.TokensReceived != 2 {
		t.Errorf("%+v", stats)
	}
}

func TestARefusalNamesWhatTheServerSaid(t *testing.T) {
	t.Setenv("BSS_SECRET", "wrong")
	l := startLab(t)
	target, err := l.client(l.config()).Target("smd")
	ok(t, err)
	_, err = target.Token(t.Context())
	var refusal *svcauth.Error
	if !errors.As(err, &refusal) || !errors.Is(err, svcauth.ErrOAuth) {
		t.Fatalf("no error of svcauth: %v", err)
	}
	if refusal.OAuthError != "invalid_client" || refusal.Status != 401 || refusal.RetryAt.Before(time.Now()) {
		t.Errorf("%+v", refusal)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the secret is in %v", err)
	}
}

func TestACallerWhoGivesUpHarmsNobody(t *testing.T) {
	l := startLab(t)
	l.post("/lab/faults", `{"endpoint":"token","fault":{"action":"hold"}}`)
	client := l.client(l.config())
	target, err := client.Target("smd")
	ok(t, err)
	patient := make(chan error, 1)
	go func() {
		_, err := target.Token(context.Background())
		patient <- err
	}()
	for client.Stats().TokenRequests == 0 {
		time.Sleep(time.Millisecond)
	}
	hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := target.Token(hasty); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the hasty one got %v", err)
	}
	l.post("/lab/faults", `{"endpoint":"token","fault":{}}`)
	ok(t, <-patient)
	if n := l.tokenRequests(); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func TestTheUsersTokenIsPassedOnAndNoTokenGoesElsewhere(t *testing.T) {
	l := startLab(t)
	calls := l.client(l.config(fmt.Sprintf(`{"targets":{"smd":{"urls":[%q,%q]}}}`, l.Smd+"/hsm/v2", l.Smd+"/redirect"))).HTTPClient()
	ctx := svcauth.WithUserToken(t.Context(), l.userToken())
	expect(t, 200, calls, ctx, l.Smd+node)
	if n := l.tokenRequests(); n != 0 {
		t.Errorf("%d token requests for a user's call", n)
	}
	last := l.logged("smd")
	if sub := last[len(last)-1].Sub; sub != "alice" {
		t.Errorf("SMD saw %q", sub)
	}
	expect(t, 200, calls, ctx, l.Elsewhere+"/")
	expect(t, 200, calls, t.Context(), l.Elsewhere+"/")
	for _, status := range []int{302, 307} {
		for _, ctx := range []context.Context{ctx, t.Context()} {
			expect(t, 200, calls, ctx, fmt.Sprintf("%s/redirect?to=%s/&status=%d", l.Smd, l.Elsewhere, status))
		}
	}
	seen := l.logged("elsewhere")
	if len(seen) != 6 {
		t.Errorf("%d calls elsewhere", len(seen))
	}
	for _, entry := range seen {
		if entry.Authorization != "" {
			t.Error("a token went elsewhere")
		}
	}
}

func TestAUsersCallIsNeverMadeWithTheServicesToken(t *testing.T) {
	l := startLab(t)
	calls := l.client(l.config()).HTTPClient()
	outbound := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := get(r.Context(), calls, l.Smd+node)
		switch {
		case errors.Is(err, svcauth.ErrUserTokenMissing):
			status = http.StatusForbidden
		case err != nil:
			t.Error(err)
		}
		w.WriteHeader(status)
	})
	router := http.NewServeMux()
	router.Handle("/any", svcauth.PassUser(outbound))
	router.Handle("/user", svcauth.RequireUser(outbound))
	alice := l.userToken()
	for _, row := range []struct {
		path, authorization string
		status              int
		sub                 string
	}{
		{"/any", "", 200, "bss"},
		{"/any", "Bearer " + alice, 200, "alice"},
		{"/any", "bearer  " + alice, 200, "alice"},
		{"/any", "Basic dTpw", 200, "bss"},
		{"/any", "Bearer expired", 401, ""},
		{"/user", "", 403, ""},
		{"/user", "Basic dTpw", 403, ""},
		{"/user", "Bearer " + alice, 200, "alice"},
		{"/user", "Bearer expired", 401, ""},
	} {
		before := len(l.logged("smd"))
		request := httptest.NewRequest("GET", row.path, nil)
		if row.authorization != "" {
			request.Header.Set("Authorization", row.authorization)
		}
		recorder := httptest.NewRecorder()
		router.ServeHTTP(recorder, request)
		seen := l.logged("smd")[before:]
		sub := ""
		if len(seen) > 0 {
			sub = seen[len(seen)-1].Sub
		}
		if recorder.Code != row.status || row.status == 200 && sub != row.sub || len(seen) > 1 {
			t.Errorf("%s %.10s: %d, sub %q, %d calls", row.path, row.authorization, recorder.Code, sub, len(seen))
		}
	}
	if missing := l.log.events("user_token_missing"); len(missing) != 2 || missing[0]["target"] != "smd" {
		t.Errorf("%v", missing)
	}
}

// once is a body that cannot be sent again.
type once struct{ io.Reader }

func TestABodyIsSentAgainIfItCanBe(t *testing.T) {
	l := startLab(t)
	calls := l.client(l.config()).HTTPClient()
	expect(t, 200, calls, t.Context(), l.Smd+node)
	l.post("/lab/smd", `{"keys":"always"}`)
	const query = `{"ComponentIDs":["x0c0s0b0n0"]}`
	for _, row := range []struct {
		name string
		body io.Reader
		want []int
	}{
		{"GetBody", strings.NewReader(query), []int{401, 200}},
		{"once only", once{strings.NewReader(query)}, []int{401}},
	} {
		l.post("/lab/keys/rotate", "")
		before := len(l.logged("smd"))
		request, err := http.NewRequestWithContext(t.Context(), "POST", l.Smd+"/hsm/v2/State/Components/Query", row.body)
		ok(t, err)
		status, err := do(calls, request)
		ok(t, err)
		var seen []int
		for _, entry := range l.logged("smd")[before:] {
			seen = append(seen, entry.Status)
		}
		if fmt.Sprint(seen) != fmt.Sprint(row.want) || status != row.want[len(row.want)-1] {
			t.Errorf("%s: SMD answered %v, the caller saw %d", row.name, seen, status)
		}
	}
}

func TestCallersOwnAuthorizationIsLeftAlone(t *testing.T) {
	l := startLab(t)
	calls := l.client(l.config()).HTTPClient()
	request, err := http.NewRequestWithContext(svcauth.WithUserToken(t.Context(), "u"), "GET", l.Smd+node, nil)
	ok(t, err)
	request.Header.Set("Authorization", "Bearer mine")
	if status, err := do(calls, request); status != 401 || err != nil {
		t.Errorf("%d %v", status, err)
	}
	if n := l.tokenRequests(); n != 0 {
		t.Errorf("%d token requests", n)
	}
	if got := request.Header.Get("Authorization"); got != "Bearer mine" {
		t.Errorf("the request was changed: %q", got)
	}
}

func TestOtherHTTPStacksAskForTheHeader(t *testing.T) {
	l := startLab(t)
	client := l.client(l.config())
	calls := func(ctx context.Context, to string) (authorization string, status int) {
		authorization, err := client.Authorization(ctx, to)
		ok(t, err)
		request, err := http.NewRequest("GET", to, nil)
		ok(t, err)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		status, err = do(http.DefaultClient, request)
		ok(t, err)
		return authorization, status
	}
	first, status := calls(t.Context(), l.Smd+node)
	if again, _ := calls(t.Context(), l.Smd+node); status != 200 || again != first {
		t.Errorf("%d, and another token: %v", status, again != first)
	}
	l.post("/lab/smd", `{"keys":"always"}`)
	l.post("/lab/keys/rotate", "")
	if _, status := calls(t.Context(), l.Smd+node); status != 401 {
		t.Errorf("%d before the refusal is reported", status)
	}
	client.Refused(t.Context(), l.Smd+node, first)
	second, status := calls(t.Context(), l.Smd+node)
	if status != 200 || second == first {
		t.Errorf("%d after the refusal was reported", status)
	}
	client.Refused(t.Context(), l.Smd+node, first)
	if third, _ := calls(t.Context(), l.Smd+node); third != second {
		t.Error("a late report about an old token changed something")
	}
	if got, status := calls(svcauth.WithUserToken(t.Context(), "u"), l.Smd+node); got != "Bearer u" || status != 401 {
		t.Errorf("for a user: %q, %d", got, status)
	}
	if got, _ := calls(t.Context(), l.Elsewhere+"/"); got != "" {
		t.Error("a token goes elsewhere")
	}
	if _, err := client.Authorization(svcauth.WithUserRequired(t.Context()), l.Smd+node); !errors.Is(err, svcauth.ErrUserTokenMissing) {
		t.Errorf("%v", err)
	}
	if _, err := client.Authorization(t.Context(), "http://a b/"); !errors.Is(err, svcauth.ErrInvalidArgument) {
		t.Errorf("%v", err)
	}
}

func TestAWrongConfigurationNamesTheMember(t *testing.T) {
	_, err := svcauth.New([]byte(`{"isuer": "https://hydra.example"}`))
	var wrong *svcauth.Error
	if !errors.As(err, &wrong) || wrong.Code != svcauth.ErrInvalidConfiguration || wrong.Member != "isuer" {
		t.Errorf("%v", err)
	}
	if _, err = svcauth.Open("does/not/exist.json"); !errors.Is(err, svcauth.ErrInvalidConfiguration) {
		t.Errorf("%v", err)
	}
}

func TestAfterCloseNothingIsLeft(t *testing.T) {
	l := startLab(t)
	before := goroutines()
	for _, fault := range []string{`{}`, `{"action":"hold"}`, `{"action":{"answer":{"status":503}}}`} {
		l.post("/lab/faults", fmt.Sprintf(`{"endpoint":"token","fault":%s}`, fault))
		client := l.client(l.config(), svcauth.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
		target, err := client.Target("smd")
		ok(t, err)
		failed := make(chan error, 8)
		for range 8 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				_, err := target.Token(ctx)
				failed <- err
			}()
		}
		if fault == `{"action":"hold"}` {
			for client.Stats().Waited < 8 {
				time.Sleep(time.Millisecond)
			}
			ok(t, client.Close())
		}
		for range 8 {
			if err := <-failed; (err == nil) != (fault == `{}`) {
				t.Errorf("%s: %v", fault, err)
			}
		}
		ok(t, client.Close())
		ok(t, client.Close())
		if _, err := target.Token(t.Context()); !errors.Is(err, svcauth.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := get(t.Context(), client.HTTPClient(), l.Smd+node); !errors.Is(err, svcauth.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := client.Target("smd2"); !errors.Is(err, svcauth.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		left := goroutines()
		if left == "" || left == before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left:\n%s", left)
		}
	}
}

// goroutines are those with a function of ours on the stack, but for tests.
func goroutines() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var ours []string
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		if strings.Contains(stack, "svcauth-go.") && !strings.Contains(stack, "testing.tRunner") {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}
