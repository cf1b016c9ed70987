package svcauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Single messages, for programs that do a step of the flow by themselves. Each function sends one request through
// an HTTP client of the program's, nil for http.DefaultClient; no redirect is followed, and the client's cookies are
// not sent. It takes 30 seconds at most, unless ctx or the client's Timeout say less. Errors are of type *Error.

// Register registers a client (RFC 7591 section 3).
func Register(ctx context.Context, client *http.Client, request RegistrationRequest) (*Registration, error) {
	return registered(exchange(ctx, client, "register", request))
}

// ReadRegistration reads how a client is registered (RFC 7592 section 2.1). What the server leaves out is kept as it
// was.
func ReadRegistration(ctx context.Context, client *http.Client, request ReadRegistrationRequest) (*Registration, error) {
	return registered(exchange(ctx, client, "read_registration", request))
}

// UpdateRegistration changes how a client is registered (RFC 7592 section 2.2). What the server leaves out is kept as
// it was.
func UpdateRegistration(ctx context.Context, client *http.Client, request UpdateRegistrationRequest) (*Registration, error) {
	return registered(exchange(ctx, client, "update_registration", request))
}

// DeleteRegistration ends a registration (RFC 7592 section 2.3).
func DeleteRegistration(ctx context.Context, client *http.Client, request DeleteRegistrationRequest) error {
	_, err := exchange(ctx, client, "delete_registration", request)
	return err
}

// Authorize is the second step of the flow: it shows the authorization endpoint the registration's token. No access
// token comes of it, and no redirect is followed.
func Authorize(ctx context.Context, client *http.Client, request AuthorizationRequest) (*AuthorizationAnswer, error) {
	if request.State == "" {
		request.State = rand.Text()
	}
	answer := &AuthorizationAnswer{}
	return answer, parse(answer, nil)(exchange(ctx, client, "authorize", request))
}

// RequestToken requests an access token (RFC 6749 section 5, RFC 8693).
func RequestToken(ctx context.Context, client *http.Client, request TokenRequest) (*TokenAnswer, error) {
	answer := &TokenAnswer{}
	return answer, parse(answer, &answer.Extra)(exchange(ctx, client, "token", request))
}

// FetchMetadata fetches what an issuer says of itself (RFC 8414 section 3, OpenID Connect Discovery 1.0 section 4).
func FetchMetadata(ctx context.Context, client *http.Client, request MetadataRequest) (*Metadata, error) {
	answer := &Metadata{}
	return answer, parse(answer, &answer.Extra)(exchange(ctx, client, "metadata", request))
}

// RegistrationRequest is what Register sends.
type RegistrationRequest struct {
	// Endpoint is the URL of the registration endpoint: https, or http of this machine.
	Endpoint string `json:"endpoint"`
	// Metadata is the client metadata (RFC 7591 section 2).
	Metadata map[string]any `json:"metadata,omitempty"`
	// InitialAccessToken is the token that allows it, where the server asks for one. A secret.
	InitialAccessToken string `json:"initial_access_token,omitempty"`
	// AllowedOrigins are where the client may be managed, besides the endpoint's own origin.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// ReadRegistrationRequest is what ReadRegistration sends.
type ReadRegistrationRequest struct {
	// Registration is how the client was registered before.
	Registration *Registration `json:"registration"`
	// AllowedOrigins are where the client may be managed, besides the management URL's own origin.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// UpdateRegistrationRequest is what UpdateRegistration sends.
type UpdateRegistrationRequest struct {
	// Registration is how the client was registered before.
	Registration *Registration `json:"registration"`
	// Metadata are the members to change (RFC 7591 section 2).
	Metadata map[string]any `json:"metadata,omitempty"`
	// AllowedOrigins are where the client may be managed, besides the management URL's own origin.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// DeleteRegistrationRequest is what DeleteRegistration sends.
type DeleteRegistrationRequest struct {
	// Registration is how the client was registered.
	Registration *Registration `json:"registration"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// Registration is all that is known of how a client is registered (RFC 7591 section 3.2.1). Its JSON holds secrets and
// is whole, what this version does not know included: json.Marshal saves it, json.Unmarshal reads it.
type Registration struct {
	// ClientID names the client.
	ClientID string
	// ClientSecret is its secret; empty where it has none.
	ClientSecret string
	// ClientSecretExpiresAt is when the secret expires; zero where it does not.
	ClientSecretExpiresAt time.Time
	// RegistrationAccessToken and RegistrationClientURI manage the registration; empty where it cannot be managed.
	RegistrationAccessToken, RegistrationClientURI string
	// Refused is why the URI that the server gave is left out; nil where it is not.
	Refused error

	whole json.RawMessage
}

// AuthorizationRequest is what Authorize sends.
type AuthorizationRequest struct {
	// Endpoint is the URL of the authorization endpoint: https, or http of this machine.
	Endpoint string `json:"endpoint"`
	// Registration gives what is not given by itself below.
	Registration *Registration `json:"registration,omitempty"`
	// RegistrationAccessToken and ClientSecret are secrets.
	RegistrationAccessToken string   `json:"registration_access_token,omitempty"`
	ClientID                string   `json:"client_id,omitempty"`
	ClientSecret            string   `json:"client_secret,omitempty"`
	RedirectURI             string   `json:"redirect_uri,omitempty"`
	Scopes                  []string `json:"scopes,omitempty"`
	// ResponseType is "token" unless given.
	ResponseType string `json:"response_type,omitempty"`
	// State is a fresh random text, made unless given.
	State string `json:"state"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// AuthorizationAnswer is where the authorization endpoint led.
type AuthorizationAnswer struct {
	// Kind is "login_page", "callback", "error_page" or "answered".
	Kind string `json:"kind"`
	// Location is that of the login page.
	Location string `json:"location"`
	// Error is what a callback or an error page tells; nil where it tells none.
	Error *OAuthError `json:"error"`
	// HasCode says whether a callback carries an authorization code.
	HasCode bool `json:"has_code"`
	// Status is that of kind answered.
	Status int `json:"status"`
}

// OAuthError is an error as OAuth has it (RFC 6749 section 4.1.2.1).
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"description"`
	URI         string `json:"uri"`
}

// TokenRequest is what RequestToken sends.
type TokenRequest struct {
	// Endpoint is the URL of the token endpoint: https, or http of this machine.
	Endpoint string `json:"endpoint"`
	// Auth is how the client shows who it is: "client_secret_basic" unless given, "client_secret_post" or "none".
	Auth string `json:"auth,omitempty"`
	// BasicEncoding is "form" unless given (RFC 6749 section 2.3.1), or "raw".
	BasicEncoding string `json:"basic_encoding,omitempty"`
	// ClientID and ClientSecret are who the client is. The second is a secret.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// Grant is a ClientCredentials unless given, a RefreshToken, TokenExchange or Bare.
	Grant Grant `json:"grant,omitempty"`
	// Scopes, Audience and Resource (RFC 8707) are what the token is for.
	Scopes   []string `json:"scopes,omitempty"`
	Audience []string `json:"audience,omitempty"`
	Resource []string `json:"resource,omitempty"`
	// Parameters are further ones of the request.
	Parameters map[string]string `json:"parameters,omitempty"`
	// AllowMissingTokenType and AllowFormAnswer are what the server may do besides.
	AllowMissingTokenType bool `json:"allow_missing_token_type,omitempty"`
	AllowFormAnswer       bool `json:"allow_form_answer,omitempty"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// Grant is what a token is requested with.
type Grant interface {
	json.Marshaler
	grant()
}

// ClientCredentials is the grant of a client on its own behalf (RFC 6749 section 4.4).
type ClientCredentials struct{}

// RefreshToken is the grant of a refresh token (RFC 6749 section 6). A secret.
type RefreshToken string

// TokenExchange is the grant of another token (RFC 8693). SubjectToken is a secret.
type TokenExchange struct {
	SubjectToken, SubjectTokenType, RequestedTokenType string
}

// Bare is a request without parameters, as OPAAL takes it, by Method: POST unless given, or GET.
type Bare struct{ Method string }

func (ClientCredentials) grant() {}
func (RefreshToken) grant()      {}
func (TokenExchange) grant()     {}
func (Bare) grant()              {}

// MarshalJSON implements json.Marshaler.
func (ClientCredentials) MarshalJSON() ([]byte, error) { return []byte(`"client_credentials"`), nil }

// MarshalJSON implements json.Marshaler.
func (g RefreshToken) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"type": "refresh_token", "refresh_token": string(g)})
}

// MarshalJSON implements json.Marshaler.
func (g TokenExchange) MarshalJSON() ([]byte, error) {
	members := map[string]string{
		"type": "token_exchange", "subject_token": g.SubjectToken, "subject_token_type": g.SubjectTokenType,
	}
	if g.RequestedTokenType != "" {
		members["requested_token_type"] = g.RequestedTokenType
	}
	return json.Marshal(members)
}

// MarshalJSON implements json.Marshaler.
func (g Bare) MarshalJSON() ([]byte, error) {
	members := map[string]string{"type": "bare"}
	if g.Method != "" {
		members["method"] = g.Method
	}
	return json.Marshal(members)
}

// TokenAnswer is what a token endpoint answers. AccessToken and RefreshToken are secrets.
type TokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn and RefreshExpiresIn are in seconds; nil where the server does not say. More than ten years are a
	// point in time, in seconds since 1970 (OPAAL).
	ExpiresIn        *int64 `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn *int64 `json:"refresh_expires_in"`
	// Scope are the granted scopes with a space between them; nil where the server does not say, and grants what was
	// asked for.
	Scope           *string `json:"scope"`
	IssuedTokenType string  `json:"issued_token_type"`
	// ContentTypeMismatch says whether the answer was JSON and did not say so.
	ContentTypeMismatch bool `json:"content_type_mismatch"`
	// Extra is what the server said besides.
	Extra map[string]json.RawMessage `json:"-"`
}

// MetadataRequest is what FetchMetadata sends.
type MetadataRequest struct {
	// Issuer is its URL: https, or http of this machine.
	Issuer string `json:"issuer"`
	// Document is "openid" unless given, or "oauth".
	Document string `json:"document,omitempty"`
	// InsecureHTTP are origins that may be spoken to without TLS besides this machine.
	InsecureHTTP []string `json:"insecure_http,omitempty"`
}

// Metadata is what an issuer says of itself (RFC 8414 section 2). What it does not say is empty.
type Metadata struct {
	Issuer                            string   `json:"issuer"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	RegistrationEndpoint              string   `json:"registration_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
	// Extra is what it says besides.
	Extra map[string]json.RawMessage `json:"-"`
}

// MarshalJSON implements json.Marshaler.
func (r *Registration) MarshalJSON() ([]byte, error) {
	if len(r.whole) > 0 {
		return r.whole, nil
	}
	return json.Marshal(map[string]string{
		"client_id": r.ClientID, "client_secret": r.ClientSecret,
		"registration_access_token": r.RegistrationAccessToken, "registration_client_uri": r.RegistrationClientURI,
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Registration) UnmarshalJSON(text []byte) error {
	var known struct {
		ClientID                string  `json:"client_id"`
		ClientSecret            string  `json:"client_secret"`
		ClientSecretExpiresAt   float64 `json:"client_secret_expires_at"`
		RegistrationAccessToken string  `json:"registration_access_token"`
		RegistrationClientURI   string  `json:"registration_client_uri"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	*r = Registration{
		ClientID: known.ClientID, ClientSecret: known.ClientSecret,
		RegistrationAccessToken: known.RegistrationAccessToken, RegistrationClientURI: known.RegistrationClientURI,
		whole: append([]byte(nil), text...),
	}
	if known.ClientSecretExpiresAt > 0 {
		r.ClientSecretExpiresAt = time.Unix(int64(known.ClientSecretExpiresAt), 0)
	}
	return nil
}

// exchange makes a message, sends it and reads the answer.
func exchange(ctx context.Context, client *http.Client, name string, request any) ([]byte, error) {
	parameters, err := json.Marshal(request)
	if err != nil {
		return nil, newError(ErrInvalidArgument, "the parameters cannot be written as JSON: "+err.Error(), "")
	}
	defer clear(parameters)
	var at clock
	message, err := library.NewExchange(name, parameters)
	if err != nil {
		return nil, at.errorOf(err)
	}
	defer message.Free()
	if client == nil {
		client = http.DefaultClient
	}
	const most, longest = 1 << 20, 30 * time.Second
	to := message.Request()
	defer clear(to.Body)
	var s sender
	s.use(client)
	answer, failure, detail := s.send(ctx, &engine.Output{
		Method: to.Method, URL: to.URL, Headers: to.Headers, Body: to.Body,
		Timeout: uint64(longest.Milliseconds()), MaxBytes: most,
	})
	if answer == nil {
		return nil, unanswered(ctx, to.URL, failure, detail)
	}
	defer clear(answer.Body)
	text, err := message.Parse(answer)
	return text, at.errorOf(err)
}

// unanswered says why there is no answer.
func unanswered(ctx context.Context, to string, failure engine.SendFailure, detail string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("svcauth: no answer before the caller gave up: %w", err)
	}
	if u, err := url.Parse(to); err == nil {
		u.RawQuery, u.User = "", nil
		to = u.String()
	}
	code := map[engine.SendFailure]Code{
		engine.SendRefused: ErrConnectionFailed, engine.SendTimeout: ErrTimeout, engine.SendTLS: ErrTLS,
		engine.SendTooLarge: ErrAnswerTooLarge, engine.SendBroken: ErrConnectionBroken,
	}[failure]
	if detail == "" {
		detail = "no answer in time"
	}
	return newError(code, detail, to)
}

func registered(text []byte, err error) (*Registration, error) {
	var answer struct {
		Registration *Registration `json:"registration"`
		Refused      *toldError    `json:"refused_uri"`
	}
	if err := parse(&answer, nil)(text, err); err != nil {
		return nil, err
	}
	if answer.Refused != nil {
		answer.Registration.Refused = answer.Refused.error(time.Time{})
	}
	return answer.Registration, nil
}

// parse reads an answer, and what is not known of it into extra.
func parse(answer any, extra *map[string]json.RawMessage) func(text []byte, err error) error {
	return func(text []byte, err error) error {
		if err != nil {
			return err
		}
		defer clear(text)
		if err := json.Unmarshal(text, answer); err != nil {
			return newError(ErrInternal, "the answer cannot be read: "+err.Error(), "")
		}
		if extra == nil {
			return nil
		}
		all := map[string]json.RawMessage{}
		_ = json.Unmarshal(text, &all)
		known := map[string]json.RawMessage{}
		if shown, err := json.Marshal(answer); err == nil {
			_ = json.Unmarshal(shown, &known)
		}
		for name := range known {
			delete(all, name)
		}
		if len(all) > 0 {
			*extra = all
		}
		return nil
	}
}

// What holds secrets is not printed, nor logged.

func hide(f fmt.State, name string) { _, _ = io.WriteString(f, "svcauth."+name) }

// Format implements fmt.Formatter: no verb prints secrets.
func (RegistrationRequest) Format(f fmt.State, _ rune) { hide(f, "RegistrationRequest") }

// LogValue implements slog.LogValuer.
func (RegistrationRequest) LogValue() slog.Value {
	return slog.StringValue("svcauth.RegistrationRequest")
}

// LogValue implements slog.LogValuer.
func (r ReadRegistrationRequest) LogValue() slog.Value { return r.Registration.LogValue() }

// LogValue implements slog.LogValuer.
func (r UpdateRegistrationRequest) LogValue() slog.Value { return r.Registration.LogValue() }

// LogValue implements slog.LogValuer.
func (r DeleteRegistrationRequest) LogValue() slog.Value { return r.Registration.LogValue() }

// Format implements fmt.Formatter: no verb prints secrets.
func (r *Registration) Format(f fmt.State, _ rune) { hide(f, "Registration("+r.id()+")") }

// LogValue implements slog.LogValuer.
func (r *Registration) LogValue() slog.Value {
	return slog.StringValue("svcauth.Registration(" + r.id() + ")")
}

func (r *Registration) id() string {
	if r == nil {
		return ""
	}
	return r.ClientID
}

// Format implements fmt.Formatter: no verb prints secrets.
func (AuthorizationRequest) Format(f fmt.State, _ rune) { hide(f, "AuthorizationRequest") }

// LogValue implements slog.LogValuer.
func (AuthorizationRequest) LogValue() slog.Value {
	return slog.StringValue("svcauth.AuthorizationRequest")
}

// Format implements fmt.Formatter: no verb prints secrets.
func (TokenRequest) Format(f fmt.State, _ rune) { hide(f, "TokenRequest") }

// LogValue implements slog.LogValuer.
func (TokenRequest) LogValue() slog.Value { return slog.StringValue("svcauth.TokenRequest") }

// Format implements fmt.Formatter: no verb prints secrets.
func (RefreshToken) Format(f fmt.State, _ rune) { hide(f, "RefreshToken") }

// LogValue implements slog.LogValuer.
func (RefreshToken) LogValue() slog.Value { return slog.StringValue("svcauth.RefreshToken") }

// Format implements fmt.Formatter: no verb prints secrets.
func (TokenExchange) Format(f fmt.State, _ rune) { hide(f, "TokenExchange") }

// LogValue implements slog.LogValuer.
func (TokenExchange) LogValue() slog.Value { return slog.StringValue("svcauth.TokenExchange") }

// Format implements fmt.Formatter: no verb prints secrets.
func (TokenAnswer) Format(f fmt.State, _ rune) { hide(f, "TokenAnswer") }

// LogValue implements slog.LogValuer.
func (TokenAnswer) LogValue() slog.Value { return slog.StringValue("svcauth.TokenAnswer") }
