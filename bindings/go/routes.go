package svcauth

import (
	"hash/maphash"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/openchami/svcauth-go/internal/engine"
)

// routes remember what the core has said about calls, by what its answer depends on. They are dropped when its
// rules change; each place holds the last answer that fell on it.
type routes struct {
	seed   maphash.Seed
	places [512]atomic.Pointer[route]
}

// route is one answer.
type route struct {
	scheme, host, path, rawPath string
	flags                       uint32
	kind                        engine.DecisionKind
	target                      uint32
	cell                        *cell // of kind lease
	audit                       audit
	// The rest depends on the user, and is not remembered.
	authorization string
	whose         owner
}

func newRoutes() *routes { return &routes{seed: maphash.MakeSeed()} }

func (r *routes) place(u *url.URL, flags uint32) *atomic.Pointer[route] {
	hash := maphash.String(r.seed, u.Path) + 31*maphash.String(r.seed, u.Host) + uint64(flags)
	return &r.places[hash%uint64(len(r.places))]
}

func (r *route) fits(u *url.URL, flags uint32) bool {
	return r.path == u.Path && r.host == u.Host && r.scheme == u.Scheme && r.rawPath == u.RawPath && r.flags == flags
}

// route says what a request carries.
func (c *Client) route(r *http.Request) (*route, error) {
	var flags uint32
	if len(r.Header["Authorization"]) > 0 {
		flags |= engine.HasAuthorization
	}
	by := userOf(r.Context())
	if by.required {
		flags |= engine.UserRequired
	}
	if by.has || r.Response != nil || r.URL.User != nil || r.URL.Opaque != "" {
		return c.decide(call(r, flags, by))
	}
	known := c.routes.Load()
	place := known.place(r.URL, flags)
	if found := place.Load(); found != nil && found.fits(r.URL, flags) {
		return found, nil
	}
	found, err := c.decide(call(r, flags, by))
	if err != nil {
		return nil, err
	}
	found.scheme, found.host, found.path, found.rawPath = r.URL.Scheme, r.URL.Host, r.URL.Path, r.URL.RawPath
	found.flags = flags
	place.Store(found)
	return found, nil
}

// call is what the core is asked about.
func call(r *http.Request, flags uint32, by user) *engine.Call {
	made := &engine.Call{URL: r.URL.String(), Flags: flags}
	if by.has {
		made.Flags |= engine.HasUserToken
		made.UserToken = by.token
	}
	if r.Response != nil {
		first := r
		for first.Response != nil && first.Response.Request != nil {
			first = first.Response.Request
		}
		made.Flags |= engine.Redirected
		made.RedirectedFrom = first.URL.String()
	}
	return made
}

// decide asks the core. No lock of ours is held: it needs none.
func (c *Client) decide(made *engine.Call) (*route, error) {
	asked := c.core.Load()
	decision, err := asked.Decide(made)
	if panicked(err) {
		decision, err = c.replace(asked, err).Decide(made)
	}
	if err != nil {
		if c.isClosed() {
			return nil, errClosed()
		}
		return nil, c.errorOf(err)
	}
	found := &route{kind: decision.Kind, authorization: decision.Authorization}
	found.audit.read(decision.Event)
	if decision.HasTarget {
		found.target = decision.Target
	}
	if decision.Kind == engine.CarriesLease {
		found.whose = owner{decision.Target, decision.Subject}
		found.cell = c.cell(found.whose)
	}
	return found, nil
}
