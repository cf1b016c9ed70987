//go:build !svcauth_cgo

package wasm

import "github.com/openchami/svcauth-go/internal/engine"

type exchange struct {
	alone
	request engine.Request
}

func (library) NewExchange(name string, parameters []byte) (made engine.Exchange, err error) {
	e := &exchange{}
	defer e.leave(&err)
	e.start(len(name) + len(parameters))
	p, n := put(e.instance, name)
	j, size := put(e.instance, parameters)
	if result := e.module.Xsvcauth_exchange_new(p, n, j, size, e.slot(outSlot), e.slot(errorSlot)); result != 0 {
		defer e.free()
		return nil, e.failed(result)
	}
	e.handle = int32(e.u32(outSlot))
	text := func(which int32) []byte {
		e.module.Xsvcauth_exchange_get_text(e.handle, which, e.slot(textSlot), e.slot(lenSlot))
		return append([]byte(nil), e.bytes(textSlot, lenSlot)...)
	}
	e.request = engine.Request{Method: string(text(1)), URL: string(text(2)), Headers: string(text(4)), Body: text(3)}
	return e, nil
}

func (e *exchange) Request() engine.Request { return e.request }

func (e *exchange) Parse(answer *engine.Answer) (json []byte, err error) {
	defer e.leave(&err)
	if err := e.enter(len(answer.Fields) + len(answer.Body)); err != nil {
		return nil, err
	}
	p, n := put(e.instance, answer.Fields)
	b, size := put(e.instance, answer.Body)
	if result := e.module.Xsvcauth_exchange_parse(e.handle, int32(answer.Status), p, n, b, size, e.slot(outSlot), e.slot(errorSlot)); result != 0 {
		return nil, e.failed(result)
	}
	return e.text(), nil
}
