package main

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/openchami/svcauth-go"
)

// service is what the handlers need.
type service struct {
	smd    string
	client *svcauth.Client
	calls  *http.Client
}

func newService(client *svcauth.Client, smd string) *service {
	return &service{smd: smd, client: client, calls: client.HTTPClient()}
}

func (s *service) router() http.Handler {
	router := http.NewServeMux()
	// A node that boots has no user; where there is one, the user's token goes along to SMD.
	router.Handle("GET /boot/v1/bootscript", svcauth.PassUser(http.HandlerFunc(s.bootScript)))
	// Only for users: without one's token SMD is not asked, in nobody's name.
	router.Handle("GET /boot/v1/bootparameters", svcauth.RequireUser(http.HandlerFunc(s.bootParameters)))
	router.HandleFunc("GET /boot/v1/service/status", s.status)
	router.Handle("GET /debug/vars", expvar.Handler())
	return router
}

func (s *service) bootScript(w http.ResponseWriter, r *http.Request) {
	node, err := s.component(r.Context(), r.FormValue("host"))
	if err != nil {
		refuse(w, err)
		return
	}
	fmt.Fprintf(w, "#!ipxe\nkernel http://boot/kernel nid=%d xname=%s role=%s\nboot\n", node.NID, node.ID, node.Role)
}

func (s *service) bootParameters(w http.ResponseWriter, r *http.Request) {
	node, err := s.component(r.Context(), r.FormValue("host"))
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"hosts": []string{node.ID}, "params": "console=ttyS0"})
}

// status is for probes: 503 while a token is missing.
func (s *service) status(w http.ResponseWriter, _ *http.Request) {
	if err := s.client.Healthy(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

type component struct {
	ID, Role string
	NID      int
}

// component asks SMD. This is all that there is to do about tokens: the inbound request's context goes along.
func (s *service) component(ctx context.Context, name string) (*component, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.smd+"/hsm/v2/State/Components/"+url.PathEscape(name), nil)
	if err != nil {
		return nil, err
	}
	response, err := s.calls.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &answered{response.StatusCode}
	}
	var node component
	return &node, json.NewDecoder(response.Body).Decode(&node)
}

// answered is SMD's answer, where it is no component.
type answered struct{ status int }

func (a *answered) Error() string { return fmt.Sprintf("SMD answered %d", a.status) }

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	var smd *answered
	var token *svcauth.Error
	switch {
	case errors.As(err, &smd):
		status = smd.status
	case errors.Is(err, svcauth.ErrUserTokenMissing):
		status = http.StatusUnauthorized
	case errors.As(err, &token):
		status = http.StatusServiceUnavailable
		if !token.RetryAt.IsZero() {
			seconds := max(1, int(time.Until(token.RetryAt).Seconds()+1))
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	http.Error(w, err.Error(), status)
}
