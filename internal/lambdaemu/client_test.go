package lambdaemu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// waitLimit is only ever reached by a test that fails.
const waitLimit = 30 * time.Second

// client is a runtime that speaks the Runtime API itself, word for word.
type client struct {
	api  string
	http *http.Client
}

func newClient(api string) *client {
	return &client{api: "http://" + api, http: &http.Client{Transport: &http.Transport{}}}
}

// event is what /next gave.
type event struct {
	id      string
	header  http.Header
	payload []byte
	fields  struct {
		RawPath string
		Path    string
		Body    string
		Headers map[string]string
	}
}

func (c *client) next(ctx context.Context) (*event, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", c.api+"/2018-06-01/runtime/invocation/next", nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	payload, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("next: %d %s", res.StatusCode, payload)
	}
	e := &event{id: res.Header.Get("Lambda-Runtime-Aws-Request-Id"), header: res.Header, payload: payload}
	_ = json.Unmarshal(payload, &e.fields)
	return e, nil
}

// said is the Runtime API's response to a POST.
type said struct {
	status int
	kind   string // errorType, or status without an error
}

// post posts to the API, headers given as "Name", "value" in turn.
func (c *client) post(ctx context.Context, path string, body io.Reader, headers ...string) (said, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", c.api+path, body)
	if err != nil {
		return said{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return c.send(req)
}

func (c *client) send(req *http.Request) (said, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return said{}, err
	}
	defer res.Body.Close()
	var text struct{ ErrorType, Status string }
	err = json.NewDecoder(res.Body).Decode(&text)
	return said{res.StatusCode, text.ErrorType + text.Status}, err
}

func (c *client) respond(ctx context.Context, id string, body io.Reader, headers ...string) (said, error) {
	return c.post(ctx, "/2018-06-01/runtime/invocation/"+id+"/response", body, headers...)
}

// respondJSON responds with v as JSON.
func (c *client) respondJSON(ctx context.Context, id string, v any) (said, error) {
	return c.respond(ctx, id, bytes.NewReader(encode(v)), "Content-Type", "application/json")
}

// respondStream responds with a prelude and then with body.
func (c *client) respondStream(ctx context.Context, id, prelude string, body io.Reader) (said, error) {
	head := bytes.NewReader(append([]byte(prelude), delimiter...))
	return c.respond(ctx, id, struct{ io.Reader }{io.MultiReader(head, body)},
		"Content-Type", integrationResponse, "Lambda-Runtime-Function-Response-Mode", "streaming")
}

// handle returns a Function.Run that calls h with every event.
func handle(h func(ctx context.Context, c *client, e *event)) func(context.Context, string) error {
	return func(ctx context.Context, api string) error {
		c := newClient(api)
		defer c.http.CloseIdleConnections()
		for {
			e, err := c.next(ctx)
			if err != nil {
				return err
			}
			h(ctx, c, e)
		}
	}
}

// must fails the test, from any goroutine, if the API did not respond as wanted.
func (s said) must(t *testing.T, err error, want said) {
	t.Helper()
	if err != nil || s != want {
		t.Errorf("the Runtime API responded %v, %v; want %v", s, err, want)
	}
}

var accepted = said{http.StatusAccepted, "OK"}

// await waits for c, but not for ever.
func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(waitLimit):
		t.Fatalf("waited %v for %s", waitLimit, what)
	}
	return v
}

// request returns a request without headers of Go's own.
func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "test")
	return req
}

// roundTrip sends req and returns the response, unread. Its body is closed
// when the test ends.
func roundTrip(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// complete returns the response to req and its whole body.
func complete(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res := roundTrip(t, req)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the response: %v", err)
	}
	return res, string(body)
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return complete(t, request(t, "GET", url, nil))
}
