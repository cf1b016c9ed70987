package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// fetches: what it costs to get a token over a transport that sends nothing. Each of our fetches is a target's first,
// from the caller's question to the caller's answer.
func fetches() {
	const each = 64
	transport := noop{tokenAnswer}
	theirs := clientcredentials.Config{
		ClientID: "bss", ClientSecret: "secret", TokenURL: "https://hydra.example/token", Scopes: []string{"read"},
		AuthStyle: oauth2.AuthStyleInHeader,
	}
	ctx := context.WithValue(background, oauth2.HTTPClient, &http.Client{Transport: transport})
	other := func(turns int) {
		for range turns {
			if _, err := theirs.Token(ctx); err != nil {
				panic(err)
			}
		}
	}
	text := config("https://hydra.example", each+1)
	var their, our []float64
	for range 101 {
		client := open(text, transport, silent)
		_, err := target(client, "t64").Token(background) // the secret is read
		check(err)
		targets := make([]interface {
			Token(context.Context) (string, error)
		}, each)
		for n := range targets {
			targets[n] = target(client, fmt.Sprintf("t%d", n))
		}
		ours := func(turns int) {
			for n := range turns {
				if _, err := targets[n].Token(background); err != nil {
					panic(err)
				}
			}
		}
		times := compare(1, each, other, ours)
		their, our = append(their, times[0]), append(our, times[1])
		check(client.Close())
	}
	show("x/oauth2 fetch over a no-op transport", median(their))
	report("fetch", median(our), median(their), 0.6)
	fmt.Printf("%-58s%9s\n", "allocations in x/oauth2 fetch", number(testing.AllocsPerRun(100, func() { other(1) })))
}

// crowd: 64 goroutines that find no token, and a server that takes 20 ms.
func crowd() {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		time.Sleep(20 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(tokenAnswer))
	}))
	defer server.Close()
	client := open(config(server.URL, 2), http.DefaultTransport, silent)
	defer client.Close()
	smd := target(client, "t1")
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			_, err := smd.Token(background)
			check(err)
		})
	}
	all.Wait()
	must("token requests of 64 goroutines, 20 ms server", float64(requests.Load()), 1)
}
