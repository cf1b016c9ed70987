package svcauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/openchami/svcauth-go/internal/engine"
)

// secrets are read anew each time the core asks, so that a change is seen.
type secrets struct {
	function SecretFunc
	busy     sync.Map // the names that the function is busy with
}

func (s *secrets) read(ctx context.Context, kind engine.SecretKind, name string) ([]byte, error) {
	switch kind {
	case engine.SecretFile:
		return fromFile(name)
	case engine.SecretEnvironment:
		return fromEnvironment(name)
	case engine.SecretCallback:
		return s.ask(ctx, name)
	}
	return nil, errors.New("this kind of reference is not known here")
}

// ask does not call a function again that hangs: it would take one goroutine after another.
func (s *secrets) ask(ctx context.Context, name string) ([]byte, error) {
	if s.function == nil {
		return nil, errors.New("the program gave no function for secrets")
	}
	if _, busy := s.busy.LoadOrStore(name, true); busy {
		return nil, errors.New("the program's function for secrets has not come back from the last call")
	}
	defer s.busy.Delete(name)
	secret, err := s.function(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("the program's function for secrets says: %w", err)
	}
	return []byte(secret), nil
}

func fromFile(path string) ([]byte, error) {
	const most = 64 << 10
	// A pipe is read once only, and opening a terminal would wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("it cannot be examined (%w)", cause(err))
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("it cannot be opened (%w)", cause(err))
	}
	defer file.Close()
	value := make([]byte, most+1)
	n, err := io.ReadFull(file, value)
	switch {
	case err == nil:
		clear(value)
		return nil, fmt.Errorf("it is larger than %d bytes, which is no secret", most)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return value[:n], nil
	}
	clear(value)
	return nil, fmt.Errorf("it cannot be read (%w)", cause(err))
}

// cause leaves out the path, which the core names anyway.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func fromEnvironment(name string) ([]byte, error) {
	value, found := os.LookupEnv(name)
	if !found {
		return nil, errors.New("it is not set")
	}
	return []byte(value), nil
}
