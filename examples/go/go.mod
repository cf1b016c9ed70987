module svcauth-example

go 1.24
