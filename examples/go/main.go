// A service that calls another one, with libsvcauth for the tokens and net/http for everything else.
//
//	./run CONFIG URL
//
// asks for URL with the token that CONFIG has for it, and prints the answer.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ./run CONFIG URL")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, url string) error {
	config, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	client, err := New(string(config), http.DefaultTransport, slog.Default())
	if err != nil {
		return err
	}
	defer client.Close()
	calls := &http.Client{
		Transport: &Transport{Client: client, Base: http.DefaultTransport},
		Timeout:   30 * time.Second,
	}
	response, err := calls.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
