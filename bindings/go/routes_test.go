package svcauth_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/openchami/svcauth-go"
)

func TestWhatUsersCallsCarryIsRememberedForEachUser(t *testing.T) {
	client, err := svcauth.New([]byte(`{
		"endpoints": {"token": "https://hydra.example/token"},
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "a-secret"}}]},
		"targets": {"smd": {"urls": ["https://smd.example"]}}
	}`), svcauth.WithLogger(slog.New(slog.DiscardHandler)))
	ok(t, err)
	defer client.Close()
	const smd = "https://smd.example/hsm/v2/State/Components"
	alice, bob := svcauth.WithUserToken(t.Context(), "alice"), svcauth.WithUserToken(t.Context(), "bob")
	carries := func(ctx context.Context, url, value string) {
		t.Helper()
		for range 2 {
			got, err := client.Authorization(ctx, url)
			ok(t, err)
			if got != value {
				t.Errorf("%q, not %q", got, value)
			}
		}
	}
	carries(alice, smd, "Bearer alice")
	carries(bob, smd, "Bearer bob")
	carries(alice, smd, "Bearer alice")
	carries(alice, smd+"/x0c0s0b0n0", "Bearer alice")
	carries(alice, "https://elsewhere.example/hsm/v2/State/Components", "")
	if _, err := client.Authorization(svcauth.WithUserToken(t.Context(), "alice\r\n"), smd); !errors.Is(err, svcauth.ErrInvalidArgument) {
		t.Errorf("%v", err)
	}
	if _, err := client.Authorization(svcauth.WithUserToken(t.Context(), ""), smd); !errors.Is(err, svcauth.ErrInvalidArgument) {
		t.Errorf("%v", err)
	}

	allocations := func(ctx context.Context, url string) float64 {
		return testing.AllocsPerRun(100, func() { _, _ = client.Authorization(ctx, url) })
	}
	remembered := allocations(t.Context(), "https://elsewhere.example/")
	if n := allocations(alice, smd); n > remembered+2 {
		t.Errorf("%v allocations for a user's call, %v where nothing is carried", n, remembered)
	}

	ok(t, client.Close())
	if got, err := client.Authorization(alice, smd); !errors.Is(err, svcauth.ErrClosed) {
		t.Errorf("%q, %v", got, err)
	}
}
