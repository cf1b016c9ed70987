package main

/*
#include "svcauth.h"
*/
import "C"

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Client drives one svcauth_client. Safe for concurrent use.
type Client struct {
	handle *C.svcauth_client
	http   *http.Client
	events *slog.Logger
	wake   chan struct{} // one place: that there is something to poll for
	stop   context.CancelFunc
	work   sync.WaitGroup

	mutex   sync.Mutex
	waiting map[owner]map[chan news]struct{}
}

// owner says whose token it is.
type owner struct {
	target  C.uint32_t
	subject string // of a user whose token is exchanged
}

// news of a token: one of the two.
type news struct {
	lease *Lease
	err   error
}

// New reads a configuration document. It touches no network. Tasks are done with base.
func New(config string, base http.RoundTripper, events *slog.Logger) (*Client, error) {
	c := &Client{
		http: &http.Client{
			Transport:     base,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		events:  events,
		wake:    make(chan struct{}, 1),
		waiting: map[owner]map[chan news]struct{}{},
	}
	const can = C.SVCAUTH_CAPABILITY_SECRET_FILES | C.SVCAUTH_CAPABILITY_SECRET_ENVIRONMENT
	var object *C.svcauth_error
	mono, wall := now()
	p, n := chars(config)
	seed := C.uint64_t(rand.Uint64())
	if err := check(C.svcauth_client_new(p, n, can, seed, mono, wall, &c.handle, &object), object); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.work.Add(1)
	go c.drive(ctx)
	return c, nil
}

// Close ends the driver and its tasks. No call may be under way or follow.
func (c *Client) Close() {
	c.stop()
	c.work.Wait()
	C.svcauth_client_free(c.handle)
}

// poke has the driver poll, as is due after every call that took a time.
func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) drive(ctx context.Context) {
	defer c.work.Done()
	for {
		timer := time.NewTimer(c.poll(ctx))
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// poll fetches all there is, and says how long nothing else will come by itself.
func (c *Client) poll(ctx context.Context) time.Duration {
	for {
		var o output
		var object *C.svcauth_error
		var until C.uint64_t
		mono, wall := now()
		if err := check(C.svcauth_client_poll(c.handle, mono, wall, &o.handle, &until, &object), object); err != nil {
			c.events.Error("svcauth", "error", err)
			return time.Hour
		}
		if o.handle == nil {
			return time.Duration(min(until-mono, 3_600_000)) * time.Millisecond
		}
		C.svcauth_output_get_kind(o.handle, &o.kind)
		switch o.kind {
		case C.SVCAUTH_OUTPUT_KIND_LEASE:
			c.tell(o)
			C.svcauth_output_free(o.handle)
		case C.SVCAUTH_OUTPUT_KIND_EVENT:
			c.events.Info("svcauth", "event", o.text(C.SVCAUTH_OUTPUT_TEXT_EVENT))
			C.svcauth_output_free(o.handle)
		case C.SVCAUTH_OUTPUT_KIND_CALLS_CHANGED:
			// Each call is decided anew here.
			C.svcauth_output_free(o.handle)
		default:
			c.work.Add(1)
			go func() {
				defer c.work.Done()
				defer C.svcauth_output_free(o.handle)
				c.perform(ctx, o)
				c.poke()
			}()
		}
	}
}

// tell passes what has become of a token on to those who wait for it.
func (c *Client) tell(o output) {
	var change C.svcauth_lease_change_info
	C.svcauth_output_lease_change(o.handle, &change)
	var it news
	switch change.state {
	case C.SVCAUTH_LEASE_STATE_READY, C.SVCAUTH_LEASE_STATE_ONCE:
		var lease *C.svcauth_lease
		C.svcauth_output_lease(o.handle, &lease)
		it.lease = take(lease)
	case C.SVCAUTH_LEASE_STATE_FAILED:
		var object *C.svcauth_error
		C.svcauth_output_error(o.handle, &object)
		it.err = check(C.SVCAUTH_RESULT_INTERNAL, object)
	default:
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for place := range c.waiting[owner{change.target, o.text(C.SVCAUTH_OUTPUT_TEXT_SUBJECT)}] {
		select {
		case place <- it:
		default:
		}
	}
}

// listen puts the caller among those who wait; to be done before the client is asked.
func (c *Client) listen(whose owner) (heard chan news, leave func()) {
	place := make(chan news, 1)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.waiting[whose] == nil {
		c.waiting[whose] = map[chan news]struct{}{}
	}
	c.waiting[whose][place] = struct{}{}
	return place, func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		delete(c.waiting[whose], place)
		if len(c.waiting[whose]) == 0 {
			delete(c.waiting, whose)
		}
	}
}
