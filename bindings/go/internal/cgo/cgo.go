//go:build svcauth_cgo

// Package cgo is the engine that links libsvcauth, as pkg-config finds it.
package cgo

/*
#cgo pkg-config: svcauth
#cgo noescape svcauth_client_new
#cgo nocallback svcauth_client_new
#cgo noescape svcauth_client_token
#cgo nocallback svcauth_client_token
#cgo noescape svcauth_client_complete_response
#cgo nocallback svcauth_client_complete_response
#cgo noescape svcauth_client_complete_bytes
#cgo nocallback svcauth_client_complete_bytes
#cgo noescape poll_all
#cgo nocallback poll_all
#cgo noescape svcauth_text_free
#cgo nocallback svcauth_text_free
#cgo noescape read_decision
#cgo nocallback read_decision
#cgo noescape read_lease
#cgo nocallback read_lease
#cgo noescape svcauth_lease_scope
#cgo nocallback svcauth_lease_scope
#cgo noescape svcauth_text_get
#cgo nocallback svcauth_text_get
#include "calls.h"
*/
import "C"

import (
	"runtime"
	"sync"
	"unsafe"

	_ "github.com/openchami/svcauth-go/internal/cgo/install_libsvcauth_and_set_PKG_CONFIG_PATH"
	"github.com/openchami/svcauth-go/internal/engine"
)

// Library is the engine.
var Library engine.Library = library{}

type library struct{}

func (library) Name() string { return "cgo" }

func (library) Versions() (string, uint32) {
	var t C.text
	C.svcauth_version(&t.at, &t.len)
	return str(t), uint32(C.svcauth_abi_version())
}

func (library) New(config []byte, capabilities uint32, seed uint64, now engine.Now) (engine.Client, error) {
	c := &client{}
	var object *C.svcauth_error
	result := C.svcauth_client_new((*C.char)(unsafe.Pointer(unsafe.SliceData(config))), C.size_t(len(config)), C.uint32_t(capabilities),
		C.uint64_t(seed), C.uint64_t(now.Mono), C.uint64_t(now.Wall), &c.handle, &object)
	if result != C.SVCAUTH_RESULT_OK {
		return nil, failed(result, object)
	}
	return c, nil
}

// client holds its lock for reading during each call, and for writing while it is freed.
type client struct {
	mutex  sync.RWMutex
	handle *C.svcauth_client
}

func (c *client) Free() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	C.svcauth_client_free(c.handle)
	c.handle = nil
}

func (c *client) Target(name string) (uint32, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var target C.uint32_t
	var object *C.svcauth_error
	p, n := chars(name)
	result := C.svcauth_client_target(c.handle, p, n, &target, &object)
	return uint32(target), failed(result, object)
}

func (c *client) Token(target uint32, now engine.Now) (*engine.Lease, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var state C.svcauth_token_state
	var handle *C.svcauth_lease
	var object *C.svcauth_error
	result := C.svcauth_client_token(c.handle, C.uint32_t(target), C.uint64_t(now.Mono), C.uint64_t(now.Wall), &state, &handle, &object)
	return take(handle), failed(result, object)
}

// pinned is a call whose texts stay where they are while C reads them.
type pinned struct {
	made C.call
	pins runtime.Pinner
}

func pin(made *engine.Call) *pinned {
	p := &pinned{}
	p.made.flags = C.uint32_t(made.Flags)
	for _, text := range []struct {
		from string
		to   *C.text
	}{{made.URL, &p.made.url}, {made.UserToken, &p.made.user_token}, {made.RedirectedFrom, &p.made.redirected_from}} {
		if len(text.from) > 0 {
			data := unsafe.StringData(text.from)
			p.pins.Pin(data)
			text.to.at, text.to.len = (*C.char)(unsafe.Pointer(data)), C.size_t(len(text.from))
		}
	}
	return p
}

func (c *client) Decide(made *engine.Call) (engine.Decision, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	p := pin(made)
	defer p.pins.Unpin()
	var d C.decision
	var object *C.svcauth_error
	if result := C.read_decision(c.handle, &p.made, &d, &object); result != C.SVCAUTH_RESULT_OK {
		return engine.Decision{}, failed(result, object)
	}
	defer C.free_decision(&d)
	return engine.Decision{
		Kind:          engine.DecisionKind(d.kind),
		HasTarget:     bool(d.has_target),
		Target:        uint32(d.target),
		Authorization: str(d.authorization),
		Subject:       str(d.subject),
		Event:         bytes(d.event),
	}, nil
}

// owned copies a text and frees it.
func owned(handle *C.svcauth_text) []byte {
	if handle == nil {
		return nil
	}
	defer C.svcauth_text_free(handle)
	var t C.text
	C.svcauth_text_get(handle, &t.at, &t.len)
	return bytes(t)
}

func (c *client) Register(now engine.Now) (bool, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var state C.svcauth_registration_state
	var object *C.svcauth_error
	result := C.svcauth_client_register(c.handle, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &state, &object)
	return state == C.SVCAUTH_REGISTRATION_STATE_REGISTERED, failed(result, object)
}

func (c *client) Registration() ([]byte, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var text *C.svcauth_text
	var object *C.svcauth_error
	result := C.svcauth_client_registration(c.handle, &text, &object)
	return owned(text), failed(result, object)
}

func (c *client) Settings() ([]byte, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var text *C.svcauth_text
	var object *C.svcauth_error
	result := C.svcauth_client_settings(c.handle, &text, &object)
	return owned(text), failed(result, object)
}

func (c *client) Health(target uint32) ([]byte, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var text *C.svcauth_text
	var object *C.svcauth_error
	result := C.svcauth_client_health(c.handle, C.uint32_t(target), &text, &object)
	return owned(text), failed(result, object)
}

func (c *client) TokenFor(made *engine.Call, now engine.Now) (*engine.Lease, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	p := pin(made)
	defer p.pins.Unpin()
	var state C.svcauth_token_state
	var handle *C.svcauth_lease
	var object *C.svcauth_error
	result := C.token_for(c.handle, &p.made, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &state, &handle, &object)
	return take(handle), failed(result, object)
}

func (c *client) Answered(made *engine.Call, answer *engine.Answer) (engine.Answered, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	p := pin(made)
	defer p.pins.Unpin()
	var what C.svcauth_answered
	var object *C.svcauth_error
	f, n := chars(answer.Fields)
	result := C.answered(c.handle, &p.made, C.uint32_t(answer.Status), f, n, C.svcauth_replay(answer.Replay), &what, &object)
	return engine.Answered(what), failed(result, object)
}

func (c *client) Reject(made *engine.Call, id uint64, replay engine.Replay, now engine.Now) (engine.Rejection, *engine.Lease, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	p := pin(made)
	defer p.pins.Unpin()
	var what C.svcauth_rejection
	var handle *C.svcauth_lease
	var object *C.svcauth_error
	result := C.reject(c.handle, &p.made, C.uint64_t(id), C.svcauth_replay(replay), C.uint64_t(now.Mono), C.uint64_t(now.Wall), &what, &handle, &object)
	return engine.Rejection(what), take(handle), failed(result, object)
}

func (c *client) Adopt(target uint32, record []byte, clock engine.RecordClock, now engine.Now) (bool, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var what C.svcauth_adoption
	var object *C.svcauth_error
	p, n := chars(record)
	result := C.svcauth_client_adopt(c.handle, C.uint32_t(target), p, n, C.svcauth_record_clock(clock), C.uint64_t(now.Mono), C.uint64_t(now.Wall), &what, &object)
	return what == C.SVCAUTH_ADOPTION_ADOPTED, failed(result, object)
}

func (c *client) SecretsChanged(now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	return failed(C.svcauth_client_secrets_changed(c.handle, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object), object)
}

func (c *client) Stats() (engine.Stats, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var s C.svcauth_stats
	var object *C.svcauth_error
	result := C.svcauth_client_stats(c.handle, &s, &object)
	return engine.Stats{
		Requests:        uint64(s.requests),
		TokenRequests:   uint64(s.token_requests),
		TokensReceived:  uint64(s.tokens_received),
		Failures:        uint64(s.failures),
		Rejections:      uint64(s.rejections),
		TasksOverdue:    uint64(s.tasks_overdue),
		OutcomesIgnored: uint64(s.outcomes_ignored),
		EventsDropped:   uint64(s.events_dropped),
	}, failed(result, object)
}

func (c *client) CompleteResponse(task uint64, answer *engine.Answer, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	p, n := chars(answer.Fields)
	b, size := octets(answer.Body)
	result := C.svcauth_client_complete_response(c.handle, C.uint64_t(task), C.uint32_t(answer.Status), p, n, b, size,
		C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteSendFailed(task uint64, failure engine.SendFailure, detail string, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	p, n := chars(detail)
	result := C.svcauth_client_complete_send_failed(c.handle, C.uint64_t(task), C.svcauth_send_failure(failure), p, n,
		C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteBytes(task uint64, value []byte, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	b, size := octets(value)
	result := C.svcauth_client_complete_bytes(c.handle, C.uint64_t(task), b, size, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteRecord(task uint64, value []byte, version uint64, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	b, size := octets(value)
	result := C.svcauth_client_complete_record(c.handle, C.uint64_t(task), b, size, C.uint64_t(version),
		C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteStore(task uint64, outcome engine.StoreOutcome, number uint64, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	result := C.svcauth_client_complete_store(c.handle, C.uint64_t(task), C.svcauth_store_outcome(outcome), C.uint64_t(number),
		C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteFailed(task uint64, detail string, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	p, n := chars(detail)
	result := C.svcauth_client_complete_failed(c.handle, C.uint64_t(task), p, n, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) CompleteUnsupported(task uint64, now engine.Now) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	result := C.svcauth_client_complete_unsupported(c.handle, C.uint64_t(task), C.uint64_t(now.Mono), C.uint64_t(now.Wall), &object)
	return failed(result, object)
}

func (c *client) Subject(token string) (string, error) {
	return library{}.Subject(token), nil
}

func (library) Subject(token string) string {
	var text *C.svcauth_text
	p, n := chars(token)
	if C.svcauth_token_subject(p, n, &text, nil) != C.SVCAUTH_RESULT_OK {
		return ""
	}
	return string(owned(text))
}

func (c *client) Hear(least engine.Level) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	return failed(C.svcauth_client_hear(c.handle, C.svcauth_event_level(least), &object), object)
}

func (c *client) PollAll(now engine.Now, outputs *engine.Outputs) (uint64, error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var from C.outputs
	var object *C.svcauth_error
	if result := C.poll_all(c.handle, C.uint64_t(now.Mono), C.uint64_t(now.Wall), &from, &object); result != C.SVCAUTH_RESULT_OK {
		return 0, failed(result, object)
	}
	if from.handle != nil {
		defer C.svcauth_text_free(from.handle)
		block := unsafe.Slice((*byte)(unsafe.Pointer(from.block.at)), int(from.block.len))
		outputs.Read(block, failureOf, task)
	}
	return uint64(from.idle_until), nil
}

func failureOf(handle uint64) *engine.Failure {
	return failure(C.error_of(C.uint64_t(handle)))
}

// task reads a task that comes as an object, and frees it.
func task(kind engine.OutputKind, handle uint64) engine.Output {
	var from C.output
	object := C.output_of(C.uint64_t(handle))
	defer C.svcauth_output_free(object)
	C.read_output(object, &from)
	o := engine.Output{Kind: kind, Task: uint64(from.task.id), Deadline: uint64(from.task.deadline_ms)}
	switch o.Kind {
	case engine.OutputReadSecret:
		o.SecretKind, o.Secret = engine.SecretKind(from.secret_kind), str(from.secret)
	case engine.OutputRandom:
		o.Random = uint64(from.random)
	case engine.OutputStore:
		o.Operation, o.Key, o.Value = engine.StoreOp(from.store.operation), str(from.key), bytes(from.value)
		o.Version, o.TTL, o.Fence = uint64(from.store.version), uint64(from.store.ttl_ms), uint64(from.store.fence)
	}
	return o
}

// failed makes an error of a result and its error object, which it frees.
func failed(result C.svcauth_result, object *C.svcauth_error) error {
	switch {
	case result == C.SVCAUTH_RESULT_OK:
		return nil
	case object == nil:
		return engine.Unnamed(uint32(result))
	}
	return failure(object)
}

func failure(object *C.svcauth_error) *engine.Failure {
	defer C.svcauth_error_free(object)
	var f C.failure
	C.read_failure(object, &f)
	number := func(value C.uint64_t, known C.bool) int64 {
		if !known {
			return -1
		}
		return int64(value)
	}
	return &engine.Failure{
		Result:           uint32(f.info.code),
		Code:             str(f.code),
		Display:          str(f.display),
		Message:          str(f.message),
		Member:           str(f.member),
		OAuthError:       str(f.oauth_error),
		OAuthDescription: str(f.oauth_description),
		Challenge:        str(f.challenge),
		Status:           int(f.info.http_status),
		Offset:           number(f.info.offset, f.info.has_offset),
		RetryAfterMS:     number(f.info.retry_after_ms, f.info.has_retry_after),
		RetryAtMS:        number(f.info.retry_at_ms, f.info.has_retry_at),
	}
}

// take copies a lease and gives its reference back.
func take(handle *C.svcauth_lease) *engine.Lease {
	if handle == nil {
		return nil
	}
	defer C.svcauth_lease_release(handle)
	var from C.lease
	C.read_lease(handle, &from)
	l := &engine.Lease{
		ClientID:      str(from.client_id),
		RefreshAt:     uint64(from.info.refresh_at_ms),
		AskAt:         uint64(from.info.ask_at_ms),
		ServeUntil:    uint64(from.info.serve_until_ms),
		ExpiresAt:     uint64(from.info.expires_at_ms),
		ExpiresAtWall: uint64(from.info.expires_at_wall_ms),
	}
	l.Authorized(str(from.authorization))
	if from.info.scopes > 0 {
		l.Scopes = make([]string, from.info.scopes)
		for n := range l.Scopes {
			var scope C.text
			C.svcauth_lease_scope(handle, C.uint32_t(n), &scope.at, &scope.len)
			l.Scopes[n] = str(scope)
		}
	}
	return l
}

func str(t C.text) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(t.at)), int(t.len)))
}

func bytes(t C.text) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(t.at)), int(t.len))...)
}

func chars[T string | []byte](s T) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(string(s)))), C.size_t(len(s))
}

func octets(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}
