// Package bootservice is how boot-service, and metadata-service, call SMD with TokenSmith's tokens.
package bootservice

import (
	"context"
	"net/http"

	"github.com/openchami/svcauth-go"
)

// AuthTokenProvider is the hook that boot-service has for tokens.
type AuthTokenProvider func(ctx context.Context) (string, error)

// Open gives the hook, an HTTP client for those who need not set the header themselves, and the client behind both,
// for probes and to be closed.
func Open(config string, options ...svcauth.Option) (AuthTokenProvider, *http.Client, *svcauth.Client, error) {
	client, err := svcauth.Open(config, options...)
	if err != nil {
		return nil, nil, nil, err
	}
	smd, err := client.Target("smd")
	if err != nil {
		client.Close()
		return nil, nil, nil, err
	}
	return smd.Token, client.HTTPClient(), client, nil
}
