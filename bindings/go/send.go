package svcauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// sender sends the core's requests as they are: no redirect is followed, no cookie added, and every answer has an
// end in time and size.
type sender struct {
	transport http.RoundTripper
	timeout   time.Duration
	own       *http.Transport // nil where the program gave one
}

func senderOf(given *http.Client) sender {
	s := sender{transport: given.Transport, timeout: given.Timeout}
	if s.transport == nil {
		s.transport = http.DefaultTransport
	}
	return s
}

var errTooLarge = errors.New("the body is larger than allowed")

// send gives the answer, or why there was none.
func (s *sender) send(ctx context.Context, task *engine.Output) (*engine.Answer, engine.SendFailure, string) {
	timeout := milliseconds(task.Timeout)
	if s.timeout > 0 {
		timeout = min(timeout, s.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reach reach
	answer, err := s.exchange(httptrace.WithClientTrace(ctx, reach.trace()), task)
	if err != nil {
		failure := reach.failure(err)
		if failure == engine.SendTimeout {
			return nil, failure, ""
		}
		return nil, failure, plain(innermost(err).Error())
	}
	return answer, 0, ""
}

func (s *sender) exchange(ctx context.Context, task *engine.Output) (*engine.Answer, error) {
	to, err := url.Parse(task.URL)
	if err != nil {
		return nil, err
	}
	request := &http.Request{
		Method:        task.Method,
		URL:           to,
		Host:          to.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, 8),
		Body:          http.NoBody,
		ContentLength: int64(len(task.Body)),
		// A connection that is kept may be closed by the server just as the request is written, and what can be used
		// once would be lost with it.
		Close: true,
	}
	setFields(request.Header, task.Headers)
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "svcauth-go")
	}
	if len(task.Body) > 0 {
		request.Body = io.NopCloser(bytes.NewReader(task.Body))
	}
	response, err := s.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := readAll(response, task.MaxBytes)
	if err != nil {
		return nil, err
	}
	return &engine.Answer{Status: response.StatusCode, Fields: fields(response.Header), Body: body}, nil
}

// readAll leaves no copies of the body behind, which io.ReadAll does as it grows.
func readAll(response *http.Response, most uint64) ([]byte, error) {
	if response.ContentLength > 0 && uint64(response.ContentLength) > most {
		return nil, errTooLarge
	}
	size := response.ContentLength + 1
	if size < 512 {
		size = 4096
	}
	body := make([]byte, 0, size)
	for {
		n, err := response.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case uint64(len(body)) > most:
			clear(body)
			return nil, errTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			clear(body)
			return nil, err
		}
		if len(body) == cap(body) {
			grown := append(make([]byte, 0, 2*cap(body)), body...)
			clear(body)
			body = grown
		}
	}
}

var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

// fields writes header fields as they stand on the wire.
func fields(header http.Header) []byte {
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	block := make([]byte, 0, size)
	for name, values := range header {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n") {
				value = lineEnds.Replace(value)
			}
			block = append(append(append(append(block, name...), ": "...), value...), "\r\n"...)
		}
	}
	return block
}

// setFields reads what fields writes.
func setFields(header http.Header, block []byte) {
	text := string(block)
	for line := range strings.SplitSeq(text, "\r\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			header.Add(name, value)
		}
	}
}

// reach tells how far a request came.
type reach struct{ asked, got bool }

func (r *reach) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { r.asked = true },
		GotConn: func(httptrace.GotConnInfo) { r.got = true },
	}
}

// failure says what kind of failure it is. Refused and TLS mean that the server certainly has not received the
// request.
func (r *reach) failure(err error) engine.SendFailure {
	var unverified *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var operation *net.OpError
	isOperation := errors.As(err, &operation)
	switch {
	case errors.Is(err, errTooLarge):
		return engine.SendTooLarge
	case errors.As(err, &unverified), errors.As(err, &noTLS), isOperation && operation.Op == "remote error":
		return engine.SendTLS
	case r.asked && !r.got, isOperation && operation.Op == "dial":
		return engine.SendRefused
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return engine.SendTimeout
	}
	return engine.SendBroken
}

// innermost leaves out URLs and addresses, which the core names anyway.
func innermost(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return err
}
