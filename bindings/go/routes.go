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
	// Of users' calls, with their tokens: few, so that few tokens stay in memory.
	users [64]atomic.Pointer[route]
}

// route is one answer.
type route struct {
	scheme, host, path, rawPath string
	flags                       uint32
	userToken                   string
	kind                        engine.DecisionKind
	target                      uint32
	cell                        *cell // of kind lease
	audit                       audit
	authorization               string
	whose                       owner
}

func newRoutes() *routes { return &routes{seed: maphash.MakeSeed()} }

// remembered makes them with the first call: a client whose tokens are asked for by name needs none.
func (c *Client) remembered() *routes {
	known := c.routes.Load()
	if known == nil {
		known = newRoutes()
		if !c.routes.CompareAndSwap(nil, known) {
			return c.remembered()
		}
	}
	return known
}

func (r *routes) place(u *url.URL, flags uint32, by *user) *atomic.Pointer[route] {
	hash := maphash.String(r.seed, u.Path) + 31*maphash.String(r.seed, u.Host) + uint64(flags)
	if by.has {
		hash += 31 * maphash.String(r.seed, by.token)
		return &r.users[hash%uint64(len(r.users))]
	}
	return &r.places[hash%uint64(len(r.places))]
}

func (r *route) fits(u *url.URL, flags uint32, by *user) bool {
	return r.path == u.Path && r.host == u.Host && r.scheme == u.Scheme && r.rawPath == u.RawPath && r.flags == flags && r.userToken == by.token
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
	if by.has {
		flags |= engine.HasUserToken
	}
	if r.Response != nil || r.URL.User != nil || r.URL.Opaque != "" {
		return c.decide(call(r, flags, by))
	}
	known := c.remembered()
	place := known.place(r.URL, flags, &by)
	if found := place.Load(); found != nil && found.fits(r.URL, flags, &by) {
		return found, nil
	}
	found, err := c.decide(call(r, flags, by))
	if err != nil {
		return nil, err
	}
	found.scheme, found.host, found.path, found.rawPath = r.URL.Scheme, r.URL.Host, r.URL.Path, r.URL.RawPath
	found.flags, found.userToken = flags, by.token
	// What a user's token is exchanged for is not kept longer than the core keeps it.
	if found.whose.subject == "" {
		place.Store(found)
	}
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
