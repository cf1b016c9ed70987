package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/openchami/svcauth-go"
	"golang.org/x/oauth2"
)

// answered is a base that has answered before the call.
type answered struct{ response *http.Response }

func (a answered) RoundTrip(*http.Request) (*http.Response, error) { return a.response, nil }

// calls: what a call costs beside the call itself. The request is one that a handler makes: its context has the
// user's place and some more values.
func calls() {
	base := answered{&http.Response{StatusCode: 200, Body: http.NoBody}}
	quiet := open(config("https://hydra.example", 4), noop{tokenAnswer}, silent)
	defer quiet.Close()
	told := open(config("https://hydra.example", 4), noop{tokenAnswer}, slog.New(slog.NewJSONHandler(io.Discard, nil)))
	defer told.Close()
	ctx := context.WithValue(svcauth.WithUserRequired(background), http.ServerContextKey, 1)
	ctx = context.WithValue(svcauth.WithUserToken(ctx, accessToken), http.LocalAddrContextKey, 1)
	plain := context.WithValue(background, http.LocalAddrContextKey, 1)
	through := func(transport http.RoundTripper, ctx context.Context) variant {
		request, err := http.NewRequestWithContext(ctx, "GET", "http://smd.example/1/State/Components/x0c0s0b0n0", nil)
		check(err)
		request.Header.Set("Accept", "application/json")
		request.Header.Set("User-Agent", "bss")
		call := func(turns int) {
			for range turns {
				if _, err := transport.RoundTrip(request); err != nil {
					panic(err)
				}
			}
		}
		call(1)
		return call
	}
	theirs := through(&oauth2.Transport{Source: reused(), Base: base}, plain)
	ours := through(&svcauth.Transport{Client: quiet, Base: base}, plain)
	logged := through(&svcauth.Transport{Client: told, Base: base}, plain)
	user := through(&svcauth.Transport{Client: quiet, Base: base}, ctx)
	const rounds, turns = 301, 1000
	times := compare(rounds, turns, theirs, ours, user, logged)
	show("x/oauth2 Transport over a no-op base", times[0])
	report("Transport", times[1], times[0], 0.6)
	fmt.Printf("%-58s%9s   %.2f x\n", "Transport, a user's token passed on", elapsed(times[2]), times[2]/times[0])
	fmt.Printf("%-58s%9s   %.2f x\n", "Transport, with events to slog's JSON handler", elapsed(times[3]), times[3]/times[0])
	allocations := func(v variant) float64 { return testing.AllocsPerRun(1000, func() { v(1) }) }
	least := allocations(theirs)
	fmt.Printf("%-58s%9s\n", "allocations in x/oauth2 Transport", number(least))
	must("allocations in Transport", allocations(ours), least-1)
	fmt.Printf("%-58s%9s\n", "allocations in Transport, a user's token passed on", number(allocations(user)))
	fmt.Printf("%-58s%9s\n", "allocations in Transport, with events", number(allocations(logged)))
}
