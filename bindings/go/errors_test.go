package svcauth_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Those below 100 are about handles and pointers, which a Go program has none of.
func TestEveryCodeOfTheLibraryHasItsName(t *testing.T) {
	header := read(t, "../../ffi/include/svcauth.h")
	source := read(t, "errors.go")
	codes := regexp.MustCompile(`SVCAUTH_RESULT_(\w+) = [1-9]\d\d,`).FindAllStringSubmatch(header, -1)
	if len(codes) < 30 {
		t.Fatalf("the header names %d codes only", len(codes))
	}
	for _, code := range codes {
		name := strings.ToLower(code[1])
		if !strings.Contains(source, `Code = "`+name+`"`) {
			t.Errorf("errors.go has no name for %s", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
