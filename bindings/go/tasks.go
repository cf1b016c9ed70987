package svcauth

import (
	"context"
	"crypto/rand"
	"runtime"
	"strings"

	"github.com/openchami/svcauth-go/internal/engine"
)

// atOnce does a task that takes no time; whether it was one. The mutex is held.
func (c *Client) atOnce(task *engine.Output) bool {
	switch {
	case task.Kind == engine.OutputRandom:
		value := make([]byte, task.Random)
		_, _ = rand.Read(value) // does not fail
		_ = c.core.Load().CompleteBytes(task.Task, value, c.now())
		clear(value)
	case task.Kind == engine.OutputReadSecret && task.SecretKind == engine.SecretEnvironment:
		value, err := fromEnvironment(task.Secret)
		completeBytes(c.core.Load(), c.now(), task.Task, value, err)
	case task.Kind == engine.OutputOther:
		_ = c.core.Load().CompleteUnsupported(task.Task, c.now())
	default:
		return false
	}
	return true
}

// perform does a task and answers it; it gives the tasks that follow.
func (c *Client) perform(task *engine.Output) []*engine.Output {
	defer c.work.Done()
	if task.Kind == engine.OutputSend {
		defer clear(task.Body)
		// Its timeout ends before its deadline.
		answer, failure, detail := c.sender.send(c.ctx, task)
		return c.complete(func(core engine.Client, now engine.Now) error {
			if answer == nil {
				return core.CompleteSendFailed(task.Task, failure, detail, now)
			}
			defer clear(answer.Body)
			return core.CompleteResponse(task.Task, answer, now)
		})
	}
	ctx, cancel := context.WithDeadline(c.ctx, c.started.Add(milliseconds(task.Deadline)))
	defer cancel()
	if task.Kind == engine.OutputStore {
		defer clear(task.Value)
		answer := c.store.perform(ctx, task)
		return c.complete(func(core engine.Client, now engine.Now) error {
			defer clear(answer.value)
			return answer.complete(core, now, task.Task)
		})
	}
	value, err := c.secrets.read(ctx, task.SecretKind, task.Secret)
	return c.complete(func(core engine.Client, now engine.Now) error {
		completeBytes(core, now, task.Task, value, err)
		return nil
	})
}

// deepen makes a new goroutine's stack as large as a call into the core takes, while there is nothing on it. It would
// grow there in several steps otherwise, and each copies what is there.
//
//go:noinline
func deepen() {
	var room [stackBytes]byte
	runtime.KeepAlive(&room)
}

const stackBytes = 12 << 10

func completeBytes(core engine.Client, now engine.Now, task uint64, value []byte, err error) {
	if err != nil {
		_ = core.CompleteFailed(task, plain(err.Error()), now)
		return
	}
	_ = core.CompleteBytes(task, value, now)
	clear(value)
}

// plain is text that the core takes.
func plain(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
