package svcauthoauth2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openchami/svcauth-go"
	svcauthoauth2 "github.com/openchami/svcauth-go/oauth2"
	"golang.org/x/oauth2"
)

func client(t *testing.T, answer http.HandlerFunc) *svcauth.Client {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := svcauth.New([]byte(fmt.Sprintf(`{
		"endpoints": {"token": "%s/token"},
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "secret"}}]},
		"targets": {"smd": {"urls": ["https://smd.example"]}}
	}`, server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestATransportOfXOauth2SendsOurTokens(t *testing.T) {
	requests := 0
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			if got := r.Header.Get("Authorization"); got != "Bearer one" {
				t.Errorf("%s carries %q", r.URL, got)
			}
			return
		}
		requests++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"one","token_type":"bearer","expires_in":3600}`)
	})
	smd, err := c.Target("smd")
	if err != nil {
		t.Fatal(err)
	}
	source := svcauthoauth2.TokenSource(t.Context(), smd)
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); !token.Valid() || token.Type() != "Bearer" || left < 59*time.Minute || left > time.Hour {
		t.Errorf("%s, for %s", token.Type(), left)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer one" {
			t.Errorf("the service got %q", got)
		}
	}))
	defer service.Close()
	for range 3 {
		calls := &http.Client{Transport: &oauth2.Transport{Source: source}}
		response, err := calls.Get(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if requests != 1 {
		t.Errorf("%d token requests", requests)
	}
}

func TestWhyThereIsNoTokenIsTold(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
	})
	smd, err := c.Target("smd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svcauthoauth2.TokenSource(t.Context(), smd).Token(); !errors.Is(err, svcauth.ErrOAuth) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c.SecretsChanged()
	if _, err := svcauthoauth2.TokenSource(ended, smd).Token(); err == nil {
		t.Error("a token")
	}
}
