package lambdaemu

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// stream returns a function that responds to every event with prelude and what
// body reads.
func stream(t *testing.T, prelude string, body func() io.Reader) Function {
	t.Helper()
	return Function{Mode: ResponseStream, Run: handle(func(ctx context.Context, c *client, e *event) {
		if s, err := c.respondStream(ctx, e.id, prelude, body()); ctx.Err() == nil && (err != nil || s != accepted) {
			t.Errorf("the Runtime API responded %v, %v", s, err)
		}
	})}
}

func text(s string) func() io.Reader {
	return func() io.Reader { return strings.NewReader(s) }
}

func TestEachChunkAtOnce(t *testing.T) {
	next := make(chan string)
	s := Start(t, stream(t, `{"statusCode":201,"headers":{"Content-Type":"text/event-stream"}}`, func() io.Reader {
		r, w := io.Pipe()
		go func() {
			for chunk := range next {
				_, _ = io.WriteString(w, chunk)
			}
			w.Close()
		}()
		return r
	}))
	// The head is there before any of the body is, and a chunk before the next.
	res := roundTrip(t, request(t, "GET", s.URL, nil))
	if res.StatusCode != 201 || res.Header.Get("Content-Type") != "text/event-stream" ||
		res.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	lines := bufio.NewReader(res.Body)
	for _, chunk := range []string{"data: 1\n", "data: 2\n", "data: 3\n"} {
		next <- chunk
		if got, err := lines.ReadString('\n'); got != chunk || err != nil {
			t.Errorf("read %q, %v; want %q", got, err, chunk)
		}
	}
	close(next)
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("read %q, %v; want the end", rest, err)
	}
}

func TestPrelude(t *testing.T) {
	const body = "\x00body\x00"
	for _, split := range []int{1, 2, 7, 16, 1 << 20} {
		prelude := `{"statusCode":202,"headers":{"X-One":"1","X-Number":5},"cookies":["a=1; Path=/","b=2"]}`
		s := Start(t, Function{Mode: ResponseStream, Run: handle(func(ctx context.Context, c *client, e *event) {
			var r io.Reader = strings.NewReader(prelude + string(delimiter) + body)
			if split == 1 {
				r = iotest.OneByteReader(r)
			} else {
				r = &chunks{r, split}
			}
			_, _ = c.respond(ctx, e.id, struct{ io.Reader }{r}, "Content-Type", integrationResponse)
		})})
		res, got := get(t, s.URL)
		if res.StatusCode != 202 || res.Header.Get("X-One") != "1" || res.Header.Get("X-Number") != "5" || got != body {
			t.Errorf("split by %d: %d %v %q", split, res.StatusCode, res.Header, got)
		}
		if cookies := res.Header.Values("Set-Cookie"); !slices.Equal(cookies, []string{"a=1; Path=/", "b=2"}) {
			t.Errorf("cookies %q", cookies)
		}
		if got := res.Header.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("without a Content-Type it is %q", got)
		}
	}
}

// chunks reads n bytes at a time.
type chunks struct {
	r io.Reader
	n int
}

func (c *chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

func TestBadPreludes(t *testing.T) {
	for _, test := range []struct {
		prelude string
		status  int
	}{
		{`{"statusCode":200`, 502},
		{`[]`, 502},
		{`{"statusCode":"200"}`, 502},
		{`{"statusCode":103}`, 502},
		{`{"statusCode":1000}`, 502},
		{`{}`, 200},
		{`{"headers":{"X-Amzn-Remapped-Connection":"close"}}`, 500},
		{`{"headers":{"x-amzn-remapped-content-length":"4"}}`, 500},
	} {
		s := Start(t, stream(t, test.prelude, text("body")))
		res, body := get(t, s.URL)
		if res.StatusCode != test.status || (body == "body") != (test.status == 200) {
			t.Errorf("%s: %d %q, want %d", test.prelude, res.StatusCode, body, test.status)
		}
	}
	s := Start(t, Function{Mode: ResponseStream, Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respond(ctx, e.id, strings.NewReader(`{"statusCode":200}`), "Content-Type", integrationResponse)
	})})
	if res, body := get(t, s.URL); res.StatusCode != http.StatusBadGateway || body != "Internal Server Error" {
		t.Errorf("no delimiter: %d %q, want 502", res.StatusCode, body)
	}
}

func TestResponseWithoutPrelude(t *testing.T) {
	s := Start(t, Function{Mode: ResponseStream, Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 404, "body": "lost"})
	})})
	res, body := get(t, s.URL)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" ||
		body != `{"body":"lost","statusCode":404}` {
		t.Errorf("got %d %v %q, want the JSON as it is", res.StatusCode, res.Header, body)
	}
}

func TestStreamedHeadersAreRemapped(t *testing.T) {
	s := Start(t, stream(t, `{"headers":{"Connection":"close","content-length":"4","Date":"then","X-Own":"own"}}`,
		text("body")))
	res, body := get(t, s.URL)
	if body != "body" || res.ContentLength != -1 || res.Close {
		t.Errorf("got %q, length %d, close %t", body, res.ContentLength, res.Close)
	}
	for name, want := range map[string]string{
		"X-Amzn-Remapped-Connection": "close", "X-Amzn-Remapped-Content-Length": "4", "X-Amzn-Remapped-Date": "then",
		"X-Own": "own",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if res.Header.Get("Date") == "then" {
		t.Error("the function's Date is not renamed")
	}
}

func TestStreamThatFails(t *testing.T) {
	for _, cut := range []Cut{CutBroken, CutClean} {
		s := Start(t, Function{Cut: cut, Mode: ResponseStream,
			Run: handle(func(ctx context.Context, c *client, e *event) {
				body := strings.NewReader("{}" + string(delimiter) + "half")
				req, _ := http.NewRequestWithContext(ctx, "POST",
					c.api+"/2018-06-01/runtime/invocation/"+e.id+"/response", struct{ io.Reader }{body})
				req.Header.Set("Content-Type", integrationResponse)
				req.Trailer = http.Header{
					"Lambda-Runtime-Function-Error-Type": {"Runtime.Half"},
					"Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte("{}"))},
				}
				_, _ = c.send(req)
			})})
		for range 2 { // the environment stays in use
			res := roundTrip(t, request(t, "GET", s.URL, nil))
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != 200 || string(body) != "half" || (err == nil) != (cut == CutClean) {
				t.Errorf("%s: %d %q, %v", cut, res.StatusCode, body, err)
			}
		}
		if stats := s.Stats(); stats.Spawned != 1 || stats.Crashed != 0 {
			t.Errorf("%s: %+v", cut, stats)
		}
		if !strings.Contains(s.Logs(), "Runtime.Half") {
			t.Errorf("%s: the logs do not report it: %s", cut, s.Logs())
		}
	}
}

func TestClientGone(t *testing.T) {
	written := make(chan error, 1)
	gone := make(chan struct{})
	s := Start(t, Function{Concurrency: 1, SettleTimeout: time.Minute, Mode: ResponseStream,
		Run: handle(func(ctx context.Context, c *client, e *event) {
			if e.fields.RawPath != "/leave" {
				_, _ = c.respondStream(ctx, e.id, "{}", strings.NewReader("next"))
				return
			}
			r, w := io.Pipe()
			go func() {
				_, err := io.WriteString(w, "first")
				<-gone
				for range 1000 {
					if err == nil {
						_, err = io.WriteString(w, strings.Repeat("more", 1000))
					}
				}
				written <- err
				w.Close()
			}()
			s, err := c.respondStream(ctx, e.id, "{}", r)
			s.must(t, err, accepted)
		})})
	ctx, leave := context.WithCancel(t.Context())
	res, err := http.DefaultTransport.RoundTrip(request(t, "GET", s.URL+"/leave", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	// While the stream runs, the only environment is busy, client or not.
	if res, body := get(t, s.URL+"/next"); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second request: %d %s, want 429", res.StatusCode, body)
	}
	leave()
	res.Body.Close()
	close(gone)
	if err := await(t, written, "the function to write all"); err != nil {
		t.Errorf("the function was stopped: %v", err)
	}
	// Eventually it is drained, and the environment is free again.
	for {
		res, body := get(t, s.URL+"/next")
		if res.StatusCode == http.StatusOK && body == "next" {
			break
		}
		if res.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("after that: %d %s", res.StatusCode, body)
		}
	}
	if stats := s.Stats(); stats.Spawned != 1 {
		t.Errorf("%+v, want one environment", stats)
	}
}

func TestHeadAndBodilessStatuses(t *testing.T) {
	s := Start(t, stream(t, `{"statusCode":204}`, text("")))
	if res, body := get(t, s.URL); res.StatusCode != 204 || body != "" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	s = Start(t, stream(t, `{"statusCode":200}`, text("body")))
	if res, body := complete(t, request(t, "HEAD", s.URL, nil)); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: got %d %q", res.StatusCode, body)
	}
}

func TestInvoke(t *testing.T) {
	s := Start(t, Function{Run: handle(func(ctx context.Context, c *client, e *event) {
		if string(e.payload) == "{}" {
			_, _ = c.post(ctx, "/2018-06-01/runtime/invocation/"+e.id+"/error", nil)
			return
		}
		_, _ = c.respond(ctx, e.id, strings.NewReader("got "+string(e.payload)))
	})})
	res, err := s.Invoke(t.Context(), []byte(`"warm-up"`))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != `got "warm-up"` || err != nil {
		t.Errorf("Invoke = %q, %v", body, err)
	}
	_, err = s.Invoke(t.Context(), []byte("{}"))
	if _, ok := errors.AsType[*FunctionError](err); !ok {
		t.Errorf("Invoke = %v, want a FunctionError", err)
	}
}
