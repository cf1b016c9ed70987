package svcauth

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Target is a service that is called, and the token for it. Get it once, and keep it.
type Target struct {
	cell    *cell
	started time.Time // the client's clock
	client  *Client
	name    string
	id      uint32
}

// Name is the target's name in the configuration.
func (t *Target) Name() string { return t.name }

// Token gives the service's own access token for this target, for "Authorization: Bearer …".
//
// While a token is there this takes an atomic load and a look at the clock; ctx is not looked at then. Otherwise it
// waits until ctx ends at most. That ends this caller's waiting, and not the request that others may wait for.
func (t *Target) Token(ctx context.Context) (string, error) {
	lease := t.cell.lease.Load()
	if lease == nil || time.Since(t.started) >= lease.askAt {
		var err error
		if lease, err = t.client.wait(ctx, t); err != nil {
			return "", err
		}
	}
	return lease.token, nil
}

// Lease is Token, with what is known about it.
func (t *Target) Lease(ctx context.Context) (*Lease, error) {
	lease := t.cell.lease.Load()
	if lease == nil || time.Since(t.started) >= lease.askAt {
		return t.client.wait(ctx, t)
	}
	return lease, nil
}

// Format implements fmt.Formatter: no verb prints what the target holds.
func (t Target) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "Target("+t.name+")") }

// owner says whose token it is.
type owner struct {
	target  uint32
	subject string // of a user whose token is exchanged; empty for the service itself
}

// cell is the place of one token.
type cell struct {
	lease atomic.Pointer[Lease]
	// Those who wait, all for the same news; under the client's mutex.
	waiting *waiting
}

type waiting struct {
	heard chan struct{} // closed when there is news
	news  news
}

// isOver says whether there is news.
func (w *waiting) isOver() bool {
	select {
	case <-w.heard:
		return true
	default:
		return false
	}
}

// news of a token: one of the two, or none: ask again.
type news struct {
	lease *Lease
	err   error
}

// enlist puts the caller among those who wait. The client's mutex is held.
func (c *cell) enlist() *waiting {
	if c.waiting == nil {
		c.waiting = &waiting{heard: make(chan struct{})}
	}
	return c.waiting
}

// wake tells those who wait. The client's mutex is held.
func (c *cell) wake(it news) {
	if c.waiting != nil {
		c.waiting.news = it
		close(c.waiting.heard)
		c.waiting = nil
	}
}

func (c *Client) cell(whose owner) *cell {
	if whose.subject == "" {
		return &c.service[whose.target]
	}
	if known, ok := c.users.Load(whose); ok {
		return known.(*cell)
	}
	known, _ := c.users.LoadOrStore(whose, &cell{})
	return known.(*cell)
}

func (c *Client) everyCell(does func(*cell)) {
	for n := range c.service {
		does(&c.service[n])
	}
	c.users.Range(func(_, each any) bool {
		does(each.(*cell))
		return true
	})
}

// fresh gives the lease at hand, if it can be handed out without asking the core.
func (c *Client) fresh(of *cell) *Lease {
	lease := of.lease.Load()
	if lease == nil || time.Since(c.started) >= lease.askAt {
		return nil
	}
	return lease
}

// wait gets the service's own token for a target.
func (c *Client) wait(ctx context.Context, t *Target) (*Lease, error) {
	return c.get(ctx, owner{target: t.id}, func(core engine.Client, now engine.Now) (*engine.Lease, error) {
		return core.Token(t.id, now)
	})
}

// get asks the core for a token, and waits for it until ctx ends.
func (c *Client) get(ctx context.Context, whose owner, ask func(engine.Client, engine.Now) (*engine.Lease, error)) (*Lease, error) {
	c.asked.Add(1)
	asked := time.Since(c.started)
	for counted := false; ; {
		var lease *engine.Lease
		var place *waiting
		request, err := c.turnFor(ctx, func(core engine.Client, now engine.Now) (first bool, err error) {
			if lease, err = ask(core, now); err != nil || lease != nil {
				return false, err
			}
			of := c.cell(whose)
			first = of.waiting == nil
			place = of.enlist()
			return first, nil
		})
		if err != nil {
			return nil, err
		}
		if lease != nil {
			return c.newLease(lease), nil
		}
		if !counted {
			c.waited.Add(1)
			counted = true
		}
		if request != nil {
			c.start(c.perform(request))
		}
		if !place.isOver() {
			if err := c.sleep(ctx, place, whose, c.waitTime-(time.Since(c.started)-asked)); err != nil {
				return nil, err
			}
		}
		if place.news.lease != nil || place.news.err != nil {
			return place.news.lease, place.news.err
		}
	}
}

// sleep waits for news.
func (c *Client) sleep(ctx context.Context, place *waiting, whose owner, longest time.Duration) error {
	end := time.NewTimer(longest)
	defer end.Stop()
	select {
	case <-place.heard:
		return nil
	case <-ctx.Done():
		return &gaveUp{cause: ctx.Err(), reason: c.reason(whose.target)}
	case <-end.C:
		if reason := c.reason(whose.target); reason != nil {
			return reason
		}
		return newError(ErrTimeout, "no token in time; check the server, or wait longer (timeouts.wait_s)", "")
	}
}
