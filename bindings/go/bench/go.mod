// What is promised about speed and size. Not part of the released module.
module github.com/openchami/svcauth-go/bench

go 1.26.0

require (
	github.com/openchami/svcauth-go v0.0.0
	golang.org/x/oauth2 v0.38.0
)

replace github.com/openchami/svcauth-go => ../
