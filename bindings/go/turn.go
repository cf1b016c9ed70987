package svcauth

import (
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// turn is one call into the core and all that follows from it. No I/O and no waiting happens while the core is
// held; tasks run on goroutines of their own.
func (c *Client) turn(call func(core engine.Client, now engine.Now) error) error {
	c.hold()
	if c.closed {
		c.mutex.Unlock()
		return errClosed()
	}
	return c.finish(call)
}

// complete is the turn that answers a task; it is taken after Close too, which waits for it.
func (c *Client) complete(call func(core engine.Client, now engine.Now) error) {
	c.hold()
	_ = c.finish(call) // a task that nobody awaits any more is none of our business
}

// hold takes the mutex for a turn. The logger is asked before, since it is the program's.
func (c *Client) hold() {
	least := c.least()
	c.mutex.Lock()
	c.heard = least
}

// finish ends a turn whose mutex is held.
func (c *Client) finish(call func(core engine.Client, now engine.Now) error) error {
	var err error
	if call != nil {
		asked := c.core.Load()
		if err = call(asked.Client, c.now()); panicked(err) {
			c.replaceHeld(asked, err)
			err = call(c.core.Load().Client, c.now())
		}
		err = c.errorOf(err)
	}
	c.poll()
	tasks := c.ready
	c.ready = nil
	c.work.Add(len(tasks))
	c.mutex.Unlock()
	c.emit()
	for _, task := range tasks {
		go c.perform(task)
	}
	return err
}

// poll fetches all there is.
func (c *Client) poll() {
	for again := true; ; {
		asked := c.core.Load()
		o, err := asked.Poll(c.now(), c.heard)
		if err != nil {
			if panicked(err) && again {
				c.replaceHeld(asked, err)
				again = false
				continue
			}
			return
		}
		switch o.Kind {
		case engine.OutputIdle:
			c.arm(o.IdleUntil)
			return
		case engine.OutputLease:
			c.deliver(o)
		case engine.OutputEvent:
			if o.Level >= c.heard {
				c.events.push(event{level: o.Level, json: o.Event})
			}
		case engine.OutputCallsChanged:
			c.routes.Store(nil)
		default:
			if !c.atOnce(o) {
				c.ready = append(c.ready, o)
			}
		}
	}
}

// arm sets the time of the next turn.
func (c *Client) arm(at uint64) {
	if c.closed || at == c.wakeAt {
		return
	}
	c.disarm()
	if at == engine.Never {
		return
	}
	c.wakeAt = at
	c.work.Add(1)
	c.timer = time.AfterFunc(max(time.Until(c.started.Add(milliseconds(at))), time.Millisecond), c.wake)
}

// disarm takes the timer back, unless it has gone off.
func (c *Client) disarm() {
	if c.timer != nil && c.timer.Stop() {
		c.work.Done()
	}
	c.timer, c.wakeAt = nil, engine.Never
}

func (c *Client) wake() {
	defer c.work.Done()
	c.hold()
	if c.closed {
		c.mutex.Unlock()
		return
	}
	c.wakeAt = engine.Never
	_ = c.finish(nil)
}

// deliver passes on what has become of a token.
func (c *Client) deliver(o *engine.Output) {
	cell := c.cell(owner{o.Target, o.Subject})
	switch o.State {
	case engine.LeaseReady:
		lease := newLease(o.Lease)
		lease.record = o.Record
		if !c.closed {
			cell.lease.Store(lease)
		}
		cell.wake(news{lease: lease})
	case engine.LeaseOnce:
		cell.lease.Store(nil)
		cell.wake(news{lease: newLease(o.Lease)})
	case engine.LeaseCleared:
		cell.lease.Store(nil)
		if o.Subject != "" {
			c.cells.Delete(owner{o.Target, o.Subject})
			cell.wake(news{})
		}
	case engine.LeaseFailed:
		cell.wake(news{err: c.failure(o.Failure)})
	}
}
