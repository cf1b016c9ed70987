// Service is plain with svcauth. `service first` prints the microseconds to the first client, `service clients 100`
// the kilobytes of memory that are resident with so many clients, each with a token.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openchami/svcauth-go"
)

func main() {
	switch len(os.Args) {
	case 1:
		return
	case 2:
		if os.Args[1] == "first" {
			first()
			return
		}
	case 3:
		many(os.Args[2])
		return
	}
	client, err := svcauth.Open(os.Args[1])
	if err != nil {
		slog.Error("client", "error", err)
		return
	}
	calls := client.HTTPClient()
	handler := func(w http.ResponseWriter, r *http.Request) {
		response, err := calls.Get(os.Args[1])
		if err != nil {
			slog.Error("call", "error", err)
			return
		}
		defer response.Body.Close()
		var answer any
		_ = json.NewDecoder(response.Body).Decode(&answer)
		_ = json.NewEncoder(w).Encode(answer)
	}
	slog.Error("served", "error", http.ListenAndServe("127.0.0.1:0", svcauth.PassUser(http.HandlerFunc(handler))))
}

const config = `{
	"endpoints": {"token": "https://hydra.example/token"},
	"client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "secret"}}]},
	"targets": {"smd": {"urls": ["https://smd.example"]}, "bmc": {"urls": ["https://bmc.example"]}}
}`

func first() {
	started := time.Now()
	_, err := svcauth.New([]byte(config))
	took := time.Since(started)
	if err != nil {
		panic(err)
	}
	fmt.Println(took.Microseconds())
}

func many(count string) {
	n, err := strconv.Atoi(count)
	if err != nil {
		panic(err)
	}
	clients := make([]*svcauth.Client, n)
	for i := range clients {
		clients[i], err = svcauth.New([]byte(config), svcauth.WithHTTPClient(&http.Client{Transport: noop{}}), svcauth.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			panic(err)
		}
		smd, err := clients[i].Target("smd")
		if err != nil {
			panic(err)
		}
		if _, err := smd.Token(context.Background()); err != nil {
			panic(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			fmt.Println(strings.Fields(rest)[0])
		}
	}
	for _, client := range clients {
		client.Close()
	}
}

type noop struct{}

func (noop) RoundTrip(r *http.Request) (*http.Response, error) {
	const answer = `{"access_token":"a-token","expires_in":3599,"token_type":"bearer"}`
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)),
	}, nil
}
