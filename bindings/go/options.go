package svcauth

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Option changes how a client is made.
type Option func(*options)

type options struct {
	logger  *slog.Logger
	http    *http.Client
	secrets SecretFunc
	seed    *uint64
}

// capabilities are what the program can do, so that the core refuses a configuration that needs more.
func (o *options) capabilities() uint32 {
	can := uint32(engine.CanReadSecretFiles | engine.CanReadEnvironment)
	if storesAreSupported {
		can |= engine.HasDurableStore
	}
	if o.secrets != nil {
		can |= engine.CanCallForSecrets
	}
	if o.http == nil {
		can |= engine.ShowsClientCertificate
	}
	return can
}

// SecretFunc knows the secrets that the configuration names with `callback`. It runs on a goroutine of its own and
// may block until ctx ends: at its time limit, or when the client is closed, which waits for it. The text of its
// error is logged, so keep the secret out of it.
type SecretFunc func(ctx context.Context, name string) (string, error)

// WithLogger sends events to logger; without it they go to slog.Default.
func WithLogger(logger *slog.Logger) Option { return func(o *options) { o.logger = logger } }

// WithHTTPClient sends the client's own requests, to the authorization server, through the transport of this HTTP
// client; its Timeout counts too. A [Transport] without a Base uses it as well. What the configuration says about TLS and
// proxies is that HTTP client's business then. Without it they go through a transport that is set up as the configuration says
// (tls, proxy). Redirects are never followed.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.http = client } }

// WithSecrets gives the function that knows the secrets which the configuration names with `callback`.
func WithSecrets(secrets SecretFunc) Option { return func(o *options) { o.secrets = secrets } }

// WithSeed makes the spread of points in time the same in each run, for tests.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = &seed } }
