//go:build !svcauth_cgo

// Package wasm is the engine that needs no C: libsvcauth compiled to wasm and translated to Go.
package wasm

import (
	"fmt"
	"sync"

	"github.com/openchami/svcauth-go/internal/engine"
)

// Library is the engine.
var Library engine.Library = library{}

type library struct{}

func (library) Name() string { return "wasm" }

func (library) Versions() (string, uint32) {
	i := newInstance()
	i.module.Xsvcauth_version(i.slot(textSlot), i.slot(lenSlot))
	return string(i.bytes(textSlot, lenSlot)), uint32(i.module.Xsvcauth_abi_version())
}

func (library) New(config []byte, capabilities uint32, seed uint64, now engine.Now) (made engine.Client, err error) {
	c := &client{}
	defer c.leave(&err)
	c.start(len(config))
	p, n := put(c.instance, config)
	result := c.module.Xsvcauth_client_new(p, n, int32(capabilities), int64(seed), int64(now.Mono), int64(now.Wall), c.slot(outSlot), c.slot(errorSlot))
	if result != 0 {
		defer c.free()
		return nil, c.failed(result)
	}
	c.handle = int32(c.u32(outSlot))
	return c, nil
}

type client struct{ alone }

// alone is an object of the library with an instance of its own, so that a panic ends this one and no other.
type alone struct {
	mutex sync.Mutex
	*instance
	handle int32
	ended  *engine.Failure // why the object can only be freed
}

// start makes the instance, for a call with texts of so many bytes in all.
func (c *alone) start(input int) {
	c.mutex.Lock()
	c.instance = newInstance()
	c.room(input)
}

// enter begins a call with texts of so many bytes in all.
func (c *alone) enter(input int) error {
	c.mutex.Lock()
	if c.ended != nil {
		return c.ended
	}
	c.room(input)
	return nil
}

// leave ends a call; a trap becomes a failure. To be deferred.
func (c *alone) leave(err *error) {
	defer c.mutex.Unlock()
	if trap := recover(); trap != nil {
		c.ended = engine.Panic(c.place())
		c.end()
		*err = c.ended
		return
	}
	if c.ended == nil {
		c.tidy()
	}
}

// place tells where the library panicked; what the trap itself says may hold anything.
func (c *alone) place() (place string) {
	defer func() { _ = recover() }()
	if c.instance != nil && c.panicText != 0 {
		place = c.cString(c.panicText)
	}
	return place
}

func (c *alone) end() {
	if c.instance != nil {
		c.wipe()
		c.instance = nil
	}
}

func (c *alone) Free() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.free()
}

func (c *alone) free() {
	if c.ended == nil {
		c.ended = engine.Unnamed(108)
		c.ended.Code, c.ended.Display = "closed", "closed: the client was closed"
		c.end()
	}
}

func (c *client) Target(name string) (target uint32, err error) {
	defer c.leave(&err)
	if err := c.enter(len(name)); err != nil {
		return 0, err
	}
	p, n := put(c.instance, name)
	if result := c.module.Xsvcauth_client_target(c.handle, p, n, c.slot(wordSlot), c.slot(errorSlot)); result != 0 {
		return 0, c.failed(result)
	}
	return c.u32(wordSlot), nil
}

func (c *client) Token(target uint32, now engine.Now) (lease *engine.Lease, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return nil, err
	}
	result := c.module.Xsvcauth_client_token(c.handle, int32(target), int64(now.Mono), int64(now.Wall), c.slot(wordSlot), c.slot(outSlot), c.slot(errorSlot))
	if result != 0 {
		return nil, c.failed(result)
	}
	return c.lease(c.u32(outSlot)), nil
}

// decide leaves a decision to be freed.
func (c *client) decide(call *engine.Call) (int32, error) {
	u, ulen := put(c.instance, call.URL)
	t, tlen := put(c.instance, call.UserToken)
	f, flen := put(c.instance, call.RedirectedFrom)
	if result := c.module.Xsvcauth_client_decide(c.handle, u, ulen, int32(call.Flags), t, tlen, f, flen, c.slot(outSlot), c.slot(errorSlot)); result != 0 {
		return 0, c.failed(result)
	}
	return int32(c.u32(outSlot)), nil
}

func size(call *engine.Call) int {
	return len(call.URL) + len(call.UserToken) + len(call.RedirectedFrom)
}

func (c *client) Decide(call *engine.Call) (decision engine.Decision, err error) {
	defer c.leave(&err)
	if err := c.enter(size(call)); err != nil {
		return decision, err
	}
	handle, err := c.decide(call)
	if err != nil {
		return decision, err
	}
	c.module.Xsvcauth_decision_get_kind(handle, c.slot(wordSlot))
	decision.Kind = engine.DecisionKind(c.u32(wordSlot))
	if c.module.Xsvcauth_decision_target(handle, c.slot(wordSlot)) == 0 {
		decision.HasTarget, decision.Target = true, c.u32(wordSlot)
	}
	switch decision.Kind {
	case engine.CarriesUserToken:
		decision.Authorization = c.decisionText(handle, 3)
	case engine.CarriesLease:
		decision.Subject = c.decisionText(handle, 2)
	}
	// The URL stands where decide put it.
	const first = 1
	result := c.module.Xsvcauth_decision_call_event(handle, 0, 0, 0, int32(c.input), int32(len(call.URL)), 0, first, c.slot(outSlot), c.slot(errorSlot))
	if result != 0 {
		err = c.failed(result)
	} else {
		decision.Event = c.text()
	}
	c.module.Xsvcauth_decision_free(handle)
	return decision, err
}

// text copies the text whose handle was given, and frees it.
func (c *alone) text() []byte {
	handle := int32(c.u32(outSlot))
	if handle == 0 {
		return nil
	}
	c.module.Xsvcauth_text_get(handle, c.slot(textSlot), c.slot(lenSlot))
	copied := append([]byte(nil), c.bytes(textSlot, lenSlot)...)
	c.module.Xsvcauth_text_free(handle)
	return copied
}

func (c *client) Register(now engine.Now) (registered bool, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return false, err
	}
	result := c.module.Xsvcauth_client_register(c.handle, int64(now.Mono), int64(now.Wall), c.slot(wordSlot), c.slot(errorSlot))
	if result != 0 {
		return false, c.failed(result)
	}
	return c.u32(wordSlot) == 1, nil
}

func (c *client) Registration() (json []byte, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return nil, err
	}
	if result := c.module.Xsvcauth_client_registration(c.handle, c.slot(outSlot), c.slot(errorSlot)); result != 0 {
		return nil, c.failed(result)
	}
	return c.text(), nil
}

func (c *client) Settings() (json []byte, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return nil, err
	}
	if result := c.module.Xsvcauth_client_settings(c.handle, c.slot(outSlot), c.slot(errorSlot)); result != 0 {
		return nil, c.failed(result)
	}
	return c.text(), nil
}

func (c *client) Health(target uint32) (json []byte, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return nil, err
	}
	if result := c.module.Xsvcauth_client_health(c.handle, int32(target), c.slot(outSlot), c.slot(errorSlot)); result != 0 {
		return nil, c.failed(result)
	}
	return c.text(), nil
}

func (c *client) decisionText(handle, which int32) string {
	c.module.Xsvcauth_decision_get_text(handle, which, c.slot(textSlot), c.slot(lenSlot))
	return string(c.bytes(textSlot, lenSlot))
}

func (c *client) TokenFor(call *engine.Call, now engine.Now) (lease *engine.Lease, err error) {
	defer c.leave(&err)
	if err := c.enter(size(call)); err != nil {
		return nil, err
	}
	handle, err := c.decide(call)
	if err != nil {
		return nil, err
	}
	result := c.module.Xsvcauth_client_token_for(c.handle, handle, int64(now.Mono), int64(now.Wall), c.slot(wordSlot), c.slot(outSlot), c.slot(errorSlot))
	if result != 0 {
		err = c.failed(result)
	} else {
		lease = c.lease(c.u32(outSlot))
	}
	c.module.Xsvcauth_decision_free(handle)
	return lease, err
}

func (c *client) Answered(call *engine.Call, answer *engine.Answer) (what engine.Answered, err error) {
	defer c.leave(&err)
	if err := c.enter(size(call) + len(answer.Fields)); err != nil {
		return 0, err
	}
	handle, err := c.decide(call)
	if err != nil {
		return 0, err
	}
	p, n := put(c.instance, answer.Fields)
	result := c.module.Xsvcauth_client_answered(c.handle, handle, int32(answer.Status), p, n, int32(answer.Replay), c.slot(wordSlot), c.slot(errorSlot))
	if result != 0 {
		err = c.failed(result)
	} else {
		what = engine.Answered(c.u32(wordSlot))
	}
	c.module.Xsvcauth_decision_free(handle)
	return what, err
}

func (c *client) Reject(call *engine.Call, id uint64, replay engine.Replay, now engine.Now) (what engine.Rejection, lease *engine.Lease, err error) {
	defer c.leave(&err)
	if err := c.enter(size(call)); err != nil {
		return 0, nil, err
	}
	handle, err := c.decide(call)
	if err != nil {
		return 0, nil, err
	}
	result := c.module.Xsvcauth_client_reject(c.handle, handle, int64(id), int32(replay), int64(now.Mono), int64(now.Wall), c.slot(wordSlot), c.slot(outSlot), c.slot(errorSlot))
	if result != 0 {
		err = c.failed(result)
	} else {
		what, lease = engine.Rejection(c.u32(wordSlot)), c.lease(c.u32(outSlot))
	}
	c.module.Xsvcauth_decision_free(handle)
	return what, lease, err
}

func (c *client) Adopt(target uint32, record []byte, clock engine.RecordClock, now engine.Now) (adopted bool, err error) {
	defer c.leave(&err)
	if err := c.enter(len(record)); err != nil {
		return false, err
	}
	p, n := put(c.instance, record)
	result := c.module.Xsvcauth_client_adopt(c.handle, int32(target), p, n, int32(clock), int64(now.Mono), int64(now.Wall), c.slot(wordSlot), c.slot(errorSlot))
	if result != 0 {
		return false, c.failed(result)
	}
	return c.u32(wordSlot) == 1, nil
}

func (c *client) SecretsChanged(now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return err
	}
	return c.failed(c.module.Xsvcauth_client_secrets_changed(c.handle, int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) Stats() (stats engine.Stats, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return stats, err
	}
	if result := c.module.Xsvcauth_client_stats(c.handle, c.slot(infoSlot), c.slot(errorSlot)); result != 0 {
		return stats, c.failed(result)
	}
	return engine.Stats{
		Requests:        c.u64(infoSlot),
		TokenRequests:   c.u64(infoSlot + 8),
		TokensReceived:  c.u64(infoSlot + 16),
		Failures:        c.u64(infoSlot + 24),
		Rejections:      c.u64(infoSlot + 32),
		TasksOverdue:    c.u64(infoSlot + 40),
		OutcomesIgnored: c.u64(infoSlot + 48),
		EventsDropped:   c.u64(infoSlot + 56),
	}, nil
}

func (c *client) CompleteResponse(task uint64, answer *engine.Answer, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(len(answer.Fields) + len(answer.Body)); err != nil {
		return err
	}
	p, n := put(c.instance, answer.Fields)
	b, size := put(c.instance, answer.Body)
	return c.failed(c.module.Xsvcauth_client_complete_response(c.handle, int64(task), int32(answer.Status), p, n, b, size, int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteSendFailed(task uint64, failure engine.SendFailure, detail string, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(len(detail)); err != nil {
		return err
	}
	p, n := put(c.instance, detail)
	return c.failed(c.module.Xsvcauth_client_complete_send_failed(c.handle, int64(task), int32(failure), p, n, int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteBytes(task uint64, value []byte, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(len(value)); err != nil {
		return err
	}
	p, n := put(c.instance, value)
	return c.failed(c.module.Xsvcauth_client_complete_bytes(c.handle, int64(task), p, n, int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteRecord(task uint64, value []byte, version uint64, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(len(value)); err != nil {
		return err
	}
	p, n := put(c.instance, value)
	return c.failed(c.module.Xsvcauth_client_complete_record(c.handle, int64(task), p, n, int64(version), int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteStore(task uint64, outcome engine.StoreOutcome, number uint64, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return err
	}
	return c.failed(c.module.Xsvcauth_client_complete_store(c.handle, int64(task), int32(outcome), int64(number), int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteFailed(task uint64, detail string, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(len(detail)); err != nil {
		return err
	}
	p, n := put(c.instance, detail)
	return c.failed(c.module.Xsvcauth_client_complete_failed(c.handle, int64(task), p, n, int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

func (c *client) CompleteUnsupported(task uint64, now engine.Now) (err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return err
	}
	return c.failed(c.module.Xsvcauth_client_complete_unsupported(c.handle, int64(task), int64(now.Mono), int64(now.Wall), c.slot(errorSlot)))
}

// failed makes an error of a result, and of the error object in its slot.
func (c *alone) failed(result int32) error {
	if result == 0 {
		return nil
	}
	handle := int32(c.u32(errorSlot))
	if handle == 0 {
		return engine.Unnamed(uint32(result))
	}
	return c.failure(handle)
}

// failure reads an error object and frees it.
func (c *alone) failure(handle int32) *engine.Failure {
	text := func(which int32) string {
		c.module.Xsvcauth_error_get_text(handle, which, c.slot(textSlot), c.slot(lenSlot))
		return string(c.bytes(textSlot, lenSlot))
	}
	c.module.Xsvcauth_error_get_info(handle, c.slot(infoSlot))
	number := func(at, known uint32) int64 {
		if !c.u8(infoSlot + known) {
			return -1
		}
		return int64(c.u64(infoSlot + at))
	}
	f := &engine.Failure{
		Result:       c.u32(infoSlot + 24),
		Status:       int(c.u32(infoSlot + 28)),
		RetryAfterMS: number(0, 32),
		RetryAtMS:    number(8, 33),
		Offset:       number(16, 34),
	}
	f.Display, f.Code, f.Message, f.Member = text(1), text(2), text(3), text(4)
	f.OAuthError, f.OAuthDescription, f.Challenge = text(5), text(6), text(7)
	c.module.Xsvcauth_error_free(handle)
	(*c.memory)[c.slots+errorSlot], (*c.memory)[c.slots+errorSlot+1], (*c.memory)[c.slots+errorSlot+2], (*c.memory)[c.slots+errorSlot+3] = 0, 0, 0, 0
	return f
}

// lease copies a lease and gives its reference back.
func (c *client) lease(pointer uint32) *engine.Lease {
	if pointer == 0 {
		return nil
	}
	handle := int32(pointer)
	text := func(which int32) string {
		c.module.Xsvcauth_lease_get_text(handle, which, c.slot(textSlot), c.slot(lenSlot))
		return string(c.bytes(textSlot, lenSlot))
	}
	c.module.Xsvcauth_lease_get_info(handle, c.slot(infoSlot))
	l := &engine.Lease{
		RefreshAt:     c.u64(infoSlot + 8),
		AskAt:         c.u64(infoSlot + 16),
		ServeUntil:    c.u64(infoSlot + 24),
		ExpiresAt:     c.u64(infoSlot + 32),
		ExpiresAtWall: c.u64(infoSlot + 40),
	}
	if scopes := c.u32(infoSlot + 48); scopes > 0 {
		l.Scopes = make([]string, scopes)
		for n := range l.Scopes {
			c.module.Xsvcauth_lease_scope(handle, int32(n), c.slot(textSlot), c.slot(lenSlot))
			l.Scopes[n] = string(c.bytes(textSlot, lenSlot))
		}
	}
	l.ClientID = text(2)
	l.Authorized(text(4))
	c.module.Xsvcauth_lease_release(handle)
	return l
}

func (c *client) Subject(token string) (subject string, err error) {
	defer c.leave(&err)
	if err := c.enter(len(token)); err != nil {
		return "", err
	}
	return string(c.subject(token)), nil
}

func (library) Subject(token string) (subject string) {
	a := &alone{}
	var err error
	defer a.leave(&err)
	a.start(len(token))
	defer a.free()
	return string(a.subject(token))
}

func (c *alone) subject(token string) []byte {
	p, n := put(c.instance, token)
	if c.module.Xsvcauth_token_subject(p, n, c.slot(outSlot), c.slot(errorSlot)) != 0 {
		return nil
	}
	return c.text()
}

func (c *client) Hear(least engine.Level) (err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return err
	}
	return c.failed(c.module.Xsvcauth_client_hear(c.handle, int32(least), c.slot(errorSlot)))
}

func (c *client) PollAll(now engine.Now, outputs *engine.Outputs) (until uint64, err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return 0, err
	}
	if result := c.module.Xsvcauth_client_poll_all(c.handle, int64(now.Mono), int64(now.Wall), c.slot(outSlot), c.slot(longSlot), c.slot(errorSlot)); result != 0 {
		return 0, c.failed(result)
	}
	until = c.u64(longSlot)
	if handle := int32(c.u32(outSlot)); handle != 0 {
		c.module.Xsvcauth_text_get(handle, c.slot(textSlot), c.slot(lenSlot))
		outputs.Read(c.bytes(textSlot, lenSlot), c.failureOf, c.task)
		c.module.Xsvcauth_text_free(handle)
	}
	return until, nil
}

func (c *client) failureOf(handle uint64) *engine.Failure { return c.failure(int32(handle)) }

// task reads a task that comes as an object, and frees it.
func (c *client) task(kind engine.OutputKind, object uint64) engine.Output {
	handle := int32(object)
	bytes := func(which int32) []byte {
		c.module.Xsvcauth_output_get_text(handle, which, c.slot(textSlot), c.slot(lenSlot))
		return append([]byte(nil), c.bytes(textSlot, lenSlot)...)
	}
	o := engine.Output{Kind: kind}
	c.module.Xsvcauth_output_task(handle, c.slot(infoSlot))
	o.Task, o.Deadline = c.u64(infoSlot), c.u64(infoSlot+8)
	switch o.Kind {
	case engine.OutputReadSecret:
		c.module.Xsvcauth_output_secret_kind(handle, c.slot(wordSlot))
		o.SecretKind, o.Secret = engine.SecretKind(c.u32(wordSlot)), string(bytes(4))
	case engine.OutputRandom:
		c.module.Xsvcauth_output_random(handle, c.slot(longSlot))
		o.Random = c.u64(longSlot)
	case engine.OutputStore:
		o.Key, o.Value = string(bytes(5)), bytes(6)
		c.module.Xsvcauth_output_store(handle, c.slot(infoSlot))
		o.Version, o.TTL, o.Fence = c.u64(infoSlot), c.u64(infoSlot+8), c.u64(infoSlot+16)
		o.Operation = engine.StoreOp(c.u32(infoSlot + 24))
	}
	c.module.Xsvcauth_output_free(handle)
	return o
}

var _ fmt.Stringer = (*alone)(nil)

// String keeps the memory out of what is printed.
func (c *alone) String() string { return "svcauth (wasm)" }
