package svcauth

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// storeStep is an operation, and what it answers.
type storeStep struct {
	by      int // the store that does it: two share the file
	does    engine.Output
	outcome engine.StoreOutcome
	number  uint64
	value   string
	fails   string
}

func get(by int, version uint64, value string) storeStep {
	return storeStep{by: by, does: engine.Output{Operation: engine.StoreGet, Key: "k"}, number: version, value: value}
}

func put(by int, version uint64, value string, outcome engine.StoreOutcome, number uint64) storeStep {
	return storeStep{by, engine.Output{Operation: engine.StorePut, Key: "k", Version: version, Value: []byte(value)}, outcome, number, "", ""}
}

func lock(by int, outcome engine.StoreOutcome, number uint64) storeStep {
	return storeStep{by, engine.Output{Operation: engine.StoreLock, Key: "k", TTL: 3_600_000}, outcome, number, "", ""}
}

func unlock(by int, fence uint64) storeStep {
	return storeStep{by, engine.Output{Operation: engine.StoreUnlock, Key: "k", Fence: fence}, engine.StoreDone, 0, "", ""}
}

func failing(does storeStep, with string) storeStep { does.fails = with; return does }

// any stands for a number that depends on the clock.
const anyNumber = 1 << 40

func TestTheStoreKeepsWhatWasPutAndLetsOneIn(t *testing.T) {
	now := uint64(time.Now().UnixMilli())
	for name, row := range map[string]struct {
		file  string // as it is before; empty: absent
		mode  fs.FileMode
		steps []storeStep
		after string // a text in the file then
	}{
		"records": {"", 0, []storeStep{
			get(0, 0, ""), put(0, 0, "one", engine.StoreStored, 1), get(1, 1, "one"),
			put(1, 0, "two", engine.StoreConflict, 0), put(1, 1, "two", engine.StoreStored, 2), get(0, 2, "two"),
			put(0, 2, "\xff\x00", engine.StoreStored, 3), get(1, 3, "\xff\x00"),
		}, `"format":1`},
		"locks": {"", 0, []storeStep{
			lock(0, engine.StoreLocked, 1), lock(1, engine.StoreHeld, anyNumber), lock(0, engine.StoreLocked, 2),
			unlock(1, 1), lock(1, engine.StoreHeld, anyNumber), unlock(0, 2), lock(1, engine.StoreLocked, 3),
		}, `"owner"`},
		"a lock that has ended": {fmt.Sprintf(`{"format":1,"last":6,"locks":{"k":{"owner":"x","fence":5,"taken_ms":%d,"ttl_ms":1000}}}`, now-2000), 0o600,
			[]storeStep{lock(0, engine.StoreLocked, 7)}, ""},
		"a lock of another process": {fmt.Sprintf(`{"format":1,"last":6,"locks":{"k":{"owner":"x","fence":5,"taken_ms":%d,"ttl_ms":3600000}}}`, now), 0o600,
			[]storeStep{lock(0, engine.StoreHeld, anyNumber)}, ""},
		"a lock from the future": {fmt.Sprintf(`{"format":1,"last":6,"locks":{"k":{"owner":"x","fence":5,"taken_ms":%d,"ttl_ms":3600000}}}`, now+60_000), 0o600,
			[]storeStep{lock(0, engine.StoreLocked, 7)}, ""},
		"a damaged lock counts for nothing": {`{"format":1,"last":6,"locks":{"k":7}}`, 0o600, []storeStep{lock(0, engine.StoreLocked, 7)}, ""},
		"what is unknown stays": {`{"format":1,"last":6,"more":{"a":[1]},"records":{"other":{"version":2,"value":"eA","note":"n"}}}`, 0o600,
			[]storeStep{put(0, 0, "x", engine.StoreStored, 7)}, `"more":{"a":[1]},"records":{"k":{"version":7,"value":"eA"},"other":{"version":2,"value":"eA","note":"n"}}`},
		"no JSON":            {`{"format":1`, 0o600, []storeStep{failing(get(0, 0, ""), "damaged"), failing(put(0, 0, "x", 0, 0), "damaged")}, `{"format":1`},
		"a record of no use": {`{"format":1,"records":{"k":{"version":1,"value":"*"}}}`, 0o600, []storeStep{failing(get(0, 0, ""), "damaged")}, ""},
		"another format":     {`{"format":2}`, 0o600, []storeStep{failing(get(0, 0, ""), "format 2"), failing(lock(0, 0, 0), "format 2")}, `{"format":2}`},
		"others may read it": {`{"format":1}`, 0o640, []storeStep{failing(get(0, 0, ""), "chmod 600"), failing(put(0, 0, "x", 0, 0), "chmod 600")}, `{"format":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			if row.file != "" {
				if err := os.WriteFile(path, []byte(row.file), row.mode); err != nil {
					t.Fatal(err)
				}
			}
			stores := []*store{newStore(path, time.Second), newStore(path, time.Second)}
			for i, step := range row.steps {
				got := stores[step.by].perform(t.Context(), &step.does)
				if step.fails != "" {
					if got.err == nil || !strings.Contains(got.err.Error(), step.fails) {
						t.Errorf("step %d: %v", i+1, got.err)
					}
					continue
				}
				if got.err != nil || got.outcome != step.outcome || step.number != anyNumber && got.number != step.number || string(got.value) != step.value {
					t.Errorf("step %d: %+v", i+1, got)
				}
				if step.number == anyNumber && (got.number == 0 || got.number > 3_600_000) {
					t.Errorf("step %d: %d ms left", i+1, got.number)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), row.after) {
				t.Errorf("%v, %s", err, text)
			}
			if info, err := os.Stat(path); err != nil || row.mode == 0 && info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", err, info.Mode())
			}
		})
	}
}

func TestNoWriteOfManyIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	// Left by a process that was killed.
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	const writers, writes = 8, 10
	var all sync.WaitGroup
	for range writers {
		all.Add(1)
		go func() {
			defer all.Done()
			s := newStore(path, time.Minute)
			for done := 0; done < writes; {
				got := s.get("k")
				value := append(bytes.Clone(got.value), 'x')
				put := s.perform(context.Background(), &engine.Output{Operation: engine.StorePut, Key: "k", Version: got.number, Value: value})
				if got.err != nil || put.err != nil {
					t.Errorf("%v, %v", got.err, put.err)
					return
				}
				if put.outcome == engine.StoreStored {
					done++
				}
			}
		}()
	}
	all.Wait()
	s := newStore(path, time.Second)
	if got := s.get("k"); len(got.value) != writers*writes || got.number != writers*writes {
		t.Errorf("%d of %d writes, version %d", len(got.value), writers*writes, got.number)
	}
}

func TestAProcessThatStopsWithTheLockStopsNobodyForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	guard, err := os.Create(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if taken, err := tryLock(guard); err != nil || !taken {
		t.Fatal(taken, err)
	}
	s := newStore(path, 30*time.Millisecond)
	got := s.perform(t.Context(), &engine.Output{Operation: engine.StoreLock, Key: "k", TTL: 1000})
	if got.err == nil || !strings.Contains(got.err.Error(), "another process") {
		t.Errorf("%+v", got)
	}
}

func TestWhereNothingCanBeWrittenTheAdviceSaysWhy(t *testing.T) {
	for path, advice := range map[string]string{
		filepath.Join(t.TempDir(), "none", "state.json"): "make the directory",
		filepath.Join("/proc", "state.json"):             "state file /proc/state.json",
	} {
		got := newStore(path, time.Second).perform(t.Context(), &engine.Output{Operation: engine.StorePut, Key: "k", Value: []byte("v")})
		if got.err == nil || !strings.Contains(got.err.Error(), advice) {
			t.Errorf("%s: %v", path, got.err)
		}
	}
}
