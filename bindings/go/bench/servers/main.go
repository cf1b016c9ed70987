// Servers issues tokens of one second at /token, and refuses those that have expired everywhere else. It prints its
// URL, and ends when its input does.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	started := time.Now()
	var requests, refused atomic.Int64
	http.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": fmt.Sprintf("until-%d", time.Since(started)+time.Second), "token_type": "bearer", "expires_in": 1,
		})
	})
	http.HandleFunc("/counts", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]int64{"requests": requests.Load(), "refused": refused.Load()})
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var until time.Duration
		_, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer until-%d", &until)
		if err != nil || time.Since(started) > until {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	go func() { _ = http.Serve(listener, nil) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
