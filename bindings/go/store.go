package svcauth

import (
	"context"

	"github.com/openchami/svcauth-go/internal/engine"
)

// stored is how an operation on the store ended.
type stored struct {
	outcome engine.StoreOutcome // 0: a record, or a failure
	number  uint64              // of a record: its version
	value   []byte
	failed  string
}

func (s stored) complete(core engine.Client, now engine.Now, task uint64) error {
	switch {
	case s.failed != "":
		return core.CompleteFailed(task, plain(s.failed), now)
	case s.outcome == 0:
		return core.CompleteRecord(task, s.value, s.number, now)
	}
	return core.CompleteStore(task, s.outcome, s.number, now)
}

type store struct{}

func (s *store) perform(ctx context.Context, task *engine.Output) stored {
	return stored{failed: "unsupported"}
}
