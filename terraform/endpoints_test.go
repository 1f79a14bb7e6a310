package terraform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"example.com/relay/core/failover"
)

// An endpoint is an entry of the output endpoints.
type endpoint struct {
	Name  string  `json:"name"`
	URL   string  `json:"url"`
	Token *string `json:"token"`
}

// parseEndpoints reads the output endpoints, as terraform output -json prints it.
// It is stricter than the gateway.
func parseEndpoints(data []byte) ([]endpoint, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var list []endpoint
	if err := decoder.Decode(&list); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	names := make(map[string]bool)
	for _, e := range list {
		u, err := url.Parse(e.URL)
		if err != nil || u.Scheme != "https" || e.URL != "https://"+u.Host || u.Port() != "" {
			return nil, fmt.Errorf("%s: %q is not an https URL without path and slash", e.Name, e.URL)
		}
		if e.Name == "" || names[e.Name] || strings.ContainsAny(e.Name, " ,/") {
			return nil, fmt.Errorf("%q is not a name, or is a duplicate", e.Name)
		}
		if e.Token == nil || len(*e.Token) < 32 || strings.ContainsAny(*e.Token, " ,.") {
			return nil, fmt.Errorf("%s: the token cannot be sent", e.Name)
		}
		names[e.Name] = true
	}
	if len(list) == 0 {
		return nil, errors.New("no endpoints")
	}
	return list, nil
}

// relay serve -upstreams-file reads what terraform output -json endpoints prints.
// make tf writes the file from terraform's real output.
func TestGatewayFileParses(t *testing.T) {
	if *update {
		t.Skip("make tf-update is about to write the file")
	}
	data, err := os.ReadFile("testdata/endpoints.json")
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := parseEndpoints(data)
	if err != nil {
		t.Fatal(err)
	}
	// Terraform's mocks give all functions of a kind the same address, so the gateway
	// reads one entry at a time.
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		urls, err := failover.ParseFile(append(append([]byte("["), entry...), ']'), failover.Options{})
		if err != nil {
			t.Fatalf("entry %d: %v", i+1, err)
		}
		pool, err := failover.New(urls, failover.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if name := pool.Status()[0].Name; name != endpoints[i].Name {
			t.Errorf("entry %d is called %s, want %s", i+1, name, endpoints[i].Name)
		}
		pool.Close()
	}
	if len(endpoints) != 6 || endpoints[0].Name != "relay-aws-us-east-1" || endpoints[4].Name != "relay-vercel-iad1" ||
		endpoints[5].Name != "relay-cloudflare-workers-dev" {
		t.Errorf("got %+v", endpoints)
	}
	for _, bad := range []string{
		`[]`, `{}`, `["https://a.example"]`,
		`[{"name":"a","url":"https://a.example/","token":"0123456789abcdef0123456789abcdef"}]`,
		`[{"name":"a","url":"https://a.example/v1","token":"0123456789abcdef0123456789abcdef"}]`,
		`[{"name":"a","url":"https://a.example","token":null}]`,
	} {
		if _, err := parseEndpoints([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
