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
	own     *http.Transport   // nil where the program gave a client
	base    http.RoundTripper // for calls through a Transport without a Base
	secrets secrets
	store   *store
	// How long a caller waits at most, and those who close for what is being saved.
	waitTime, saveTime time.Duration

	names   []string // of the targets, by number
	targets sync.Map // *Target by name
	service []cell   // of the service's own tokens, by target
	users   sync.Map // *cell by owner, of users' tokens
	routes  atomic.Pointer[routes]
	core    atomic.Pointer[core]
	making  making

	asked, waited atomic.Uint64

	// The work under way: tasks, and a timer that waits.
	work sync.WaitGroup
	ctx  context.Context
	stop context.CancelFunc

	events events

	mutex   sync.Mutex // held for one call into the core and the polling that has to follow
	timer   *time.Timer
	wakeAt  uint64
	outputs engine.Outputs   // room for those of one turn
	ready   []*engine.Output // tasks to start when the mutex is free
	heard   engine.Level     // from which level on somebody listens to events
	closed  bool
	ended   chan struct{}
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
	c.making = making{config: append([]byte(nil), config...), capabilities: o.capabilities(), seed: *o.seed}
	if err := c.make(); err != nil {
		clear(c.making.config)
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// make makes the core, and what the configuration asks of the program itself.
func (c *Client) make() error {
	made, err := c.making.core(c.now())
	if err != nil {
		return c.errorOf(err)
	}
	if err := c.set(made); err != nil {
		made.Free()
		return err
	}
	c.core.Store(made)
	return nil
}

func (c *Client) set(made *core) error {
	text, err := made.Settings()
	if err != nil {
		return c.errorOf(err)
	}
	set, err := readSettings(text)
	if err != nil {
		return err
	}
	c.names, c.service = set.Targets, make([]cell, len(set.Targets))
	c.waitTime, c.saveTime = milliseconds(set.Timeouts.WaitMS), milliseconds(set.Timeouts.StoreMS)
	switch {
	case set.Store != nil && storesAreSupported:
		c.store = newStore(set.Store.File, c.saveTime)
	case set.NeedsDurableStore:
		// The core says it better.
		c.making.capabilities &^= engine.HasDurableStore
		other, err := c.making.core(c.now())
		if err == nil {
			other.Free()
			err = newError(ErrUnsupported, "there is no durable store here, and this configuration needs one", "store")
		}
		return c.errorOf(err)
	}
	if c.http != nil {
		c.sender.use(c.http)
		c.base = c.sender.transport
		return nil
	}
	for _, each := range []**http.Transport{&c.sender.own, &c.own} {
		if *each, err = set.transport(); err != nil {
			return err
		}
	}
	c.sender.own.DisableKeepAlives = true
	c.sender.transport, c.base = c.sender.own, c.own
	return nil
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
	t := &Target{started: c.started, client: c, name: name, id: id, cell: c.cell(owner{target: id})}
	known, _ := c.targets.LoadOrStore(name, t)
	return known.(*Target), nil
}

// SecretsChanged says that secrets have changed: what failed for want of a good one is tried at once.
func (c *Client) SecretsChanged() {
	_ = c.turn(func(core engine.Client, now engine.Now) error { return core.SecretsChanged(now) })
}

// Close ends the client: those who wait are told ErrClosed, and so is everybody who asks later. It waits for its
// goroutines, which end at once: requests are given up. With a store
// in the configuration it waits for the answers to requests, `timeouts.store_s` at the most, and saves them.
func (c *Client) Close() error {
	c.mutex.Lock()
	if c.closed {
		c.mutex.Unlock()
		<-c.ended
		return nil
	}
	c.closed = true
	c.disarm()
	c.everyCell(func(held *cell) {
		held.lease.Store(nil)
		held.wake(news{err: errClosed()})
	})
	c.mutex.Unlock()
	c.finishSaving()
	c.stop()
	c.work.Wait()
	c.mutex.Lock()
	c.core.Load().Free()
	c.routes.Store(nil) // last, so that nothing the core said is put there again
	clear(c.making.config)
	c.mutex.Unlock()
	c.emit()
	if c.own != nil {
		c.own.CloseIdleConnections()
		c.sender.own.CloseIdleConnections()
	}
	close(c.ended)
	return nil
}

func (c *Client) isClosed() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.closed
}

// finishSaving lets requests come to their end where there is a store: their answers may hold what can be used once.
func (c *Client) finishSaving() {
	if c.store == nil {
		return
	}
	giveUp := time.AfterFunc(c.saveTime, c.stop)
	defer giveUp.Stop()
	c.work.Wait()
}

// Format implements fmt.Formatter: no verb prints what the client holds.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "svcauth.Client") }
