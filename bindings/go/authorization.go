package svcauth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Authorization gives the value of the Authorization header that a call to a URL carries, as [Transport] would add
// it; empty where it carries none. It is for HTTP stacks other than net/http, gRPC among them. A secret.
//
// ctx says on whose behalf the call is made, as for Transport, and ends the waiting for a token. The call is not
// logged. Where the service refuses the token, say so with [Client.Refused].
func (c *Client) Authorization(ctx context.Context, to string) (string, error) {
	r, err := requestTo(ctx, to)
	if err != nil {
		return "", err
	}
	found, err := c.route(r)
	if err != nil {
		c.tellRefused(r, err)
		return "", err
	}
	switch found.kind {
	case engine.CarriesUserToken:
		return found.authorization, nil
	case engine.CarriesLease:
		lease := c.fresh(found.cell)
		if lease == nil {
			if lease, err = c.leaseFor(r, found); err != nil {
				return "", err
			}
		}
		return lease.held.Authorization, nil
	}
	return "", nil
}

// Refused says that the service at a URL answered 401, or what stands for it, to a call with the Authorization that
// [Client.Authorization] gave, so that later calls get another token. ctx and the URL are those of that call.
func (c *Client) Refused(ctx context.Context, to, authorization string) {
	r, err := requestTo(ctx, to)
	if err != nil {
		return
	}
	found, err := c.route(r)
	if err != nil || found.kind != engine.CarriesLease {
		return
	}
	// What is not the lease at hand was replaced meanwhile.
	if lease := found.cell.lease.Load(); lease != nil && lease.held.Authorization == authorization {
		c.refused(r, &http.Response{StatusCode: http.StatusUnauthorized}, lease)
	}
}

func requestTo(ctx context.Context, to string) (*http.Request, error) {
	parsed, err := url.Parse(to)
	if err != nil {
		return nil, newError(ErrInvalidArgument, "this is no URL", "url")
	}
	return (&http.Request{URL: parsed}).WithContext(ctx), nil
}
