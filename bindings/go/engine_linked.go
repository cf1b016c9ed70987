//go:build svcauth_cgo

package svcauth

import "github.com/openchami/svcauth-go/internal/cgo"

var library = cgo.Library
