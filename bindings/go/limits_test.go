package svcauth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// answers is a server with one answer.
type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(a))), ContentLength: -1, Request: r,
	}, nil
}

// The largest answers that the configuration allows do not trap, whatever they hold, and one more byte is refused.
func TestTheLargestAnswersAreRead(t *testing.T) {
	const most = 1 << 20
	filled := func(before, fill, after string) answers {
		n := (most - len(before) - len(after)) / len(fill)
		text := before + strings.Repeat(fill, n)
		return answers(text + strings.Repeat(" ", most-len(text)-len(after)) + after)
	}
	const token = `{"access_token":"a","token_type":"bearer","expires_in":3600,`
	for name, row := range map[string]struct {
		answer answers
		code   error
	}{
		"one text":                {filled(token+`"x":"`, "x", `"}`), nil},
		"a text of escapes":       {filled(token+`"x":"`, `\u00e9`, `"}`), nil},
		"a list of numbers":       {filled(token+`"x":[0`, ",0", `]}`), nil},
		"a list of lists":         {filled(token+`"x":[[]`, ",[]", `]}`), nil},
		"scopes":                  {filled(token+`"scope":"`, "s ", `"}`), ErrMalformedAnswer},
		"members":                 {filled(token+`"x":{"":0`, `,"y":0`, `}}`), ErrMalformedAnswer},
		"an access token":         {filled(`{"token_type":"bearer","expires_in":3600,"access_token":"`, "a", `"}`), nil},
		"deep lists":              {filled(token+`"x":`, "[", `}`), ErrMalformedAnswer},
		"an error":                {filled(`{"error":"invalid_client","error_description":"`, "e", `"}`), ErrOAuth},
		"nothing of JSON":         {filled("", "x", ""), ErrMalformedAnswer},
		"one byte more than that": {filled(token+`"x":"`, "x", `"}`) + " ", ErrAnswerTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "one byte more than that" && len(row.answer) != most {
				t.Fatal(len(row.answer))
			}
			var log strings.Builder
			c, err := New([]byte(fmt.Sprintf(`{
				"endpoints": {"token": "https://issuer.example/token"}, "limits": {"answer_bytes": %d},
				"client": {"credentials": [{"client_id": "a", "client_secret": {"value": "s"}}]},
				"targets": {"one": {"urls": ["https://one.example"]}}
			}`, most)), WithHTTPClient(&http.Client{Transport: row.answer}), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			one, err := c.Target("one")
			if err != nil {
				t.Fatal(err)
			}
			_, err = one.Token(t.Context())
			if row.code == nil && err != nil || row.code != nil && !errors.Is(err, row.code) {
				t.Errorf("%.300v", err)
			}
			c.Close() // all was told then
			if strings.Contains(log.String(), "client_replaced") {
				t.Errorf("it panicked: %.300s", log.String())
			}
		})
	}
}
