package svcauthgrpc_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openchami/svcauth-go"
	svcauthgrpc "github.com/openchami/svcauth-go/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// world is a gRPC server that tells who called, and a client of it.
type world struct {
	address string
	client  *svcauth.Client
	seen    atomic.Pointer[[]string]
	refuses atomic.Pointer[string]
	tokens  atomic.Int64
}

func start(t *testing.T, targets string, options ...grpc.ServerOption) *world {
	w := &world{}
	issuer := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(answer, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, w.tokens.Add(1))
	}))
	t.Cleanup(issuer.Close)
	check := func(ctx context.Context) error {
		all, _ := metadata.FromIncomingContext(ctx)
		seen := all.Get("authorization")
		w.seen.Store(&seen)
		if bad := w.refuses.Load(); bad != nil && len(seen) > 0 && seen[0] == *bad {
			return status.Error(codes.Unauthenticated, "token is expired")
		}
		return nil
	}
	server := grpc.NewServer(append(options,
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := check(ctx); err != nil {
				return nil, err
			}
			return handle(ctx, request)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := check(stream.Context()); err != nil {
				return err
			}
			return handle(server, stream)
		}))...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	w.address = listener.Addr().String()
	w.client, err = svcauth.New([]byte(fmt.Sprintf(`{
		"endpoints": {"token": "%s/token"},
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "secret"}}]},
		"targets": %s
	}`, issuer.URL, strings.ReplaceAll(targets, "ADDRESS", w.address))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.Close() })
	return w
}

func (w *world) connect(t *testing.T, c *svcauthgrpc.Credentials, over credentials.TransportCredentials) grpc_health_v1.HealthClient {
	connection, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(over), grpc.WithPerRPCCredentials(c),
		grpc.WithUnaryInterceptor(c.Unary), grpc.WithStreamInterceptor(c.Stream))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return grpc_health_v1.NewHealthClient(connection)
}

func (w *world) check(t *testing.T, ctx context.Context, health grpc_health_v1.HealthClient, code codes.Code, carries ...string) {
	t.Helper()
	w.seen.Store(nil)
	_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	var seen []string
	if told := w.seen.Load(); told != nil {
		seen = *told
	}
	if status.Code(err) != code || fmt.Sprint(seen) != fmt.Sprint(carries) {
		t.Errorf("%v, and the server saw %q", err, seen)
	}
}

const everything = `{"bmc": {"urls": ["http://ADDRESS/grpc.health.v1.Health"]}}`

func TestACallCarriesTheTokenOfItsURL(t *testing.T) {
	for targets, carries := range map[string][]string{
		everything:                              {"Bearer token-1"},
		`{"bmc": {"urls": ["http://ADDRESS"]}}`: {"Bearer token-1"},
		`{"bmc": {"urls": ["http://ADDRESS/grpc.health.v1.Health/Check"]}}`:  {"Bearer token-1"},
		`{"bmc": {"urls": ["http://ADDRESS/grpc.health.v1.Health/Watch"]}}`:  {},
		`{"bmc": {"urls": ["http://ADDRESS/grpc.health.v2.Health"]}}`:        {},
		`{"bmc": {"urls": ["https://ADDRESS/grpc.health.v1.Health/Check"]}}`: {},
	} {
		w := start(t, targets)
		w.check(t, t.Context(), w.connect(t, &svcauthgrpc.Credentials{Client: w.client, WithoutTLS: true}, insecure.NewCredentials()), codes.OK, carries...)
	}
}

func TestAUsersCallCarriesTheUsersToken(t *testing.T) {
	w := start(t, everything)
	health := w.connect(t, &svcauthgrpc.Credentials{Client: w.client, WithoutTLS: true}, insecure.NewCredentials())
	w.check(t, svcauth.WithUserToken(t.Context(), "alice"), health, codes.OK, "Bearer alice")
	w.check(t, svcauth.WithUserRequired(t.Context()), health, codes.Unauthenticated)
	if n := w.tokens.Load(); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func TestAfterARefusalAnotherTokenIsSent(t *testing.T) {
	w := start(t, everything)
	health := w.connect(t, &svcauthgrpc.Credentials{Client: w.client, WithoutTLS: true}, insecure.NewCredentials())
	w.check(t, t.Context(), health, codes.OK, "Bearer token-1")
	bad := "Bearer token-1"
	w.refuses.Store(&bad)
	w.check(t, t.Context(), health, codes.Unauthenticated, "Bearer token-1")
	w.check(t, t.Context(), health, codes.OK, "Bearer token-2")
	// An old one that is refused late changes nothing.
	w.client.Refused(t.Context(), "http://"+w.address+"/grpc.health.v1.Health/Check", bad)
	w.check(t, t.Context(), health, codes.OK, "Bearer token-2")
}

func TestAStreamThatIsRefusedIsReported(t *testing.T) {
	w := start(t, everything)
	health := w.connect(t, &svcauthgrpc.Credentials{Client: w.client, WithoutTLS: true}, insecure.NewCredentials())
	bad := "Bearer token-1"
	w.refuses.Store(&bad)
	for _, code := range []codes.Code{codes.Unauthenticated, codes.OK} {
		watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		if status.Code(err) != code {
			t.Errorf("%v, expected %s", err, code)
		}
	}
}

func TestNoTokenGoesOverAConnectionWithoutTLSUnlessAllowed(t *testing.T) {
	w := start(t, everything)
	_, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(&svcauthgrpc.Credentials{Client: w.client}))
	if err == nil || w.tokens.Load() != 0 {
		t.Errorf("%v, %d token requests", err, w.tokens.Load())
	}
}

func TestOverTLSTheURLIsHTTPS(t *testing.T) {
	tls := httptest.NewTLSServer(nil)
	defer tls.Close()
	w := start(t, `{"bmc": {"urls": ["https://ADDRESS/grpc.health.v1.Health"]}}`, grpc.Creds(credentials.NewServerTLSFromCert(&tls.TLS.Certificates[0])))
	trusted := tls.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	health := w.connect(t, &svcauthgrpc.Credentials{Client: w.client}, credentials.NewClientTLSFromCert(trusted, ""))
	w.check(t, t.Context(), health, codes.OK, "Bearer token-1")
}
