package svcauth

import (
	"testing"

	"github.com/openchami/svcauth-go/internal/engine"
)

// What makes no sense is a failure with a code in both engines, and the client goes on.
func TestBadInputIsAFailureWithACode(t *testing.T) {
	now := engine.Now{Mono: 1000, Wall: 1_700_000_000_000}
	config := []byte(`{
		"endpoints": {"token": "https://issuer.example/token"},
		"client": {"credentials": [{"client_id": "a", "client_secret": {"value": "a secret"}}]},
		"targets": {"one": {"urls": ["https://one.example"]}}
	}`)
	for name, row := range map[string]struct {
		config string
		code   string
	}{
		"empty":                    {"", "invalid_configuration"},
		"no UTF-8":                 {"{\"issuer\": \"\xff\"}", "invalid_configuration"},
		"a zero byte":              {"{}\x00", "invalid_configuration"},
		"deep":                     {deep(10_000), "invalid_configuration"},
		"a list":                   {"[]", "invalid_configuration"},
		"capabilities are missing": {`{"endpoints":{"token":"https://i.example/t"},"client":{"credentials":[{"client_id":"a","client_secret":{"callback":"x"}}]},"targets":{"one":{"urls":["https://one.example"]}}}`, "unsupported"},
	} {
		_, err := library.New([]byte(row.config), 0, 1, now)
		if got := codeOf(err); got != row.code {
			t.Errorf("configuration, %s: %q, %v", name, got, err)
		}
	}
	c, err := library.New(config, engine.CanReadEnvironment, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	call := func(change func(*engine.Call)) *engine.Call {
		made := &engine.Call{URL: "https://one.example/x"}
		change(made)
		return made
	}
	decide := func(made *engine.Call) error { _, err := c.Decide(made); return err }
	for _, row := range []struct {
		name string
		does func() error
		code string
	}{
		{"a target of no name", func() error { _, err := c.Target(""); return err }, "unknown_target"},
		{"a target that is no UTF-8", func() error { _, err := c.Target("\xff\xfe"); return err }, "invalid_utf8"},
		{"a target's number", func() error { _, err := c.Token(7, now); return err }, "invalid_value"},
		{"a URL that is no UTF-8", func() error { return decide(call(func(c *engine.Call) { c.URL = "https://one.example/\xff" })) }, "invalid_utf8"},
		{"a user's token that no header may carry", func() error {
			return decide(call(func(c *engine.Call) { c.Flags, c.UserToken = engine.HasUserToken, "a\r\nb" }))
		}, "invalid_argument"},
		{"unknown flags", func() error { return decide(call(func(c *engine.Call) { c.Flags = 1 << 30 })) }, "invalid_value"},
		{"a status beyond numbers", func() error {
			return c.CompleteResponse(1, &engine.Answer{Status: 1 << 20}, now)
		}, "invalid_value"},
		{"a failure of no kind", func() error { return c.CompleteSendFailed(1, 77, "", now) }, "invalid_value"},
		{"a detail that is no UTF-8", func() error { return c.CompleteSendFailed(1, engine.SendTimeout, "\xff", now) }, "invalid_utf8"},
		{"an outcome of no kind", func() error { return c.CompleteStore(1, 77, 0, now) }, "invalid_value"},
		{"a replay of no kind", func() error {
			_, _, err := c.Reject(call(func(*engine.Call) {}), 1, 77, now)
			return err
		}, "invalid_value"},
		{"a record of no kind", func() error { _, err := c.Adopt(0, []byte("{}"), engine.SameClock, now); return err }, "store_corrupt"},
		{"a clock of no kind", func() error { _, err := c.Adopt(0, []byte("{}"), 77, now); return err }, "invalid_value"},
	} {
		if got := codeOf(row.does()); got != row.code {
			t.Errorf("%s: %q", row.name, got)
		}
	}
	if _, err := c.Token(0, now); err != nil {
		t.Errorf("the client is of no use afterwards: %v", err)
	}
	c.Free()
	c.Free()
	for _, err := range []error{
		func() error { _, err := c.PollAll(now, &engine.Outputs{}); return err }(), decide(call(func(*engine.Call) {})),
		c.CompleteBytes(1, []byte("x"), now), func() error { _, err := c.Settings(); return err }(),
	} {
		if err == nil {
			t.Error("a client that was freed answers")
		}
	}
	for name, parameters := range map[string]string{
		"token": `{"endpoint":"https://a.example/token","clientid":"x"}`, "tokens": `{}`, "register": `[]`, "": "{}", "metadata": "\xff",
	} {
		if _, err := library.NewExchange(name, []byte(parameters)); codeOf(err) != "invalid_argument" {
			t.Errorf("message %q: %v", name, err)
		}
	}
}

func deep(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = '['
	}
	return string(text)
}

func codeOf(err error) string {
	if f, ok := err.(*engine.Failure); ok {
		return f.Code
	}
	return ""
}
