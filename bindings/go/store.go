package svcauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// store is the durable store in a file, which any number of processes may share, those of the Rust client too:
//
//	{ "format": 1, "last": 7,
//	  "records": { "registration": { "version": 6, "value": "base64url" } },
//	  "locks": { "registration": { "owner": "4711-3f…", "fence": 7, "taken_ms": 1700000000000, "ttl_ms": 60000 } } }
//
// Each operation reads the file and, where it changes something, writes a new one beside it, syncs it and renames
// it: whoever is killed at whatever moment leaves the old file or the new one. An operation holds the system's lock
// on <file>.lock for these milliseconds only; the lock that the core takes for longer is an entry in the file that
// ends by itself.
type store struct {
	path string
	// owner tells this store's locks from those of others, in this process too.
	owner string
	// time is how long an operation waits for others.
	time time.Duration
}

const storeFormat = 1

func newStore(path string, time time.Duration) *store {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // does not fail
	return &store{path: path, owner: fmt.Sprintf("%d-%x", os.Getpid(), random), time: time}
}

// document is the file. What it does not know stays as it is.
type document struct {
	last    uint64
	members map[string]json.RawMessage
	records map[string]json.RawMessage
	locks   map[string]json.RawMessage
}

type storedRecord struct {
	Version uint64 `json:"version"`
	Value   string `json:"value"`
}

type storedLock struct {
	Owner   string `json:"owner"`
	Fence   uint64 `json:"fence"`
	TakenMS uint64 `json:"taken_ms"`
	TTLMS   uint64 `json:"ttl_ms"`
}

// stored is how an operation ended: with a record, an outcome, or a failure.
type stored struct {
	outcome engine.StoreOutcome // 0: a record
	number  uint64              // of a record: its version
	value   []byte
	err     error
}

func (s stored) complete(core engine.Client, now engine.Now, task uint64) error {
	switch {
	case s.err != nil:
		return core.CompleteFailed(task, plain(s.err.Error()), now)
	case s.outcome == 0:
		return core.CompleteRecord(task, s.value, s.number, now)
	}
	return core.CompleteStore(task, s.outcome, s.number, now)
}

func (s *store) perform(ctx context.Context, o *engine.Output) stored {
	if s == nil {
		return stored{err: errors.New("the program has no durable store")}
	}
	switch o.Operation {
	case engine.StoreGet:
		return s.get(o.Key) // needs no lock: the file is always whole
	case engine.StorePut:
		return s.alone(ctx, func(d *document) stored { return s.put(d, o.Key, o.Version, o.Value) })
	case engine.StoreLock:
		return s.alone(ctx, func(d *document) stored { return s.lock(d, o.Key, o.TTL) })
	case engine.StoreUnlock:
		return s.alone(ctx, func(d *document) stored { return s.unlock(d, o.Key, o.Fence) })
	}
	return stored{err: errors.New("this operation is not known here")}
}

func (s *store) get(key string) stored {
	d, err := s.read()
	if err != nil {
		return stored{err: err}
	}
	text, ok := d.records[key]
	if !ok {
		return stored{}
	}
	record, value, err := s.record(text)
	return stored{value: value, number: record.Version, err: err}
}

func (s *store) record(text json.RawMessage) (r storedRecord, value []byte, err error) {
	if json.Unmarshal(text, &r) != nil || r.Version == 0 {
		return r, nil, s.damaged()
	}
	if value, err = base64.RawURLEncoding.DecodeString(r.Value); err != nil {
		return r, nil, s.damaged()
	}
	return r, value, nil
}

func (s *store) put(d *document, key string, version uint64, value []byte) stored {
	before := uint64(0)
	if text, ok := d.records[key]; ok {
		record, held, err := s.record(text)
		clear(held)
		if err != nil {
			return stored{err: err}
		}
		before = record.Version
	}
	if before != version {
		return stored{outcome: engine.StoreConflict}
	}
	record := storedRecord{Version: d.next(), Value: base64.RawURLEncoding.EncodeToString(value)}
	d.records[key], _ = json.Marshal(record)
	return stored{outcome: engine.StoreStored, number: record.Version, err: s.write(d)}
}

func (s *store) lock(d *document, key string, ttl uint64) stored {
	now := uint64(max(time.Now().UnixMilli(), 0))
	if text, ok := d.locks[key]; ok {
		var lock storedLock
		_ = json.Unmarshal(text, &lock) // what is damaged does not count
		if left := timeLeft(lock.TakenMS, lock.TTLMS, now); lock.Owner != s.owner && left > 0 {
			return stored{outcome: engine.StoreHeld, number: left}
		}
	}
	lock := storedLock{Owner: s.owner, Fence: d.next(), TakenMS: now, TTLMS: ttl}
	d.locks[key], _ = json.Marshal(lock)
	return stored{outcome: engine.StoreLocked, number: lock.Fence, err: s.write(d)}
}

func (s *store) unlock(d *document, key string, fence uint64) stored {
	var lock storedLock
	if text, ok := d.locks[key]; ok && json.Unmarshal(text, &lock) == nil && lock.Fence == fence {
		delete(d.locks, key)
		if err := s.write(d); err != nil {
			return stored{err: err}
		}
	}
	return stored{outcome: engine.StoreDone}
}

// timeLeft is how long a lock still lasts. One from the future was taken before the clock was set back: nobody
// knows how long ago, and it does not count.
func timeLeft(taken, ttl, now uint64) uint64 {
	const skew = 5_000
	if taken > now+skew {
		return 0
	}
	end := taken + ttl
	if end < taken {
		end = engine.Never
	}
	return max(end, now) - now
}

// alone runs an operation while no other process and no other goroutine is at it.
func (s *store) alone(ctx context.Context, operation func(*document) stored) stored {
	path := s.path + ".lock"
	guard, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return stored{err: s.cannot("be locked", path, err)}
	}
	defer guard.Close() // the lock ends with it
	// A process that was stopped while it had the lock must not stop this one for ever. The client's end does not
	// count: what is to be saved is saved.
	deadline := time.Now().Add(s.time)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		taken, err := tryLock(guard)
		if err != nil {
			return stored{err: s.cannot("be locked", path, err)}
		}
		if taken {
			break
		}
		left := time.Until(deadline)
		if left <= 0 {
			return stored{err: fmt.Errorf("%s is locked by another process that does not go on", s.path)}
		}
		time.Sleep(min(pause, left))
	}
	d, err := s.read()
	if err != nil {
		return stored{err: err}
	}
	return operation(d)
}

func (s *store) read() (*document, error) {
	d := &document{
		members: map[string]json.RawMessage{"format": json.RawMessage("1")},
		records: map[string]json.RawMessage{}, locks: map[string]json.RawMessage{},
	}
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	} else if err != nil {
		return nil, s.cannot("be read", s.path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, s.cannot("be read", s.path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s holds secrets and others may read it (mode %04o); say: chmod 600 %s", s.path, mode, s.path)
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return nil, s.cannot("be read", s.path, err)
	}
	defer clear(text)
	if json.Unmarshal(text, &d.members) != nil {
		return nil, s.damaged()
	}
	var format uint64
	if json.Unmarshal(d.members["format"], &format) != nil {
		return nil, s.damaged()
	}
	if format != storeFormat {
		return nil, fmt.Errorf("%s has format %d, written by another version of svcauth; this one knows format %d", s.path, format, storeFormat)
	}
	for name, into := range map[string]any{"last": &d.last, "records": &d.records, "locks": &d.locks} {
		if text, ok := d.members[name]; ok && json.Unmarshal(text, into) != nil {
			return nil, s.damaged()
		}
	}
	return d, nil
}

// next draws versions and fences from one counter, so that none comes twice.
func (d *document) next() uint64 {
	d.last++
	return d.last
}

func (s *store) write(d *document) error {
	d.members["last"], _ = json.Marshal(d.last)
	d.members["records"], _ = json.Marshal(d.records)
	d.members["locks"], _ = json.Marshal(d.locks)
	text, err := json.Marshal(d.members)
	if err != nil {
		return s.damaged()
	}
	defer clear(text)
	if err := s.replace(text); err != nil {
		return s.cannot("be written", s.path, err)
	}
	return nil
}

func (s *store) replace(text []byte) error {
	beside := s.path + ".new"
	// Left by a process that was killed; and nobody's link is followed.
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(beside, s.path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (s *store) damaged() error {
	return fmt.Errorf("%s is no state file of svcauth, or damaged; move it away, then the client starts anew", s.path)
}

func (s *store) cannot(what, path string, err error) error {
	advice, directory := "see to the file system", filepath.Dir(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "make the directory " + directory
	case errors.Is(err, fs.ErrPermission):
		advice = "make it and the directory " + directory + " belong to the user of this process"
	}
	return fmt.Errorf("the state file %s cannot %s (%w); %s", path, what, cause(err), advice)
}
