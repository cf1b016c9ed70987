package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../ffi/include
#cgo LDFLAGS: -lsvcauth -lm -ldl -lpthread
#include "svcauth.h"
*/
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// Error is what libsvcauth says about a failure.
type Error struct {
	Code       string // stable: oauth_error, connection_failed, ...
	Text       string // all of it, for people
	Member     string // the configuration member or URL it is about
	OAuth      string // RFC 6749 section 5.2, as the server sent it
	HTTPStatus int
	RetryAfter time.Duration
}

func (e *Error) Error() string { return "svcauth: " + e.Text }

// check turns a result and its error object, which it frees, into an error.
func check(result C.svcauth_result, object *C.svcauth_error) error {
	if result == C.SVCAUTH_RESULT_OK {
		return nil
	}
	if object == nil {
		return &Error{Code: "unknown", Text: fmt.Sprintf("result %d", result)}
	}
	defer C.svcauth_error_free(object)
	var info C.svcauth_error_info
	C.svcauth_error_get_info(object, &info)
	field := func(which C.svcauth_error_text) string {
		return read(func(p **C.char, n *C.size_t) C.svcauth_result {
			return C.svcauth_error_get_text(object, which, p, n)
		})
	}
	return &Error{
		Code:       field(C.SVCAUTH_ERROR_TEXT_CODE),
		Text:       field(C.SVCAUTH_ERROR_TEXT_DISPLAY),
		Member:     field(C.SVCAUTH_ERROR_TEXT_MEMBER),
		OAuth:      field(C.SVCAUTH_ERROR_TEXT_OAUTH_ERROR),
		HTTPStatus: int(info.http_status),
		RetryAfter: time.Duration(info.retry_after_ms) * time.Millisecond,
	}
}

// read copies a text that belongs to an object of the library.
func read(get func(**C.char, *C.size_t) C.svcauth_result) string {
	var p *C.char
	var n C.size_t
	if get(&p, &n) != C.SVCAUTH_RESULT_OK || n == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)))
}

func (o output) text(which C.svcauth_output_text) string {
	return read(func(p **C.char, n *C.size_t) C.svcauth_result {
		return C.svcauth_output_get_text(o.handle, which, p, n)
	})
}

func chars(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

func octets(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.SliceData(b)), C.size_t(len(b))
}

var started = time.Now()

// now reads both clocks, in milliseconds.
func now() (mono, wall C.uint64_t) {
	t := time.Now()
	return C.uint64_t(t.Sub(started).Milliseconds()), C.uint64_t(t.UnixMilli())
}

// Lease is an access token, copied so that Go's collector looks after it.
type Lease struct {
	value string
	id    C.uint64_t
}

// take copies a lease and gives its reference back.
func take(handle *C.svcauth_lease) *Lease {
	if handle == nil {
		return nil
	}
	defer C.svcauth_lease_release(handle)
	var info C.svcauth_lease_info
	C.svcauth_lease_get_info(handle, &info)
	value := read(func(p **C.char, n *C.size_t) C.svcauth_result {
		return C.svcauth_lease_get_text(handle, C.SVCAUTH_LEASE_TEXT_VALUE, p, n)
	})
	return &Lease{value, info.id}
}
