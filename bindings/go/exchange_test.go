package svcauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openchami/svcauth-go"
)

func TestTheFlowStepByStep(t *testing.T) {
	l := startLab(t)
	ctx, calls := t.Context(), &http.Client{}
	metadata, err := svcauth.FetchMetadata(ctx, calls, svcauth.MetadataRequest{Issuer: l.Issuer})
	ok(t, err)
	if metadata.Issuer != l.Issuer || metadata.TokenEndpoint != l.Issuer+"/oauth2/token" || metadata.Extra["subject_types_supported"] == nil || metadata.Extra["issuer"] != nil {
		t.Fatalf("%+v", metadata)
	}
	registration, err := svcauth.Register(ctx, calls, svcauth.RegistrationRequest{
		Endpoint: l.Issuer + "/oauth2/register",
		Metadata: map[string]any{
			"client_name": "bss", "grant_types": []string{"client_credentials"}, "scope": "read",
			"redirect_uris": []string{"http://127.0.0.1/callback"}, "response_types": []string{"token"},
			"token_endpoint_auth_method": "client_secret_post",
		},
	})
	ok(t, err)
	if registration.ClientID == "" || registration.ClientSecret == "" || registration.RegistrationAccessToken == "" {
		t.Fatalf("%s is not all of it", registration.ClientID)
	}
	saved, err := json.Marshal(registration)
	ok(t, err)
	read := &svcauth.Registration{}
	ok(t, json.Unmarshal(saved, read))
	before := read.RegistrationAccessToken
	read, err = svcauth.ReadRegistration(ctx, calls, svcauth.ReadRegistrationRequest{Registration: read})
	ok(t, err)
	updated, err := svcauth.UpdateRegistration(ctx, calls, svcauth.UpdateRegistrationRequest{
		Registration: read, Metadata: map[string]any{"client_name": "boot script service"},
	})
	ok(t, err)
	saved, err = json.Marshal(updated)
	ok(t, err)
	if updated.ClientSecret != registration.ClientSecret || updated.RegistrationAccessToken == before || !strings.Contains(string(saved), "boot script service") {
		t.Errorf("the update lost something, or did nothing")
	}
	led, err := svcauth.Authorize(ctx, calls, svcauth.AuthorizationRequest{Endpoint: metadata.AuthorizationEndpoint, Registration: updated})
	ok(t, err)
	if led.Kind != "login_page" || led.Location == "" {
		t.Errorf("%+v", led)
	}
	token, err := svcauth.RequestToken(ctx, calls, svcauth.TokenRequest{
		Endpoint: metadata.TokenEndpoint, Auth: "client_secret_post", ClientID: updated.ClientID, ClientSecret: updated.ClientSecret,
		Scopes: []string{"read"},
	})
	ok(t, err)
	if token.TokenType != "Bearer" || token.ExpiresIn == nil || token.Scope == nil || *token.Scope != "read" {
		t.Errorf("%q %v %v", token.TokenType, token.ExpiresIn, token.Scope)
	}
	request, err := http.NewRequestWithContext(ctx, "GET", l.Smd+node, nil)
	ok(t, err)
	request.Header.Set("Authorization", "Bearer "+token.AccessToken)
	if status, err := do(calls, request); status != 200 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	ok(t, svcauth.DeleteRegistration(ctx, calls, svcauth.DeleteRegistrationRequest{Registration: updated}))
	_, err = svcauth.ReadRegistration(ctx, calls, svcauth.ReadRegistrationRequest{Registration: updated})
	var refused *svcauth.Error
	if !errors.As(err, &refused) || refused.Status != 401 {
		t.Errorf("after the end: %v", err)
	}
}

func TestTokensOfOtherGrants(t *testing.T) {
	l := startLab(t)
	ctx := t.Context()
	var bootstrap struct {
		Token string `json:"bootstrap_token"`
	}
	ok(t, json.Unmarshal(l.post("/lab/bootstrap-token", `{"subject":"bss","audience":"smd","scopes":["read"]}`), &bootstrap))
	exchanged, err := svcauth.RequestToken(ctx, nil, svcauth.TokenRequest{
		Endpoint: l.Tokensmith + "/oauth/token", Auth: "none",
		Grant: svcauth.TokenExchange{
			SubjectToken: bootstrap.Token, SubjectTokenType: "urn:openchami:params:oauth:token-type:bootstrap-token",
		},
	})
	ok(t, err)
	if exchanged.RefreshToken == "" || exchanged.RefreshExpiresIn == nil || exchanged.IssuedTokenType == "" {
		t.Error("the refresh token is missing")
	}
	refreshed, err := svcauth.RequestToken(ctx, nil, svcauth.TokenRequest{
		Endpoint: l.Tokensmith + "/oauth/token", Auth: "none", Grant: svcauth.RefreshToken(exchanged.RefreshToken),
	})
	ok(t, err)
	if refreshed.AccessToken == exchanged.AccessToken || refreshed.RefreshToken == exchanged.RefreshToken {
		t.Error("the tokens are the same")
	}
	_, err = svcauth.RequestToken(ctx, nil, svcauth.TokenRequest{
		Endpoint: l.Opaal + "/token", Auth: "none", Grant: svcauth.Bare{Method: "PUT"},
	})
	if !errors.Is(err, svcauth.ErrInvalidArgument) {
		t.Errorf("PUT: %v", err)
	}
	bare, err := svcauth.RequestToken(ctx, nil, svcauth.TokenRequest{Endpoint: l.Opaal + "/token", Grant: svcauth.Bare{}})
	ok(t, err)
	if bare.AccessToken == "" {
		t.Error("no token from OPAAL")
	}
}

func TestAnExchangeThatFailsNamesTheReason(t *testing.T) {
	l := startLab(t)
	request := svcauth.TokenRequest{Endpoint: l.Issuer + "/oauth2/token", ClientID: "bss", ClientSecret: "planted-wrong-secret"}
	with := func(change func(*svcauth.TokenRequest)) svcauth.TokenRequest {
		changed := request
		change(&changed)
		return changed
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name    string
		ctx     context.Context
		fault   string
		request svcauth.TokenRequest
		code    error
		member  string
		oauth   string
	}{
		{"the secret is wrong", t.Context(), `{}`, request, svcauth.ErrOAuth, "", "invalid_client"},
		{"a parameter is wrong", t.Context(), `{}`, with(func(r *svcauth.TokenRequest) { r.Auth = "basic" }), svcauth.ErrInvalidArgument, "auth", ""},
		{"no TLS", t.Context(), `{}`, with(func(r *svcauth.TokenRequest) { r.Endpoint = "http://hydra.example/token" }), svcauth.ErrInvalidArgument, "endpoint", ""},
		{"nothing listens", t.Context(), `{}`, with(func(r *svcauth.TokenRequest) { r.Endpoint = "http://127.0.0.1:1/token" }), svcauth.ErrConnectionFailed, "http://127.0.0.1:1/token", ""},
		{"the caller gave up", cancelled, `{}`, request, context.Canceled, "", ""},
		{"a redirect", t.Context(), `{"action":{"answer":{"status":307,"location":"` + l.Elsewhere + `/"}}}`, request, svcauth.ErrUnexpectedRedirect, "", ""},
		{"a broken answer", t.Context(), `{"action":"cut"}`, request, svcauth.ErrConnectionBroken, "", ""},
		{"too long", t.Context(), `{"action":{"answer":{"status":200,"content_type":"application/json","body":"` + strings.Repeat("x", 1<<20+1) + `"}}}`, request, svcauth.ErrAnswerTooLarge, "", ""},
	} {
		l.post("/lab/faults", fmt.Sprintf(`{"endpoint":"token","fault":%s}`, row.fault))
		_, err := svcauth.RequestToken(row.ctx, &http.Client{}, row.request)
		var e *svcauth.Error
		if !errors.Is(err, row.code) || errors.As(err, &e) && (row.member != "" && e.Member != row.member || e.OAuthError != row.oauth) {
			t.Errorf("%s: %v", row.name, err)
		}
		if strings.Contains(fmt.Sprint(err), "planted") {
			t.Errorf("%s: the secret is told: %v", row.name, err)
		}
	}
	if n := len(l.logged("elsewhere")); n != 0 {
		t.Errorf("a redirect was followed, %d times", n)
	}
	l.post("/lab/faults", `{"endpoint":"token","fault":{"action":"hold"}}`)
	_, err := svcauth.RequestToken(t.Context(), &http.Client{Timeout: 50 * time.Millisecond}, request)
	if !errors.Is(err, svcauth.ErrTimeout) {
		t.Errorf("the client's timeout: %v", err)
	}
}

func TestWhatAnExchangeHoldsIsNotPrinted(t *testing.T) {
	const planted = "planted-secret-0123456789"
	registration := &svcauth.Registration{ClientID: "bss", ClientSecret: planted, RegistrationAccessToken: planted}
	text := &strings.Builder{}
	logger := slog.New(slog.NewJSONHandler(text, nil))
	for _, value := range []any{
		registration, svcauth.RegistrationRequest{InitialAccessToken: planted}, svcauth.ReadRegistrationRequest{Registration: registration},
		svcauth.UpdateRegistrationRequest{Registration: registration}, svcauth.DeleteRegistrationRequest{Registration: registration},
		svcauth.AuthorizationRequest{ClientSecret: planted, Registration: registration}, svcauth.TokenRequest{ClientSecret: planted},
		svcauth.TokenRequest{Grant: svcauth.RefreshToken(planted)}, svcauth.RefreshToken(planted),
		svcauth.TokenExchange{SubjectToken: planted}, svcauth.TokenAnswer{AccessToken: planted}, &svcauth.TokenAnswer{RefreshToken: planted},
	} {
		fmt.Fprintf(text, "%v %+v %#v %s %q %x\n", value, value, value, value, value, value)
		logger.Info("printed", "value", value)
	}
	for _, form := range []string{planted, fmt.Sprintf("%x", planted)} {
		if at := strings.Index(text.String(), form); at >= 0 {
			t.Fatalf("a secret is told: …%s…", text.String()[max(0, at-200):at])
		}
	}
}
