//go:build svcauth_cgo

package cgo

// #include "calls.h"
import "C"

import (
	"sync"

	"github.com/openchami/svcauth-go/internal/engine"
)

type exchange struct {
	mutex  sync.RWMutex
	handle *C.svcauth_exchange
}

func (library) NewExchange(name string, parameters []byte) (engine.Exchange, error) {
	e := &exchange{}
	var object *C.svcauth_error
	p, n := chars(name)
	j, size := chars(parameters)
	if result := C.svcauth_exchange_new(p, n, j, size, &e.handle, &object); result != C.SVCAUTH_RESULT_OK {
		return nil, failed(result, object)
	}
	return e, nil
}

func (e *exchange) Request() engine.Request {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	text := func(which C.svcauth_exchange_text) (t C.text) {
		C.svcauth_exchange_get_text(e.handle, which, &t.at, &t.len)
		return t
	}
	return engine.Request{
		Method:  str(text(C.SVCAUTH_EXCHANGE_TEXT_METHOD)),
		URL:     str(text(C.SVCAUTH_EXCHANGE_TEXT_URL)),
		Headers: str(text(C.SVCAUTH_EXCHANGE_TEXT_HEADERS)),
		Body:    bytes(text(C.SVCAUTH_EXCHANGE_TEXT_BODY)),
	}
}

func (e *exchange) Parse(answer *engine.Answer) ([]byte, error) {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	var text *C.svcauth_text
	var object *C.svcauth_error
	p, n := chars(answer.Fields)
	b, size := octets(answer.Body)
	result := C.svcauth_exchange_parse(e.handle, C.uint32_t(answer.Status), p, n, b, size, &text, &object)
	return owned(text), failed(result, object)
}

func (e *exchange) Free() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	C.svcauth_exchange_free(e.handle)
	e.handle = nil
}
