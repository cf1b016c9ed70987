// Package svcauthoauth2 gives svcauth's tokens to what takes a [golang.org/x/oauth2.TokenSource].
package svcauthoauth2

import (
	"context"

	"github.com/openchami/svcauth-go"
	"golang.org/x/oauth2"
)

// TokenSource gives the service's own tokens for a target. It is safe for concurrent use; ctx ends the waiting of each
// call for a token.
//
// A token comes from the client each time, so there is no need for [oauth2.ReuseTokenSource]; what that keeps, as
// [oauth2.NewClient] does, is sent until it expires even where the service refuses it. To make calls over net/http
// take [svcauth.Target.HTTPClient], which gets another token then.
func TokenSource(ctx context.Context, target *svcauth.Target) oauth2.TokenSource {
	return &source{ctx, target}
}

type source struct {
	ctx    context.Context
	target *svcauth.Target
}

// Token implements oauth2.TokenSource.
func (s *source) Token() (*oauth2.Token, error) {
	lease, err := s.target.Lease(s.ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: lease.Token(), TokenType: "Bearer", Expiry: lease.ExpiresAt()}, nil
}
