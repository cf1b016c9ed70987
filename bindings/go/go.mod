module github.com/openchami/svcauth-go

go 1.24
