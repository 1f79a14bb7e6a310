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
)

// An Open is an open loop: its requests begin when they are due, however slow
// the answers to others are. What they take is measured from then on, so that
// nothing which delays a request is left out. Every other request asks for a
// stream.
type Open struct {
	Base string        // URL of the relay, without "/v1"
	Rate int           // requests per second
	For  time.Duration // no request is due later

	// Streamed and Whole are what is asked of the fake upstream for answers of
	// either kind, in the words of package fakeopenai. They may be empty.
	Streamed, Whole string
	// More, if not nil, says after For whether the load is to go on for now.
	More func() bool
	// Reply returns the text that the upstream answers to one who says id.
	Reply func(id string) string
	// Key is the API key that clients have; if empty, one for benchmarks.
	Key string
	// Inspect, if not nil, is given every answer as it came. It is called by
	// several goroutines at a time.
	Inspect func(res *http.Response, body []byte)
	// Patience is how long a client waits for the end of an answer; if zero, 30 s.
	Patience time.Duration
}

// An Answer is what a client got for one request.
type Answer struct {
	ID     string
	Stream bool

	Due   time.Duration // since the load began
	Late  time.Duration // how long after that the client came to send it
	First time.Duration // from Due to the first byte of the body; 0 if none came
	End   time.Duration // from Due to the end of the answer

	Status   int // 0 if none came
	Attempts int // as the relay says; 0 if it does not
	Upstream string
	Code     string // of an error that the relay made itself
	Outcome  Outcome
	Err      error // of the connection
}

// The id of a request, and the header that carries it to the upstream.
const (
	idHeader = "X-Client-Request-Id"
	idFormat = "request-%08d"
)

// Due returns when the request with an id was due since its load began. It
// reports false if no load makes such ids.
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

// Run puts the load on, waits for the last answer and returns all of them, in
// the order in which they were due. began is when the load did.
func (o Open) Run(ctx context.Context, began time.Time) []Answer {
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * o.Rate, DisableCompression: true}
	defer transport.CloseIdleConnections()
	var answers []*Answer
	var asking sync.WaitGroup
	for i := 0; ctx.Err() == nil; i++ {
		due := dueAt(i, o.Rate)
		if due >= o.For && (o.More == nil || !o.More()) {
			break
		}
		a := &Answer{ID: fmt.Sprintf(idFormat, i), Stream: i%2 == 0, Due: due}
		answers = append(answers, a)
		time.Sleep(time.Until(began.Add(due)))
		asking.Go(func() { o.ask(ctx, transport, began.Add(due), a) })
	}
	asking.Wait()
	all := make([]Answer, len(answers))
	for i, a := range answers {
		all[i] = *a
	}
	return all
}

// ask sends the request that a is the answer to, once.
func (o Open) ask(ctx context.Context, transport http.RoundTripper, due time.Time, a *Answer) {
	patience := o.Patience
	if patience == 0 {
		patience = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
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
	a.Upstream, a.Code = res.Header.Get("X-Relay-Upstream"), res.Header.Get("X-Relay-Error")
	a.Attempts, _ = strconv.Atoi(res.Header.Get("X-Relay-Attempts")) // 0 if it is not said
	if o.Inspect != nil {
		o.Inspect(res, b)
	}
	a.Outcome = judge(a.Stream, res, b, err, o.Reply(a.ID))
}

func (o Open) request(ctx context.Context, a *Answer) (*http.Request, error) {
	body := fmt.Appendf(nil, `{"model":"gpt-4o-mini","stream":%v,"messages":[{"role":"user","content":%q}]}`, a.Stream, a.ID)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(o.Base, "/")+"/v1/chat/completions", bytes.NewReader(body))
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

// A timedReader notes when the first byte came.
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
