module github.com/openchami/svcauth-go/oauth2

go 1.24.0

require (
	github.com/openchami/svcauth-go v0.0.0
	golang.org/x/oauth2 v0.35.0
)

replace github.com/openchami/svcauth-go => ../
