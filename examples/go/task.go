package main

/*
#include "svcauth.h"
*/
import "C"

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

type output struct {
	handle *C.svcauth_output
	kind   C.svcauth_output_kind
}

// perform does a task and answers it.
func (c *Client) perform(ctx context.Context, o output) {
	var task C.svcauth_task_info
	C.svcauth_output_task(o.handle, &task)
	switch o.kind {
	case C.SVCAUTH_OUTPUT_KIND_SEND:
		c.send(ctx, o, task.id)
	case C.SVCAUTH_OUTPUT_KIND_READ_SECRET:
		c.answer(task.id, func() ([]byte, error) { return readSecret(o) })
	case C.SVCAUTH_OUTPUT_KIND_RANDOM:
		c.answer(task.id, func() ([]byte, error) {
			var count C.uint64_t
			C.svcauth_output_random(o.handle, &count)
			b := make([]byte, count)
			_, err := rand.Read(b)
			return b, err
		})
	default:
		mono, wall := now()
		C.svcauth_client_complete_unsupported(c.handle, task.id, mono, wall, nil)
	}
}

func readSecret(o output) ([]byte, error) {
	var kind C.svcauth_secret_kind
	C.svcauth_output_secret_kind(o.handle, &kind)
	name := o.text(C.SVCAUTH_OUTPUT_TEXT_SECRET)
	if kind == C.SVCAUTH_SECRET_KIND_FILE {
		return os.ReadFile(name)
	}
	value, found := os.LookupEnv(name)
	if !found {
		return nil, errors.New("it is not set")
	}
	return []byte(value), nil
}

func (c *Client) answer(task C.uint64_t, get func() ([]byte, error)) {
	value, err := get()
	mono, wall := now()
	if err != nil {
		p, n := chars(strings.ToValidUTF8(err.Error(), "?"))
		C.svcauth_client_complete_failed(c.handle, task, p, n, mono, wall, nil)
		return
	}
	p, n := octets(value)
	C.svcauth_client_complete_bytes(c.handle, task, p, n, mono, wall, nil)
	clear(value)
}

func (c *Client) send(ctx context.Context, o output, task C.uint64_t) {
	response, body, err := c.exchange(ctx, o)
	mono, wall := now()
	if err != nil {
		p, n := chars(strings.ToValidUTF8(err.Error(), "?"))
		C.svcauth_client_complete_send_failed(c.handle, task, failure(err), p, n, mono, wall, nil)
		return
	}
	p, n := chars(fields(response.Header))
	b, size := octets(body)
	C.svcauth_client_complete_response(c.handle, task, C.uint32_t(response.StatusCode), p, n, b, size, mono, wall, nil)
	clear(body)
}

var errTooLarge = errors.New("the body is larger than allowed")

func (c *Client) exchange(ctx context.Context, o output) (*http.Response, []byte, error) {
	var info C.svcauth_send_info
	C.svcauth_output_send(o.handle, &info)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(info.timeout_ms)*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, o.text(C.SVCAUTH_OUTPUT_TEXT_METHOD),
		o.text(C.SVCAUTH_OUTPUT_TEXT_URL), strings.NewReader(o.text(C.SVCAUTH_OUTPUT_TEXT_BODY)))
	if err != nil {
		return nil, nil, err
	}
	for i := range info.headers {
		var name, value *C.char
		var nameLen, valueLen C.size_t
		C.svcauth_output_header(o.handle, i, &name, &nameLen, &value, &valueLen)
		request.Header.Set(C.GoStringN(name, C.int(nameLen)), C.GoStringN(value, C.int(valueLen)))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(info.max_bytes)+1))
	if err == nil && uint64(len(body)) > uint64(info.max_bytes) {
		err = errTooLarge
	}
	return response, body, err
}

// fields writes header fields as they stand on the wire.
func fields(header http.Header) string {
	var block bytes.Buffer
	_ = header.Write(&block) // a Buffer takes everything
	return block.String()
}

func failure(err error) C.svcauth_send_failure {
	var timeout interface{ Timeout() bool }
	var unverified *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var dial *net.OpError
	var unsent *url.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return C.SVCAUTH_SEND_FAILURE_TIMEOUT
	case errors.Is(err, errTooLarge):
		return C.SVCAUTH_SEND_FAILURE_TOO_LARGE
	case errors.As(err, &unverified), errors.As(err, &noTLS):
		return C.SVCAUTH_SEND_FAILURE_TLS
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &unsent) && unsent.Op == "parse":
		return C.SVCAUTH_SEND_FAILURE_REFUSED
	}
	return C.SVCAUTH_SEND_FAILURE_BROKEN
}
