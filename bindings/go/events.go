package svcauth

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/openchami/svcauth-go/internal/engine"
)

// events wait here until they are told, one after the other and without any lock that a caller needs.
type events struct {
	telling atomic.Bool
	mutex   sync.Mutex
	waiting []event
}

type event struct {
	level engine.Level
	json  []byte
}

func (e *events) push(it event) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.waiting = append(e.waiting, it)
}

func (e *events) pop() (it event, ok bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if len(e.waiting) == 0 {
		e.waiting = nil
		return it, false
	}
	it, e.waiting = e.waiting[0], e.waiting[1:]
	return it, true
}

func (e *events) any() bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return len(e.waiting) > 0
}

// emit tells what waits, unless another goroutine is at it.
func (c *Client) emit() {
	for c.events.any() && c.events.telling.CompareAndSwap(false, true) {
		for {
			it, ok := c.events.pop()
			if !ok {
				break
			}
			c.tell(it)
		}
		c.events.telling.Store(false)
	}
}

const message = "svcauth"

// least is the level from which on somebody may listen to events.
func (c *Client) least() engine.Level {
	if c.logger.Enabled(context.Background(), slog.LevelInfo) {
		return engine.LevelInfo
	}
	return engine.LevelWarn
}

func (c *Client) tell(it event) {
	level := levelOf(it.level)
	ctx := context.Background()
	if !c.logger.Enabled(ctx, level) {
		return
	}
	c.logger.LogAttrs(ctx, level, message, attributes(it.json)...)
}

func levelOf(level engine.Level) slog.Level {
	switch level {
	case engine.LevelWarn:
		return slog.LevelWarn
	case engine.LevelError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// attributes are the members of a JSON object, in its order; those that are null are left out.
func attributes(object []byte) []slog.Attr {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil {
		return nil
	}
	var found []slog.Attr
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return found
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return found
		}
		key, _ := name.(string)
		switch value[0] {
		case 'n':
			continue
		case '{':
			found = append(found, slog.Attr{Key: key, Value: slog.GroupValue(attributes(value)...)})
		default:
			var plain any
			_ = json.Unmarshal(value, &plain)
			found = append(found, slog.Any(key, plain))
		}
	}
	return found
}
