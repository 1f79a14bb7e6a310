// Command stack serves what tests of an SDK in another language need: a fake
// upstream, relays to it, and a control server that reports what they saw. It
// prints their base URLs as one line of JSON and exits when its standard input
// closes, so that it never outlives the tests that started it.
//
// With -lambda two of the relays are functions on an emulated AWS Lambda; with
// -worker one is the Worker on Cloudflare's runtime.
package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/workerd"
)

// What the tests show and look for. All of it must stay out of every log.
const (
	accessToken = "CANARY0123456789abcdef"
	heldKey     = "sk-CANARY-held"
)

// smallLimit is the body limit of the relay "small".
const smallLimit = 64 << 10

func main() {
	lambda := flag.Bool("lambda", false, "build and serve the functions too")
	worker := flag.Bool("worker", false, "serve the Worker too")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *lambda, *worker); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// run serves until in ends.
func run(in io.Reader, out io.Writer, lambda, worker bool) error {
	s := &stack{upstream: fakeopenai.NewUpstream(), relays: make(map[string]*relay), first: make(map[string]*region)}
	defer s.close()
	upstream, err := serve(s.upstream, io.Discard) // faults are meant
	if err != nil {
		return err
	}
	control, err := serve(s.control(), os.Stderr)
	if err != nil {
		return err
	}
	greeting := map[string]any{
		"upstream": upstream, "control": control,
		"accessToken": accessToken, "heldKey": heldKey, "smallLimit": smallLimit,
	}
	for name, cfg := range configs(upstream) {
		if greeting[name], err = s.startRelay(name, cfg); err != nil {
			return err
		}
	}
	if err := s.startGateway(greeting, upstream); err != nil {
		return err
	}
	if err := s.startKillable(upstream, greeting); err != nil {
		return err
	}
	if lambda {
		dir, err := os.MkdirTemp("", "stack")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := s.startFunctions(dir, upstream, greeting); err != nil {
			return err
		}
	}
	if worker {
		if err := s.startWorker(upstream, greeting); err != nil {
			return err
		}
	}
	// The SDK for Node has realtime over TLS only.
	for name, h := range map[string]http.Handler{
		"secureUpstream": s.upstream, "secureOpen": s.relays["open"], "secureToken": s.relays["token"],
	} {
		server := httptest.NewTLSServer(h)
		greeting[name] = server.URL
		greeting["ca"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	}
	if err := json.NewEncoder(out).Encode(greeting); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// configs returns the relays by their names in the greeting.
func configs(upstream string) map[string]core.Config {
	tokens := []core.Secret{accessToken}
	to := []core.Secret{core.Secret(upstream)}
	return map[string]core.Config{
		"open":        {Upstreams: to},
		"usage":       {Upstreams: to, LogUsage: true},
		"token":       {Upstreams: to, AccessTokens: tokens, PathTokens: true},
		"held":        {Upstreams: to, AccessTokens: tokens, APIKey: heldKey},
		"named":       {Upstreams: to, NamedTokens: namedTokens()},
		"small":       {Upstreams: to, MaxBodyBytes: smallLimit},
		"expired":     {Upstreams: to, NamedTokens: named(core.NamedToken{Expires: time.Now().Add(-time.Hour)})},
		"paths":       {Upstreams: to, NamedTokens: named(core.NamedToken{Paths: []string{"/v1/models"}})},
		"models":      {Upstreams: to, NamedTokens: named(core.NamedToken{Models: []string{"gpt-*", "whisper-*"}})},
		"rate":        {Upstreams: to, NamedTokens: named(core.NamedToken{PerMinute: 20})}, // after those one each 3 s
		"noWebSocket": {Upstreams: to, Platform: core.Platform{NoWebSocket: true}},
		// Ports this low are never given to a server that requests a free one.
		"down": {Upstreams: []core.Secret{"http://127.0.0.1:1"}},
	}
}

// named returns the list of one token, accessToken, that permits what token does.
func named(token core.NamedToken) []core.NamedToken {
	token.Name, token.Token = "alice", accessToken
	return []core.NamedToken{token}
}

// namedTokens returns tokens that differ in what they permit. The text of each is
// accessToken, a hyphen and its name.
func namedTokens() []core.NamedToken {
	tokens := []core.NamedToken{
		{Name: "alice", Expires: time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC), PerMinute: 60, MaxInFlight: 4},
		{Name: "soon", Expires: time.Now().Add(75 * time.Hour)},
		{Name: "gone", Expires: time.Now().Add(-time.Hour)},
		{Name: "narrow", Paths: []string{"/v1/chat/completions"}, Methods: []string{http.MethodPost}},
		{Name: "slow", PerMinute: 1},
	}
	for i := range tokens {
		tokens[i].Token = core.Secret(accessToken + "-" + tokens[i].Name)
	}
	return tokens
}

// A stack is an upstream and relays, most of them to it.
type stack struct {
	upstream   *fakeopenai.Upstream
	relays     map[string]*relay
	functions  []*lambdaemu.Server // of some relays
	worker     *workerd.Process    // nil: not started
	first      map[string]*region  // that of each gateway
	records    proc.Buffer         // of the relays
	complaints proc.Buffer         // of net/http about the relays
}

// A relay counts the requests it got.
type relay struct {
	http.Handler
	idle func(context.Context) error // waits for what is under way
	hits atomic.Int64
}

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.hits.Add(1)
	r.Handler.ServeHTTP(w, req)
}

// startRelay serves a relay and returns its base URL without "/v1".
func (s *stack) startRelay(name string, cfg core.Config) (string, error) {
	r, err := s.newRelay(name, cfg)
	if err != nil {
		return "", err
	}
	return serve(r, &s.complaints)
}

// newRelay returns a relay, which is among those of the stack.
func (s *stack) newRelay(name string, cfg core.Config) (*relay, error) {
	cfg.Logger = slog.New(slog.NewJSONHandler(&s.records, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler, err := core.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &relay{Handler: handler, idle: handler.Shutdown}
	s.relays[name] = r
	return r, nil
}

// startGateway serves a gateway over two relays, the first of which refuses
// connections, and adds it to greeting.
func (s *stack) startGateway(greeting map[string]any, upstream string) error {
	near, err := s.startRelay("near", core.Config{Upstreams: []core.Secret{core.Secret(upstream)}})
	if err != nil {
		return err
	}
	greeting["gateway"], err = s.startRelay("gateway", core.Config{
		Upstreams:    []core.Secret{"http://127.0.0.1:1#far", core.Secret(near + "#near")},
		AccessTokens: []core.Secret{accessToken},
	})
	return err
}

// serve serves h on a free port until the process ends, and returns its base
// URL.
func serve(h http.Handler, complaints io.Writer) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(complaints, "", 0)}
	go server.Serve(ln) //nolint:errcheck // it ends with the process
	return "http://" + ln.Addr().String(), nil
}
