package svcauth

import (
	"math"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// clock counts from when the client was opened.
type clock struct{ started time.Time }

func (c *clock) now() engine.Now {
	t := time.Now()
	return engine.Now{Mono: uint64(t.Sub(c.started).Milliseconds()), Wall: uint64(max(t.UnixMilli(), 0))}
}

// milliseconds are at most what a Duration can hold.
func milliseconds(ms uint64) time.Duration {
	return time.Duration(min(ms, uint64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}
