//go:build svcauth_cgo && !cgo

package cgo

// The next line does not compile: nothing can be linked without cgo.
const _ = the_tag_svcauth_cgo_needs_CGO_ENABLED_1_and_a_C_compiler__or_build_without_the_tag
