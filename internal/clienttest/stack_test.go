package clienttest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/build"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
)

const (
	token  = "CANARY0123456789abcdef" // of every relay that a client calls
	apiKey = "sk-client"              // what the upstream must see
	key    = "rt_" + token + "." + apiKey
)

// The programs that are tested.
var (
	relayProgram  = proc.NewProgram("relay", build.Relay.BuildHere)
	lambdaProgram = proc.NewProgram("bootstrap", build.Lambda.BuildHere)
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, relayProgram, lambdaProgram)) }

// A route is a way from a client to the upstream.
type route struct {
	name  string
	start func(t *testing.T, upstream string, env []string) string // returns an address without "/v1"
}

var (
	relay   = route{"relay", startRelay}
	gateway = route{"gateway", startGateway}
	lambda  = route{"lambda", startFunction(lambdaemu.CutBroken)}
	routes  = []route{relay, gateway, lambda}

	// cleanLambda ends a stream cleanly when the function truncates it, which AWS may do.
	cleanLambda = route{"lambda, clean", startFunction(lambdaemu.CutClean)}
)

// startRelay starts a relay with access tokens.
func startRelay(t *testing.T, upstream string, env []string) string {
	return startProcess(t, append(env, "RELAY_UPSTREAMS="+upstream, "RELAY_ACCESS_TOKENS="+token))
}

// startGateway starts a gateway with access tokens before two regions, the first
// of which refuses connections.
func startGateway(t *testing.T, upstream string, env []string) string {
	const regionToken = "CANARY-of-the-region-0123"
	region := startProcess(t, append(env, "RELAY_UPSTREAMS="+upstream, "RELAY_ACCESS_TOKENS="+regionToken))
	return startProcess(t, append(env, "RELAY_ACCESS_TOKENS="+token,
		"RELAY_UPSTREAMS=http://"+proc.RefusingAddr(t)+"#first,"+
			strings.Replace(region, "://", "://rt_"+regionToken+"@", 1)+"#second"))
}

func startProcess(t *testing.T, env []string) string {
	t.Helper()
	var log proc.Buffer
	opts := proc.Options{Bare: true, Env: slices.Clone(env), Log: &log}
	p, base, err := proc.StartRelay(t.Context(), opts, relayProgram.Path(t), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if strings.Contains(log.String(), "CANARY") {
			t.Errorf("the relay's log holds a token:\n%s", &log)
		}
		if t.Failed() {
			t.Logf("log of the relay:\n%s", &log)
		}
	})
	return base
}

// startFunction returns a starter of the Lambda function behind a function URL that
// streams, and that ends a stream in the given way when the function truncates it.
func startFunction(cut lambdaemu.Cut) func(t *testing.T, upstream string, env []string) string {
	return func(t *testing.T, upstream string, env []string) string {
		vars := map[string]string{"RELAY_UPSTREAMS": upstream, "RELAY_ACCESS_TOKENS": token}
		for _, entry := range env {
			name, value, _ := strings.Cut(entry, "=")
			vars[name] = value
		}
		s := lambdaemu.Start(t, lambdaemu.Function{
			Bootstrap: lambdaProgram.Path(t), Mode: lambdaemu.ResponseStream, Cut: cut, Env: vars,
		})
		t.Cleanup(func() {
			if strings.Contains(s.Logs(), "CANARY") {
				t.Errorf("the function's log holds a token:\n%s", s.Logs())
			}
		})
		return s.URL
	}
}

// A stack is a route with both ends: the upstream, and the front at the client's
// address.
type stack struct {
	root     string // the client's address, without "/v1"
	upstream *fakeopenai.Upstream
	front    *front
}

func newStack(t *testing.T, r route, env ...string) *stack {
	t.Helper()
	u := fakeopenai.StartUpstream(t)
	f := newFront(t, r.start(t, u.URL, env))
	return &stack{root: f.url, upstream: u, front: f}
}

// A front forwards connections, byte by byte, and records the requests of the client,
// since those that the relay refuses never reach the upstream.
type front struct {
	url string

	mu   sync.Mutex
	seen []*arrival
}

// An arrival is a request as a front received it.
type arrival struct {
	method, uri string
	upgrade     bool
	at          time.Time
	body        []byte // when all of it has come
}

func (a arrival) String() string {
	s := a.method + " " + a.uri
	if a.upgrade {
		s += " (upgrade)"
	}
	return s
}

// newFront returns a front to the server at a URL.
func newFront(t *testing.T, to string) *front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "http://" + ln.Addr().String()}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f.pass(conn, strings.TrimPrefix(to, "http://"))
		}
	}()
	return f
}

// pass connects a client's connection to one to the server.
func (f *front) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	r, w := io.Pipe()
	go f.watch(r)
	go func() {
		defer server.Close()
		defer w.Close()
		io.Copy(io.MultiWriter(w, server), client) //nolint:errcheck // either end may close
	}()
	io.Copy(client, server) //nolint:errcheck // the same
}

// watch records the requests that a client sends, until one becomes a WebSocket.
func (f *front) watch(sent io.Reader) {
	defer io.Copy(io.Discard, sent) //nolint:errcheck // so that the connection stays usable
	for br := bufio.NewReader(sent); ; {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		a := &arrival{method: req.Method, uri: req.RequestURI, upgrade: req.Header.Get("Upgrade") != "", at: time.Now()}
		f.mu.Lock()
		f.seen = append(f.seen, a)
		f.mu.Unlock()
		body, err := io.ReadAll(req.Body)
		f.mu.Lock()
		a.body = body
		f.mu.Unlock()
		if err != nil || a.upgrade {
			return
		}
	}
}

// arrivals returns the requests so far.
func (f *front) arrivals() []arrival {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []arrival
	for _, a := range f.seen {
		list = append(list, *a)
	}
	return list
}

// bodies returns the bodies of the POSTs so far, in the order of their contents.
func (f *front) bodies() []string {
	var list []string
	for _, a := range f.arrivals() {
		if a.method == http.MethodPost {
			list = append(list, string(a.body))
		}
	}
	slices.Sort(list)
	return list
}
