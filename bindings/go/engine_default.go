//go:build !svcauth_cgo

package svcauth

import "github.com/openchami/svcauth-go/internal/wasm"

var library = wasm.Library
