// A program of somebody who has the released module: calls URL as CONFIG says, first in its own name and then in that
// of the user whose token is in USER_TOKEN, and prints the two statuses.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/openchami/svcauth-go"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: caller CONFIG URL")
	}
	client, err := svcauth.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	user := svcauth.WithUserToken(ctx, os.Getenv("USER_TOKEN"))
	for _, ctx := range []context.Context{ctx, user} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Args[2], nil)
		if err != nil {
			log.Fatal(err)
		}
		response, err := client.HTTPClient().Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
}
