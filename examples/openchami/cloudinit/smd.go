// Package cloudinit is how cloud-init calls SMD.
package cloudinit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/openchami/svcauth-go"
)

// SMD is what cloud-init knows about nodes.
type SMD struct {
	url    string
	client *svcauth.Client
	calls  *http.Client
}

// OpenSMD reads svcauth's configuration, in which the certificate authority of the cluster stands too.
func OpenSMD(config, url string, options ...svcauth.Option) (*SMD, error) {
	client, err := svcauth.Open(config, options...)
	if err != nil {
		return nil, err
	}
	return &SMD{url: url, client: client, calls: client.HTTPClient()}, nil
}

// Close ends what runs in the background.
func (s *SMD) Close() error { return s.client.Close() }

// Groups are those that a node is a member of.
func (s *SMD) Groups(ctx context.Context, xname string) ([]string, error) {
	var member struct {
		GroupLabels []string `json:"groupLabels"`
	}
	err := s.get(ctx, "/hsm/v2/memberships/"+xname, &member)
	return member.GroupLabels, err
}

// get has no loop of its own for a 401: by then the call was made again with a new token, and SMD refused that too.
// That is an error like others, for this caller; later calls try again.
func (s *SMD) get(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	response, err := s.calls.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
		return fmt.Errorf("SMD answered %s for %s", response.Status, path)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
