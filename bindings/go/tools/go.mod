// What writes the default engine and tests the release. Not part of the released module.
module github.com/openchami/svcauth-go/tools

go 1.26.0

tool github.com/ncruces/wasm2go

require (
	golang.org/x/mod v0.43.0
	golang.org/x/tools v0.52.0
)

require github.com/ncruces/wasm2go v0.4.21 // indirect
