module svcauth-openchami

go 1.24

require (
	github.com/go-chi/chi/v5 v5.2.3
	github.com/openchami/svcauth-go v0.1.0
)

// There is no released module yet. `make go-engine` completes this folder.
replace github.com/openchami/svcauth-go => ../../bindings/go
