// Command boot-scripts answers nodes that boot with a script for iPXE. For each it asks SMD what the node is, with a
// token that svcauth looks after.
//
//	boot-scripts svcauth.json http://smd:27779 [127.0.0.1:27778]
package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/openchami/svcauth-go"
)

func main() {
	arguments := os.Args[1:]
	if len(arguments) == 2 {
		arguments = append(arguments, "127.0.0.1:27778")
	}
	if len(arguments) != 3 {
		fmt.Fprintln(os.Stderr, "usage: boot-scripts CONFIGURATION SMD-URL [ADDRESS:PORT]")
		os.Exit(2)
	}
	// svcauth's events and the audit trail of calls go to the default logger.
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, arguments[0], arguments[1], arguments[2]); err != nil {
		slog.Error("boot-scripts ends", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config, smd, address string) error {
	client, err := svcauth.Open(config)
	if err != nil {
		return err
	}
	defer client.Close()
	expvar.Publish("svcauth", expvar.Func(func() any { return client.Stats() }))
	expvar.Publish("build", expvar.Func(build))
	// The first node need not wait for a token, and an authorization server that is away keeps nothing from starting:
	// the probe tells.
	go func() {
		if err := client.Ready(ctx); err != nil {
			slog.Warn("no token yet", "error", err)
		}
	}()

	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: newService(client, smd).router(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- server.Shutdown(patience)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

// build tells how the program was built, and so with which engine.
func build() any {
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			settings[setting.Key] = setting.Value
		}
	}
	return settings
}
