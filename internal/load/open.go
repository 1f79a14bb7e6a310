package load

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/relay/core/protocol"
)

// An Open is an open loop: its requests are sent when they are due, however slow
// the other responses are. Latencies are measured from the due time, so that every
// delay counts. Every second request is for a stream.
type Open struct {
	Base string        // URL of the relay, without "/v1"
	Rate int           // requests per second
	For  time.Duration // no request is due later

	// Streamed and Whole are directives of package fakeopenai, for responses of
	// either kind. They may be empty.
	Streamed, Whole string
	// More, if not nil, reports after For whether to continue the load.
	More func() bool
	// Reply returns the upstream's text for the prompt id.
	Reply func(id string) string
	// Key is the clients' API key; if empty, one for benchmarks.
	Key string
	// Inspect, if not nil, is called with every response. It must be safe for
	// concurrent use.
	Inspect func(res *http.Response, body []byte)
	// Timeout is how long a client waits for the end of a response; if zero, 30 s.
	Timeout time.Duration
}

// A Response is what a client got for one request.
type Response struct {
	ID     string
	Stream bool

	Due   time.Duration // since the load began
	Late  time.Duration // from Due to the moment at which it was sent
	First time.Duration // from Due to the first byte of the body; 0 if there was none
	End   time.Duration // from Due to the end of the response

	Status   int    // 0 if there was no response
	Attempts int    // X-Relay-Attempts; 0 if absent
	Upstream string // X-Relay-Upstream
	Code     string // X-Relay-Error
	Outcome  Outcome
	Err      error // of the connection
}

// The id of a request, and the header that carries it to the upstream.
const (
	idHeader = "X-Client-Request-Id"
	idFormat = "request-%08d"
)

// Due returns when the request with an id was due, since its load began. It
// reports false if id is not one of a load.
func Due(id string, rate int) (time.Duration, bool) {
	var i int
	if _, err := fmt.Sscanf(id, idFormat, &i); err != nil {
		return 0, false
	}
	return dueAt(i, rate), true
}

func dueAt(i, rate int) time.Duration {
	return time.Duration(i) * time.Second / time.Duration(rate)
}

// Run runs the load, waits for the last response and returns all of them, in the
// order in which they were due. The load began at began.
func (o Open) Run(ctx context.Context, began time.Time) []Response {
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * o.Rate, DisableCompression: true}
	defer transport.CloseIdleConnections()
	var responses []*Response
	var asking sync.WaitGroup
	for i := 0; ctx.Err() == nil; i++ {
		due := dueAt(i, o.Rate)
		if due >= o.For && (o.More == nil || !o.More()) {
			break
		}
		a := &Response{ID: fmt.Sprintf(idFormat, i), Stream: i%2 == 0, Due: due}
		responses = append(responses, a)
		time.Sleep(time.Until(began.Add(due)))
		asking.Go(func() { o.ask(ctx, transport, began.Add(due), a) })
	}
	asking.Wait()
	all := make([]Response, len(responses))
	for i, a := range responses {
		all[i] = *a
	}
	return all
}

// ask sends a's request, once, and fills in a.
func (o Open) ask(ctx context.Context, transport http.RoundTripper, due time.Time, a *Response) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Timeout, 30*time.Second))
	defer cancel()
	a.Late = time.Since(due)
	defer func() { a.End = time.Since(due) }()
	req, err := o.request(ctx, a)
	if err != nil {
		a.Outcome, a.Err = Failed, err
		return
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		a.Outcome, a.Err = Failed, err
		return
	}
	defer res.Body.Close()
	body := &timedReader{Reader: res.Body}
	b, err := io.ReadAll(body)
	if !body.first.IsZero() {
		a.First = body.first.Sub(due)
	}
	a.Status, a.Err = res.StatusCode, err
	a.Upstream, a.Code = res.Header.Get(protocol.Upstream), res.Header.Get(protocol.ErrorCode)
	a.Attempts, _ = strconv.Atoi(res.Header.Get(protocol.Attempts)) // 0 if absent
	if o.Inspect != nil {
		o.Inspect(res, b)
	}
	a.Outcome = judge(a.Stream, res, b, err, o.Reply(a.ID))
}

func (o Open) request(ctx context.Context, a *Response) (*http.Request, error) {
	body := fmt.Appendf(nil, `{"model":"gpt-4o-mini","stream":%v,"messages":[{"role":"user","content":%q}]}`,
		a.Stream, a.ID)
	url := strings.TrimSuffix(o.Base, "/") + "/v1/chat/completions"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // with it, net/http may send the request a second time
	req.Header.Set("Authorization", "Bearer "+cmp.Or(o.Key, "sk-bench"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(idHeader, a.ID)
	req.Header.Set("Fake-Fault", o.Whole)
	if a.Stream {
		req.Header.Set("Fake-Fault", o.Streamed)
	}
	return req, nil
}

// A timedReader notes when the first byte arrived.
type timedReader struct {
	io.Reader
	first time.Time
}

func (r *timedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 && r.first.IsZero() {
		r.first = time.Now()
	}
	return n, err
}
