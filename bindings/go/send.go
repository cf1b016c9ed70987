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
	"sync"
	"sync/atomic"
	"time"

	"github.com/openchami/svcauth-go/internal/engine"
)

// sender sends the core's requests as they are: no redirect is followed, no cookie added, and every answer has an
// end in time and size.
type sender struct {
	transport http.RoundTripper
	timeout   time.Duration
	own       *http.Transport // nil where the program gave one
	last      atomic.Pointer[parsed]
}

func (s *sender) use(given *http.Client) {
	s.transport, s.timeout = given.Transport, given.Timeout
	if s.transport == nil {
		s.transport = http.DefaultTransport
	}
}

var errTooLarge = errors.New("the body is larger than allowed")

// send gives the answer, or why there was none.
func (s *sender) send(ctx context.Context, task *engine.Output) (*engine.Answer, engine.SendFailure, string) {
	timeout := milliseconds(task.Timeout)
	if s.timeout > 0 {
		timeout = min(timeout, s.timeout)
	}
	sending := &sending{parent: ctx, timeout: timeout}
	defer sending.end()
	answer, err := s.exchange(sending, task)
	if err != nil {
		failure := sending.reach.failure(err)
		if failure == engine.SendTimeout {
			return nil, failure, ""
		}
		return nil, failure, plain(innermost(err).Error())
	}
	return answer, 0, ""
}

func (s *sender) exchange(ctx context.Context, task *engine.Output) (*engine.Answer, error) {
	to, err := s.parse(task.URL)
	if err != nil {
		return nil, err
	}
	request := new(http.Request).WithContext(ctx)
	request.Method, request.URL, request.Host = task.Method, to, to.Host
	request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/1.1", 1, 1
	request.Header = header(task.Headers)
	request.Body, request.ContentLength = http.NoBody, int64(len(task.Body))
	// A connection that is kept may be closed by the server just as the request is written, and what can be used once
	// would be lost with it.
	request.Close = true
	if len(task.Body) > 0 {
		request.Body = newBody(task.Body)
	}
	response, err := s.transport.RoundTrip(request)
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

// parse is url.Parse, which need not be done again for the URL of the last request.
func (s *sender) parse(text string) (*url.URL, error) {
	last := s.last.Load()
	if last == nil || last.text != text {
		to, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		last = &parsed{text, *to}
		s.last.Store(last)
	}
	to := last.url
	return &to, nil
}

type parsed struct {
	text string
	url  url.URL
}

// body is a request's.
type body struct{ bytes.Reader }

func newBody(of []byte) *body {
	b := &body{}
	b.Reset(of)
	return b
}

func (*body) Close() error { return nil }

// sending is the context of a request, made when the transport looks at it, which is the first thing that one does
// which needs time: it ends with the client's, and when the request's time is over.
type sending struct {
	parent  context.Context
	timeout time.Duration
	reach   reach

	once   sync.Once
	made   context.Context
	cancel context.CancelFunc
}

var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (s *sending) get() context.Context {
	s.once.Do(func() {
		s.made, s.cancel = context.WithTimeout(httptrace.WithClientTrace(s.parent, s.reach.trace()), s.timeout)
	})
	return s.made
}

func (s *sending) end() {
	s.once.Do(func() { s.made = over })
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *sending) Deadline() (time.Time, bool) { return s.get().Deadline() }
func (s *sending) Done() <-chan struct{}       { return s.get().Done() }
func (s *sending) Err() error                  { return s.get().Err() }
func (s *sending) Value(key any) any           { return s.get().Value(key) }

// readAll leaves no copies of the body behind, which io.ReadAll does as it grows.
func readAll(response *http.Response, most uint64) ([]byte, error) {
	if response.ContentLength > 0 && uint64(response.ContentLength) > most {
		return nil, errTooLarge
	}
	size := int64(4096)
	if response.ContentLength >= 0 {
		size = response.ContentLength + 1 // so that the end is seen without growing
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
	block := make([]byte, 0, 256)
	for name, values := range header {
		for _, value := range values {
			if strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
				value = lineEnds.Replace(value)
			}
			block = append(append(append(append(block, name...), ": "...), value...), "\r\n"...)
		}
	}
	return block
}

var userAgent = []string{"svcauth-go"}

// header reads what fields writes, and says who sends where nothing says it.
func header(block string) http.Header {
	lines := strings.Count(block, "\n")
	values := make([]string, 0, lines)
	header := make(http.Header, lines+1)
	header["User-Agent"] = userAgent
	for len(block) > 0 {
		var line string
		line, block, _ = strings.Cut(block, "\r\n")
		name, value, found := strings.Cut(line, ": ")
		if !found {
			continue
		}
		name = canonical(name)
		values = append(values, value)
		one := values[len(values)-1 : len(values) : len(values)]
		if earlier, again := header[name]; again && name != "User-Agent" {
			one = append(earlier, value)
		}
		header[name] = one
	}
	return header
}

// canonical is http.CanonicalHeaderKey, at once for the names that are usual.
func canonical(name string) string {
	switch name {
	case "accept":
		return "Accept"
	case "authorization":
		return "Authorization"
	case "content-type":
		return "Content-Type"
	}
	return http.CanonicalHeaderKey(name)
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
