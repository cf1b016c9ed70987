// Package bss is how BSS calls SMD.
package bss

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"
	"github.com/openchami/svcauth-go"
)

// SMD is the State Manager, as BSS sees it.
type SMD struct {
	url    string
	client *svcauth.Client
	calls  *http.Client
}

// OpenSMD reads svcauth's configuration. Neither the authorization server nor SMD need be there yet.
func OpenSMD(config, url string, options ...svcauth.Option) (*SMD, error) {
	client, err := svcauth.Open(config, options...)
	if err != nil {
		return nil, err
	}
	return &SMD{url: url, client: client, calls: client.HTTPClient()}, nil
}

// Close ends what runs in the background.
func (s *SMD) Close() error { return s.client.Close() }

// Healthy is for the probe: nil while BSS can call SMD with a token.
func (s *SMD) Healthy() error { return s.client.Healthy() }

// Component is a node, as far as BSS wants to know.
type Component struct {
	ID, Role string
	NID      int
}

// Component asks for one node.
func (s *SMD) Component(ctx context.Context, xname string) (*Component, error) {
	var node Component
	return &node, s.get(ctx, "/hsm/v2/State/Components/"+url.PathEscape(xname), &node)
}

// EthernetInterfaces asks which card belongs to which node.
func (s *SMD) EthernetInterfaces(ctx context.Context) (cards []struct{ MACAddress, ComponentID string }, err error) {
	return cards, s.get(ctx, "/hsm/v2/Inventory/EthernetInterfaces", &cards)
}

// get carries the token that belongs there: a user's own if ctx has one, that of BSS otherwise.
func (s *SMD) get(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	response, err := s.calls.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("SMD answered %s for %s", response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("SMD's answer for %s: %w", path, err)
	}
	return nil
}

// Router puts the handlers behind what authenticates users, which are jwtauth's Verifier and Authenticator in BSS.
func Router(bootScript, bootParameters http.HandlerFunc, authenticate ...func(http.Handler) http.Handler) http.Handler {
	router := chi.NewRouter()
	router.Route("/boot/v1", func(router chi.Router) {
		// A node that boots has no user: SMD is asked in the name of BSS.
		router.Get("/bootscript", bootScript)
		// Here is always a user, whose token goes along to SMD; that of BSS never takes its place.
		router.Group(func(users chi.Router) {
			users.Use(authenticate...)
			users.Use(svcauth.RequireUser)
			users.Get("/bootparameters", bootParameters)
		})
	})
	return router
}
