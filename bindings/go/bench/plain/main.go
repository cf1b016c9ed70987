// Plain is a small service without svcauth: what a program with it is compared with.
package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	calls := &http.Client{}
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
	slog.Error("served", "error", http.ListenAndServe("127.0.0.1:0", http.HandlerFunc(handler)))
}
