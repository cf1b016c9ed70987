package main

import (
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// tokens: what a token costs while it is fresh.
func tokens() {
	client := open(config("https://hydra.example", 4), noop{tokenAnswer}, silent)
	defer client.Close()
	smd := target(client, "t1")
	theirs := reused()
	ours := func(turns int) {
		for range turns {
			if _, err := smd.Token(background); err != nil {
				panic(err)
			}
		}
	}
	other := func(turns int) {
		for range turns {
			if _, err := theirs.Token(); err != nil {
				panic(err)
			}
		}
	}
	ours(1)
	other(1)
	times := compare(301, 10_000, other, ours)
	show("x/oauth2 ReuseTokenSource.Token", times[0])
	report("Target.Token", times[1], times[0], 0.5)
	times = byTwo(301, 10_000, other, ours)
	show("x/oauth2 ReuseTokenSource.Token, two goroutines", times[0])
	report("Target.Token, two goroutines (on two free cores)", times[1], times[0], 0.3)
	must("allocations in Target.Token", testing.AllocsPerRun(1000, func() { ours(1) }), 0)
}

func reused() oauth2.TokenSource {
	return oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{
		AccessToken: accessToken, TokenType: "Bearer", Expiry: time.Now().Add(time.Hour),
	}))
}
