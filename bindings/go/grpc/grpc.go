// Package svcauthgrpc adds svcauth's tokens to calls over gRPC.
package svcauthgrpc

import (
	"context"
	"strings"

	"github.com/openchami/svcauth-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Credentials are [credentials.PerRPCCredentials] that add the right token to each call, as [svcauth.Transport] does:
// by the URL https://authority/package.Service/Method, which has to be of a target, and on behalf of the user whom
// the call's context names. Calls of no target carry none. For [grpc.WithPerRPCCredentials].
//
// Where the service refuses a token with Unauthenticated, only an interceptor hears of it: add those of the type too,
// so that later calls get another one.
//
//	credentials := &svcauthgrpc.Credentials{Client: client}
//	connection, err := grpc.NewClient("bmc.example:443",
//		grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(credentials),
//		grpc.WithUnaryInterceptor(credentials.Unary), grpc.WithStreamInterceptor(credentials.Stream))
type Credentials struct {
	// Client knows the tokens.
	Client *svcauth.Client
	// WithoutTLS lets tokens go over connections without TLS, for tests on one machine and for meshes that encrypt. The
	// URL is http://authority/package.Service/Method then, which the configuration has to allow.
	WithoutTLS bool
}

var _ credentials.PerRPCCredentials = (*Credentials)(nil)

// RequireTransportSecurity implements credentials.PerRPCCredentials: true unless WithoutTLS is set.
func (c *Credentials) RequireTransportSecurity() bool { return !c.WithoutTLS }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c *Credentials) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	if len(uri) == 0 {
		return nil, nil
	}
	info, _ := credentials.RequestInfoFromContext(ctx)
	to := c.url(uri[0], info.Method)
	authorization, err := c.Client.Authorization(ctx, to)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if authorization == "" {
		return nil, nil
	}
	if sent, ok := ctx.Value(sentKey{}).(*sent); ok {
		sent.to, sent.authorization = to, authorization
	}
	return map[string]string{"authorization": authorization}, nil
}

// url is that of a call: gRPC tells the service's, with https always, and the method by itself.
func (c *Credentials) url(service, method string) string {
	if slash := strings.LastIndexByte(method, '/'); slash >= 0 {
		service += method[slash:]
	}
	if c.WithoutTLS {
		return "http" + strings.TrimPrefix(service, "https")
	}
	return service
}

type sentKey struct{}

// sent is what a call carried.
type sent struct{ to, authorization string }

// Unary is a [grpc.UnaryClientInterceptor] that reports refused tokens.
func (c *Credentials) Unary(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	it := &sent{}
	ctx = context.WithValue(ctx, sentKey{}, it)
	err := invoke(ctx, method, request, reply, connection, options...)
	c.heard(ctx, it, err)
	return err
}

// Stream is a [grpc.StreamClientInterceptor] that reports refused tokens.
func (c *Credentials) Stream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	it := &sent{}
	ctx = context.WithValue(ctx, sentKey{}, it)
	opened, err := open(ctx, description, connection, method, options...)
	c.heard(ctx, it, err)
	if err != nil {
		return nil, err
	}
	return &stream{opened, func(err error) { c.heard(ctx, it, err) }}, nil
}

type stream struct {
	grpc.ClientStream
	heard func(error)
}

// RecvMsg implements grpc.ClientStream.
func (s *stream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	s.heard(err)
	return err
}

func (c *Credentials) heard(ctx context.Context, it *sent, err error) {
	if it.authorization != "" && status.Code(err) == codes.Unauthenticated {
		c.Client.Refused(ctx, it.to, it.authorization)
	}
}
