package svcauth

import (
	"context"
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
	tasks, err := c.finish(call)
	c.start(tasks)
	return err
}

// turnFor is turn for a caller who waits then. Where call says that it is the first who does, the request that follows
// may come back for the caller to perform: one who cannot give up before it ends saves a goroutine and the way to it.
func (c *Client) turnFor(ctx context.Context, call func(core engine.Client, now engine.Now) (first bool, err error)) (*engine.Output, error) {
	c.hold()
	if c.closed {
		c.mutex.Unlock()
		return nil, errClosed()
	}
	first := false
	tasks, err := c.finish(func(core engine.Client, now engine.Now) (err error) {
		first, err = call(core, now)
		return err
	})
	if first && ctx.Done() == nil && len(tasks) == 1 && tasks[0].Kind == engine.OutputSend && milliseconds(tasks[0].Timeout) <= c.waitTime {
		return tasks[0], err
	}
	c.start(tasks)
	return nil, err
}

// complete is the turn that answers a task; it is taken after Close too, which waits for it. It gives the tasks that
// follow.
func (c *Client) complete(call func(core engine.Client, now engine.Now) error) []*engine.Output {
	c.hold()
	tasks, _ := c.finish(call) // a task that nobody awaits any more is none of our business
	return tasks
}

// hold takes the mutex for a turn. The logger is asked before, since it is the program's.
func (c *Client) hold() {
	least := c.least()
	c.mutex.Lock()
	c.heard = least
}

// finish ends a turn whose mutex is held. The tasks are to be performed, each once.
func (c *Client) finish(call func(core engine.Client, now engine.Now) error) ([]*engine.Output, error) {
	now := c.now()
	var err error
	c.listen()
	if call != nil {
		asked := c.core.Load()
		if err = call(asked.Client, now); panicked(err) {
			c.replaceHeld(asked, err)
			err = call(c.core.Load().Client, now)
		}
		err = c.errorOf(err)
	}
	c.poll(now)
	tasks := c.ready
	c.ready = nil
	c.work.Add(len(tasks))
	c.mutex.Unlock()
	c.emit()
	return tasks, err
}

// start performs tasks on goroutines of their own.
func (c *Client) start(tasks []*engine.Output) {
	for n := range tasks {
		go c.run(tasks[n : n+1])
	}
}

// run performs tasks, and what follows from them: one here, so that nothing waits for the turn of one goroutine more.
func (c *Client) run(tasks []*engine.Output) {
	deepen()
	for len(tasks) > 0 {
		c.start(tasks[1:])
		tasks = c.perform(tasks[0])
	}
}

// listen tells the core which events somebody listens to.
func (c *Client) listen() {
	if core := c.core.Load(); core.hears != c.heard && core.Hear(c.heard) == nil {
		core.hears = c.heard
	}
}

// poll fetches all there is.
func (c *Client) poll(now engine.Now) {
	for again := true; ; {
		asked := c.core.Load()
		idleUntil, err := asked.PollAll(now, &c.outputs)
		if panicked(err) && again {
			c.replaceHeld(asked, err)
			again = false
			continue
		}
		if err != nil {
			return
		}
		answered := false
		for n := range c.outputs.All {
			answered = c.take(&c.outputs.All[n]) || answered
		}
		c.outputs.Reset()
		if !answered {
			c.arm(idleUntil)
			return
		}
	}
}

// take does what an output asks for; whether that was a task, and is answered.
func (c *Client) take(o *engine.Output) bool {
	switch o.Kind {
	case engine.OutputLease:
		c.deliver(o)
	case engine.OutputEvent:
		c.events.push(event{level: o.Level, json: o.Event})
	case engine.OutputCallsChanged:
		c.routes.Store(nil)
	default:
		if c.atOnce(o) {
			return true
		}
		task := *o
		c.ready = append(c.ready, &task)
	}
	return false
}

// arm sees to it that there is a turn at this time. A timer that goes off earlier stays: it sets the next one.
func (c *Client) arm(at uint64) {
	if c.closed || at >= c.wakeAt {
		return
	}
	c.disarm()
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
	tasks, _ := c.finish(nil)
	c.run(tasks)
}

// deliver passes on what has become of a token.
func (c *Client) deliver(o *engine.Output) {
	cell := c.cell(owner{o.Target, o.Subject})
	switch o.State {
	case engine.LeaseReady:
		lease := c.newLease(o.Lease)
		if !c.closed {
			cell.lease.Store(lease)
		}
		cell.wake(news{lease: lease})
	case engine.LeaseOnce:
		cell.lease.Store(nil)
		cell.wake(news{lease: c.newLease(o.Lease)})
	case engine.LeaseCleared:
		cell.lease.Store(nil)
		if o.Subject != "" {
			c.users.Delete(owner{o.Target, o.Subject})
			cell.wake(news{})
		}
	case engine.LeaseFailed:
		cell.wake(news{err: c.failure(o.Failure)})
	}
}
