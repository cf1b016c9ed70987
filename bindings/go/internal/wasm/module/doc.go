// Package module is libsvcauth as Go source: compiled to wasm, and translated by wasm2go. The released module
// holds it; in svcauth's own repository `make go-engine` writes it.
package module

// The next line does not compile where that was not done.
const _ = the_source_of_the_engine_is_missing__run_make_go_engine_or_use_a_released_module
