// Bench prints what is promised about the Go client's speed, as ratios to golang.org/x/oauth2 in the same run.
//
// Variants take turns, so that a noisy machine is noisy for all; compared are medians. `make go-bench` runs it for both
// engines.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openchami/svcauth-go"
)

func main() {
	load := flag.Duration("load", 0, "instead: 32 goroutines with tokens of one second, for so long")
	flag.Parse()
	if *load > 0 {
		underLoad(*load)
	} else {
		tokens()
		calls()
		fetches()
		crowd()
	}
	if broken {
		os.Exit(1)
	}
}

// broken is set where something is not as it must be on any machine.
var broken bool

// must reports a figure that does not depend on the machine.
func must(name string, got, most float64) {
	fmt.Printf("%-58s%9s   goal <= %g%s\n", name, number(got), most, verdict(got, most))
	broken = broken || got > most
}

// report prints a time, and what it is of another one.
func report(name string, nanoseconds, against, goal float64) {
	ratio := nanoseconds / against
	fmt.Printf("%-58s%9s   %.2f x, goal <= %g%s\n", name, elapsed(nanoseconds), ratio, goal, verdict(ratio, goal))
}

// show prints a time that others are compared with.
func show(name string, nanoseconds float64) { fmt.Printf("%-58s%9s\n", name, elapsed(nanoseconds)) }

func verdict(got, goal float64) string {
	if got > goal {
		return "   MISSED"
	}
	return ""
}

func number(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", n), ".00") }

func elapsed(nanoseconds float64) string {
	if nanoseconds >= 1000 {
		return fmt.Sprintf("%.2f µs", nanoseconds/1000)
	}
	return fmt.Sprintf("%.1f ns", nanoseconds)
}

// variant does something so many times.
type variant func(turns int)

// compare gives the nanoseconds of one turn of each, as medians over rounds in which they follow each other.
func compare(rounds, turns int, variants ...variant) []float64 {
	times := make([][]float64, len(variants))
	for round := range rounds {
		for step := range variants {
			each := (round + step) % len(variants)
			started := time.Now()
			variants[each](turns)
			times[each] = append(times[each], float64(time.Since(started).Nanoseconds())/float64(turns))
		}
	}
	return medians(times)
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// byTwo is compare with two goroutines at it: the time until both are done, by all turns of both.
func byTwo(rounds, turns int, variants ...variant) []float64 {
	times := make([][]float64, len(variants))
	for range rounds {
		for each, does := range variants {
			var both sync.WaitGroup
			var there atomic.Int32
			var started, ended [2]time.Time
			for one := range started {
				both.Go(func() {
					for there.Add(1); there.Load() < 2; {
					}
					started[one] = time.Now()
					does(turns)
					ended[one] = time.Now()
				})
			}
			both.Wait()
			took := slices.MaxFunc(ended[:], time.Time.Compare).Sub(slices.MinFunc(started[:], time.Time.Compare))
			times[each] = append(times[each], float64(took.Nanoseconds())/float64(2*turns))
		}
	}
	return medians(times)
}

func medians(times [][]float64) (each []float64) {
	for _, all := range times {
		each = append(each, median(all))
	}
	return each
}

// noop is a transport that sends nothing.
type noop struct{ body string }

func (n noop) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Header: jsonHeader, Request: r,
		Body: io.NopCloser(strings.NewReader(n.body)), ContentLength: int64(len(n.body)),
	}, nil
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}

const tokenAnswer = `{"access_token":"` + accessToken + `","expires_in":3599,"token_type":"bearer"}`

// accessToken is as long as a small JWT.

const accessToken = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJic3MiLCJzY3AiOlsicmVhZCJdfQ.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// config has so many targets with scopes of their own.
func config(issuer string, targets int) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, `{"endpoints":{"token":"%s/token"},"insecure_http":["http://smd.example"],`, issuer)
	text.WriteString(`"client":{"credentials":[{"client_id":"bss","client_secret":{"value":"secret"}}]},"targets":{`)
	for n := range targets {
		if n > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"t%d":{"urls":["http://smd.example/%d"],"scopes":["s%d"]}`, n, n, n)
	}
	text.WriteString("}}")
	return []byte(text.String())
}

func open(config []byte, transport http.RoundTripper, logger *slog.Logger) *svcauth.Client {
	client, err := svcauth.New(config, svcauth.WithHTTPClient(&http.Client{Transport: transport}), svcauth.WithLogger(logger))
	check(err)
	return client
}

func target(client *svcauth.Client, name string) *svcauth.Target {
	target, err := client.Target(name)
	check(err)
	return target
}

var (
	silent     = slog.New(slog.DiscardHandler)
	background = context.Background()
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}
