package svcauth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Client is one identity, its targets, and their tokens.
type Client struct {
	clock
	logger  *slog.Logger
	http    *http.Client // what the program gave
	sender  sender
	secrets secrets
	store   *store

	targets sync.Map // *Target by name
	cells   sync.Map // *cell by owner
	routes  atomic.Pointer[routes]
	core    atomic.Pointer[core]
	making  making

	asked, waited atomic.Uint64

	// The work under way: tasks, and a timer that waits.
	work sync.WaitGroup
	ctx  context.Context
	stop context.CancelFunc

	events events

	mutex  sync.Mutex // held for one call into the core and the polling that has to follow
	timer  *time.Timer
	wakeAt uint64
	ready  []*engine.Output // tasks to start when the mutex is free
	closed bool
	ended  chan struct{}
}

// Open makes a client as the file at path says. It touches no network and starts no goroutine: both happen when the
// first token is asked for.
func Open(path string, options ...Option) (*Client, error) {
	config, err := readConfig(path)
	if err != nil {
		e := newError(ErrInvalidConfiguration, "the configuration cannot be read: "+err.Error(), path)
		return nil, e
	}
	defer clear(config)
	return New(config, options...)
}

func readConfig(path string) ([]byte, error) {
	const most = 1 << 20
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	config, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && len(config) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	return config, err
}

// New makes a client of a configuration document, as [Open] does of a file.
func New(config []byte, options ...Option) (*Client, error) {
	o := newOptions(options)
	c := &Client{
		clock:  clock{started: time.Now()},
		logger: o.logger,
		http:   o.http,
		ended:  make(chan struct{}),
		wakeAt: engine.Never,
	}
	c.secrets.function = o.secrets
	capabilities := uint32(engine.CanReadSecretFiles | engine.CanReadEnvironment)
	if o.secrets != nil {
		capabilities |= engine.CanCallForSecrets
	}
	c.making = making{config: append([]byte(nil), config...), capabilities: capabilities, seed: *o.seed}
	made, err := c.making.core(c.now())
	if err != nil {
		return nil, c.errorOf(err)
	}
	c.core.Store(made)
	c.sender = newSender(o.http)
	c.routes.Store(newRoutes())
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

func newOptions(given []Option) *options {
	o := &options{}
	for _, option := range given {
		option(o)
	}
	if o.logger == nil {
		o.logger = slog.Default()
	}
	if o.seed == nil {
		seed := rand.Uint64()
		o.seed = &seed
	}
	return o
}

// Target gives the target of that name. The error is ErrUnknownTarget where there is none.
func (c *Client) Target(name string) (*Target, error) {
	if known, ok := c.targets.Load(name); ok {
		return known.(*Target), nil
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.closed {
		return nil, errClosed()
	}
	id, err := c.core.Load().Target(name)
	if err != nil {
		return nil, c.errorOf(err)
	}
	t := &Target{client: c, name: name, id: id, cell: c.cell(owner{target: id})}
	known, _ := c.targets.LoadOrStore(name, t)
	return known.(*Target), nil
}

// SecretsChanged says that secrets have changed: what failed for want of a good one is tried at once.
func (c *Client) SecretsChanged() {
	_ = c.turn(func(core engine.Client, now engine.Now) error { return core.SecretsChanged(now) })
}

// Close ends the client: those who wait are told ErrClosed, and so is everybody who asks later. It waits for its
// goroutines, which end at once: requests are given up, but what is being saved to the store is saved.
func (c *Client) Close() error {
	c.mutex.Lock()
	if c.closed {
		c.mutex.Unlock()
		<-c.ended
		return nil
	}
	c.closed = true
	c.disarm()
	c.cells.Range(func(_, each any) bool {
		held := each.(*cell)
		held.lease.Store(nil)
		held.wake(news{err: errClosed()})
		return true
	})
	c.mutex.Unlock()
	c.stop()
	c.work.Wait()
	c.mutex.Lock()
	c.core.Load().Free()
	clear(c.making.config)
	c.mutex.Unlock()
	c.emit()
	c.sender.close()
	close(c.ended)
	return nil
}

// String tells nothing of what the client holds.
func (c *Client) String() string { return "svcauth.Client" }

// GoString is String: no secret is printed with %#v either.
func (c *Client) GoString() string { return c.String() }
