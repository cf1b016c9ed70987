package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openchami/svcauth-go"
)

// underLoad: tokens of one second, and 32 goroutines that call and ask for tokens all the time. The servers are a
// process of their own.
func underLoad(duration time.Duration) {
	url, end := servers()
	defer end()
	text := strings.NewReplacer("http://smd.example", url, "https://hydra.example", url).Replace(string(config("https://hydra.example", 2)))
	client := open([]byte(text), http.DefaultTransport, silent)
	defer client.Close()
	smd := target(client, "t1")
	_, err := smd.Token(background)
	check(err)
	asked := client.Stats().Asked
	calls := &http.Client{
		Transport: &svcauth.Transport{Client: client, Base: &http.Transport{MaxIdleConnsPerHost: 64}}, Timeout: time.Minute,
	}
	var made, failed, tokens atomic.Uint64
	var all sync.WaitGroup
	until := time.Now().Add(duration)
	for range 32 {
		all.Go(func() {
			for time.Now().Before(until) {
				response, err := calls.Get(url + "/1/x")
				made.Add(1)
				if err != nil || response.StatusCode != 200 {
					failed.Add(1)
				}
				if err == nil {
					response.Body.Close()
				}
				for range 100 {
					if _, err := smd.Token(background); err != nil {
						failed.Add(1)
					}
					tokens.Add(1)
				}
			}
		})
	}
	all.Wait()
	var counts struct{ Requests, Refused float64 }
	response, err := http.Get(url + "/counts")
	check(err)
	defer response.Body.Close()
	check(json.NewDecoder(response.Body).Decode(&counts))
	fmt.Printf("%d calls and %d tokens asked for in %s\n", made.Load(), tokens.Load(), duration)
	must("calls and questions that failed", float64(failed.Load()), 0)
	must("calls that were refused once", counts.Refused, 0)
	must("token requests a second", counts.Requests/duration.Seconds(), 1.5)
	must("callers in the waiting path after the first token", float64(client.Stats().Asked-asked), 0)
}

// servers starts the program that SERVERS names.
func servers() (url string, end func()) {
	command := exec.Command(os.Getenv("SERVERS"))
	stdin, err := command.StdinPipe()
	check(err)
	stdout, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	url, err = bufio.NewReader(stdout).ReadString('\n')
	check(err)
	return strings.TrimSpace(url), func() {
		stdin.Close()
		check(command.Wait())
	}
}
