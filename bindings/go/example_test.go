package svcauth_test

import (
	"context"
	"expvar"
	"log"
	"net/http"

	"github.com/openchami/svcauth-go"
)

// A service that passes its users' tokens on, and shows counters at /debug/vars and how it is doing at /ready.
func Example() {
	client, err := svcauth.Open("svcauth.json")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	expvar.Publish("svcauth", expvar.Func(func() any { return client.Stats() }))
	calls := client.HTTPClient()
	http.Handle("/components/", svcauth.PassUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), "GET", "https://smd.example/hsm/v2/State/Components/x0c0s0b0n0", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		response, err := calls.Do(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
	})))
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := client.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// One message by itself.
func ExampleRequestToken() {
	answer, err := svcauth.RequestToken(context.Background(), nil, svcauth.TokenRequest{
		Endpoint: "https://hydra.example/oauth2/token", ClientID: "bss", ClientSecret: "…", Scopes: []string{"read"},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print(answer.TokenType)
}
