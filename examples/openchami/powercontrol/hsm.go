// Package powercontrol is how power-control calls SMD, and remote-console too.
package powercontrol

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"

	"github.com/openchami/svcauth-go"
)

// Flags are those that power-control has, but for the secret: a command line is no place for one.
type Flags struct {
	ClientID, SecretFile, TokenURL, Scopes, SMD string
}

// Register adds the flags to those of the program.
func (f *Flags) Register(flags *flag.FlagSet) {
	flags.StringVar(&f.ClientID, "oauth2-client-id", "", "client id")
	flags.StringVar(&f.SecretFile, "oauth2-client-secret-file", "", "file with the client secret; read again when it was replaced")
	flags.StringVar(&f.TokenURL, "oauth2-token-url", "", "token endpoint of the authorization server")
	flags.StringVar(&f.Scopes, "oauth2-scopes", "", "scopes, with commas between them")
	flags.StringVar(&f.SMD, "hsm-url", "", "URL of SMD")
}

// Open makes the client of what the flags say.
func (f *Flags) Open(options ...svcauth.Option) (*svcauth.Client, error) {
	type object map[string]any
	config, err := json.Marshal(object{
		"endpoints": object{"token": f.TokenURL},
		"client": object{
			"auth":        "client_secret_basic",
			"credentials": []object{{"client_id": f.ClientID, "client_secret": object{"file": f.SecretFile}}},
		},
		"targets": object{
			"smd": object{"urls": []string{f.SMD + "/hsm/v2"}, "scopes": strings.FieldsFunc(f.Scopes, func(r rune) bool { return r == ',' })},
		},
	})
	if err != nil {
		return nil, err
	}
	return svcauth.New(config, options...)
}

// HSM asks SMD. Calls is client.HTTPClient(), which stands where the *http.Client of golang.org/x/oauth2 stood.
type HSM struct {
	URL   string
	Calls *http.Client
}

// Query asks for components. net/http can send a body again that is in a bytes.Reader, so a refused call is made
// once more here too.
func (h *HSM) Query(ctx context.Context, xnames ...string) (map[string]string, error) {
	body, err := json.Marshal(map[string]any{"ComponentIDs": xnames})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL+"/hsm/v2/State/Components/Query", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := h.Calls.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("SMD answered %s", response.Status)
	}
	var answer struct {
		Components []struct{ ID, State string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	states := make(map[string]string, len(answer.Components))
	for _, component := range answer.Components {
		states[component.ID] = component.State
	}
	return states, nil
}
