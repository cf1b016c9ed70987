package svcauth

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// core is what knows what to do. After a panic in it, which is a bug, another one takes its place.
type core struct {
	engine.Client
	hears engine.Level // what it was told; under the client's mutex
}

// making is what a core is made with.
type making struct {
	config       []byte
	capabilities uint32
	seed         uint64
	panicked     time.Time // when a core ended that way last
}

func (m *making) core(now engine.Now) (*core, error) {
	made, err := library.New(m.config, m.capabilities, m.seed, now)
	if err != nil {
		return nil, err
	}
	return &core{Client: made, hears: engine.LevelInfo}, nil
}

func panicked(err error) bool {
	if err == nil {
		return false
	}
	var f *engine.Failure
	return errors.As(err, &f) && f.Panicked()
}

// replace puts another core in the place of one that panicked, and gives the one that is there.
func (c *Client) replace(ended *core, why error) *core {
	c.hold()
	c.replaceHeld(ended, why)
	tasks, _ := c.finish(nil)
	c.start(tasks)
	return c.core.Load()
}

// replaceHeld is replace with the mutex held; the caller polls. The new core takes over the service's own leases, and
// users' leases are served as long as the old one said. Those who wait ask again.
func (c *Client) replaceHeld(ended *core, why error) {
	if c.closed || c.core.Load() != ended {
		return
	}
	made, err := c.making.core(c.now())
	if err != nil {
		return
	}
	c.core.Store(made)
	ended.Free()
	c.routes.Store(nil)
	c.disarm()
	// What panics each time must not be asked for ever.
	const often = 10 * time.Second
	it := news{}
	if time.Since(c.making.panicked) < often {
		it.err = c.errorOf(why)
	}
	c.making.panicked = time.Now()
	for target := range c.service {
		if lease := c.service[target].lease.Load(); lease != nil {
			_, _ = made.Adopt(uint32(target), lease.held.Record(c.now()), engine.SameClock, c.now())
		}
	}
	c.everyCell(func(held *cell) { held.wake(it) })
	// The core cannot tell this one itself.
	told, _ := json.Marshal(map[string]string{"event": "client_replaced", "error": why.Error()})
	c.events.push(event{level: engine.LevelError, json: told})
}
