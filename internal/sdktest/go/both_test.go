package sdktest

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// canary is part of every key, token, prompt and query here, so that nothing of
// them gets into a relay's log unnoticed.
const canary = "CANARY"

const (
	apiKey  = "sk-CANARY-client"
	heldKey = "sk-CANARY-held"
	token   = "CANARY0123456789abcdef"
	prompt  = "CANARY sings café songs in the dark"
)

// An api is the SDK's client, and the upstream at the other end.
type api struct {
	openai.Client
	upstream *fakeopenai.Upstream
}

// newAPI returns a client that reaches u at base, without "/v1".
func newAPI(u *fakeopenai.Upstream, base string, opts ...option.RequestOption) *api {
	opts = append([]option.RequestOption{
		option.WithBaseURL(base + "/v1"),
		option.WithAPIKey(apiKey),
		option.WithQuery("note", canary),
	}, opts...)
	return &api{Client: openai.NewClient(opts...), upstream: u}
}

// both calls f with a client that talks to an upstream directly, and then with
// one that talks to another through a relay. It fails the test unless f
// returned the same, and the upstreams saw the same requests. What f returns
// should be all that a program can observe; f itself checks that it is right.
func both[T any](t *testing.T, f func(t *testing.T, a *api) T) {
	t.Helper()
	bothBy(t, inProcess, f)
}

// bothBy is [both] for a relay on any platform.
func bothBy[T any](t *testing.T, w way, f func(t *testing.T, a *api) T) {
	t.Helper()
	var direct, relayed T
	var saw, sawRelayed []sighting
	t.Run("direct", func(t *testing.T) {
		u := fakeopenai.StartUpstream(t)
		direct = f(t, newAPI(u, u.URL))
		saw = sightings(u)
	})
	t.Run(w.name, func(t *testing.T) {
		u := fakeopenai.StartUpstream(t)
		relayed = f(t, newAPI(u, w.serve(t, u)))
		sawRelayed = sightings(u)
	})
	if t.Failed() {
		return
	}
	if !reflect.DeepEqual(relayed, direct) {
		t.Errorf("relayed, the SDK returned\n%+v\nwant what it returned directly\n%+v", relayed, direct)
	}
	if len(sawRelayed) != len(saw) {
		t.Fatalf("relayed, the upstream saw %d requests, want %d as directly", len(sawRelayed), len(saw))
	}
	for i := range saw {
		if w.identity {
			saw[i].Header.Del("Accept-Encoding")
			sawRelayed[i].Header.Del("Accept-Encoding")
		}
		if !reflect.DeepEqual(sawRelayed[i], saw[i]) {
			t.Errorf("relayed, the upstream saw as request %d\n%.2000v\nwant what it saw directly\n%.2000v", i+1,
				sawRelayed[i], saw[i])
		}
	}
}

// A sighting is what the upstream saw of a request and must see with a relay in
// between as well.
type sighting struct {
	Method, URI      string
	Header           http.Header
	ContentLength    int64
	TransferEncoding []string
	Body             string
}

func sightings(u *fakeopenai.Upstream) []sighting {
	var list []sighting
	for _, req := range u.Requests() {
		s := sighting{req.Method, req.RequestURI, req.Header.Clone(), req.ContentLength, req.TransferEncoding,
			string(req.Body)}
		s.Header.Del("Relay-Hop")         // the one thing that a relay adds
		s.Header.Del("Sec-Websocket-Key") // random
		if _, params, err := mime.ParseMediaType(s.Header.Get("Content-Type")); err == nil && params["boundary"] != "" {
			s.Header.Set("Content-Type", strings.ReplaceAll(s.Header.Get("Content-Type"), params["boundary"],
				"boundary"))
			s.Body = strings.ReplaceAll(s.Body, params["boundary"], "boundary")
		}
		list = append(list, s)
	}
	return list
}

// A relay is one that serves a test.
type relay struct {
	url  string // without "/v1"
	log  *proc.Buffer
	hits atomic.Int64
}

// relayTo returns the configuration of a relay to u that anyone may use.
func relayTo(u *fakeopenai.Upstream) core.Config {
	return core.Config{Upstreams: []core.Secret{core.Secret(u.URL)}}
}

// startRelay serves a relay for cfg until the test ends. Then it fails the test
// if the relay's log holds a secret or lacks a request, or if net/http had to
// complain of the relay.
func startRelay(t *testing.T, cfg core.Config) *relay {
	t.Helper()
	var records, complaints proc.Buffer
	cfg.Logger = slog.New(slog.NewJSONHandler(&records, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{log: &records}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits.Add(1)
		handler.ServeHTTP(w, req)
	}))
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	r.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		// A hijacked connection does not belong to the server any more.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := handler.Shutdown(ctx); err != nil {
			t.Errorf("a request is still in flight: %v", err)
		}
		if text := records.String(); strings.Contains(text, canary) {
			t.Errorf("the relay's log holds a secret:\n%s", text)
		}
		if got, want := strings.Count(records.String(), `"msg":"request"`), int(r.hits.Load()); got != want {
			t.Errorf("the relay's log has %d requests, want %d:\n%s", got, want, records.String())
		}
		if text := complaints.String(); text != "" {
			t.Errorf("net/http complained of the relay:\n%s", text)
		}
	})
	return r
}

// wantHits fails the test unless the relay got n requests.
func (r *relay) wantHits(t *testing.T, n int) {
	t.Helper()
	if got := int(r.hits.Load()); got != n {
		t.Errorf("the SDK made %d attempts, want %d", got, n)
	}
}

// wantRequests fails the test unless the upstream got n requests.
func (a *api) wantRequests(t *testing.T, n int) {
	t.Helper()
	if got := a.upstream.Arrived(); got != n {
		t.Errorf("the upstream got %d requests, want %d", got, n)
	}
}

// A failure is what a program can observe of an error of the SDK.
type failure struct {
	Kind                       string // Go type
	Status                     int
	Code, Type, Message, Param string
	RawJSON                    string
	RequestID                  string
	RetryAfterMs, ShouldRetry  string
}

// failureOf returns the failure in err, which must not be nil.
func failureOf(t *testing.T, err error) failure {
	t.Helper()
	if err == nil {
		t.Fatal("the SDK returned no error, want one")
	}
	f := failure{Kind: fmt.Sprintf("%T", err)}
	// The SDK wraps nothing around its own errors, which errors.As would hide.
	if e, ok := err.(*openai.Error); ok { //nolint:errorlint // the exact type is the point
		f.Status, f.RawJSON = e.StatusCode, e.RawJSON()
		f.Code, f.Type, f.Message, f.Param = e.Code, e.Type, e.Message, e.Param
		f.RequestID = e.Response.Header.Get("X-Request-Id")
		f.RetryAfterMs = e.Response.Header.Get("Retry-After-Ms")
		f.ShouldRetry = e.Response.Header.Get("X-Should-Retry")
	}
	return f
}

// wantError fails the test unless f has a status and a code.
func (f failure) wantError(t *testing.T, status int, code string) {
	t.Helper()
	if f.Kind != "*apierror.Error" || f.Status != status || f.Code != code {
		t.Errorf("error = %s %d %q, want an *openai.Error %d %q", f.Kind, f.Status, f.Code, status, code)
	}
}
