package lambdaemu

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// outcome is what became of an Invoke.
type outcome struct {
	res  *Response
	body string
	err  error // of Invoke or of the body
}

// invoke invokes a runtime with payload, and reads all of the response.
func invoke(t *testing.T, r *Runtime, payload string) <-chan outcome {
	t.Helper()
	c := make(chan outcome, 1)
	go func() {
		res, err := r.Invoke(t.Context(), []byte(payload))
		if err != nil {
			c <- outcome{err: err}
			return
		}
		body, err := io.ReadAll(res.Body)
		c <- outcome{res, string(body), err}
	}()
	return c
}

// take returns the client of a runtime with an event in its hands.
func take(t *testing.T, r *Runtime, payload string) (*client, *event, <-chan outcome) {
	t.Helper()
	done := invoke(t, r, payload)
	c := newClient(r.API)
	e, err := c.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, e, done
}

func TestNext(t *testing.T) {
	r := StartRuntime(t, Function{Timeout: time.Minute, Name: "named", Region: "eu-west-1"})
	before := time.Now()
	c, e, done := take(t, r, `{"an":"event"}`)
	if string(e.payload) != `{"an":"event"}` {
		t.Errorf("the event is %q", e.payload)
	}
	ms, err := strconv.ParseInt(e.header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if deadline := time.UnixMilli(ms); err != nil || deadline.Before(before.Add(59*time.Second)) ||
		deadline.After(time.Now().Add(time.Minute)) {
		t.Errorf("deadline %v, %v; want about a minute from now", deadline, err)
	}
	for name, want := range map[string]string{
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:named",
		"Lambda-Runtime-Trace-Id":             "Root=1-",
		"Lambda-Runtime-Aws-Request-Id":       "-",
		"Content-Type":                        "application/json",
	} {
		if got := e.header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s = %q, want %q in it", name, got, want)
		}
	}
	s, err := c.respondJSON(t.Context(), e.id, "done")
	s.must(t, err, accepted)
	if got := await(t, done, "the response"); got.body != `"done"` || got.err != nil || got.res.RequestID != e.id {
		t.Errorf("Invoke = %+v", got)
	}
}

func TestOneInvocationAtATime(t *testing.T) {
	r := StartRuntime(t, Function{})
	c, first, _ := take(t, r, "1")
	_, err := c.next(t.Context())
	if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "InvalidStateTransition") {
		t.Errorf("next before a response: %v, want 403 InvalidStateTransition", err)
	}
	second := invoke(t, r, "2")
	s, err := c.respondJSON(t.Context(), first.id, "done")
	s.must(t, err, accepted)
	select {
	case got := <-second:
		t.Errorf("the second event had an outcome before next: %+v", got)
	default: // there is no runtime that could have it
	}
	e, err := c.next(t.Context())
	if err != nil || string(e.payload) != "2" {
		t.Fatalf("next = %v, %v; want the second event", e, err)
	}
	s, err = c.respondJSON(t.Context(), first.id, "late")
	s.must(t, err, said{http.StatusBadRequest, "InvalidRequestID"})
	s, err = c.respondJSON(t.Context(), e.id, "second")
	s.must(t, err, accepted)
	if got := await(t, second, "the second response"); got.body != `"second"` {
		t.Errorf("the second response is %+v", got)
	}
}

func TestResponseStatuses(t *testing.T) {
	for _, mode := range []Mode{Buffered, ResponseStream} {
		t.Run(string(mode), func(t *testing.T) {
			c, e, done := take(t, StartRuntime(t, Function{Mode: mode}), "{}")
			ctx := t.Context()
			s, err := c.respondJSON(ctx, "nonsense", "")
			s.must(t, err, said{http.StatusBadRequest, "InvalidRequestID"})
			s, err = c.respond(ctx, e.id, nil, "Lambda-Runtime-Function-Response-Mode", "nonsense")
			s.must(t, err, said{http.StatusBadRequest, "InvalidFunctionResponseMode"})
			s, err = c.respond(ctx, e.id, strings.NewReader("body"), "Lambda-Runtime-Function-Response-Mode",
				"streaming")
			s.must(t, err, accepted)
			s, err = c.respondJSON(ctx, e.id, "again")
			s.must(t, err, said{http.StatusForbidden, "InvalidStateTransition"})
			s, err = c.post(ctx, "/2018-06-01/runtime/invocation/"+e.id+"/error", nil)
			s.must(t, err, said{http.StatusForbidden, "InvalidStateTransition"})
			if got := await(t, done, "the response"); got.body != "body" || got.err != nil {
				t.Errorf("Invoke = %+v", got)
			}
		})
	}
}

func TestError(t *testing.T) {
	c, e, done := take(t, StartRuntime(t, Function{}), "{}")
	s, err := c.post(t.Context(), "/2018-06-01/runtime/invocation/"+e.id+"/error",
		strings.NewReader(`{"errorMessage":"no"}`), "Lambda-Runtime-Function-Error-Type", "Runtime.No")
	s.must(t, err, accepted)
	got := await(t, done, "the error")
	if e, ok := errors.AsType[*FunctionError](got.err); !ok || e.Type != "Runtime.No" ||
		string(e.Body) != `{"errorMessage":"no"}` {
		t.Errorf("Invoke = %v, want the function's error", got.err)
	}
}

func TestInitError(t *testing.T) {
	r := StartRuntime(t, Function{})
	done := invoke(t, r, "{}")
	s, err := newClient(r.API).post(t.Context(), "/2018-06-01/runtime/init/error", strings.NewReader("{}"),
		"Lambda-Runtime-Function-Error-Type", "Runtime.Broken")
	s.must(t, err, accepted)
	got := await(t, done, "the error")
	if e, ok := errors.AsType[*FunctionError](got.err); !ok || e.Type != "Runtime.Broken" ||
		!errors.Is(got.err, ErrInit) {
		t.Errorf("Invoke = %v, want ErrInit with the function's error", got.err)
	}

	c, _, _ := take(t, StartRuntime(t, Function{}), "{}")
	s, err = c.post(t.Context(), "/2018-06-01/runtime/init/error", nil)
	s.must(t, err, said{http.StatusForbidden, "InvalidStateTransition"})
}

func TestErrorTrailers(t *testing.T) {
	for _, test := range []struct {
		mode     Mode
		declared string // Lambda-Runtime-Function-Response-Mode
		failed   bool
	}{
		{ResponseStream, "", true},
		{ResponseStream, "streaming", true},
		{Buffered, "streaming", true},
		{Buffered, "", false},
	} {
		c, e, done := take(t, StartRuntime(t, Function{Mode: test.mode}), "{}")
		req := request(t, "POST", c.api+"/2018-06-01/runtime/invocation/"+e.id+"/response",
			struct{ io.Reader }{strings.NewReader("half")})
		if test.declared != "" {
			req.Header.Set("Lambda-Runtime-Function-Response-Mode", test.declared)
		}
		req.Trailer = http.Header{
			"Lambda-Runtime-Function-Error-Type": {"Runtime.Half"},
			"Lambda-Runtime-Function-Error-Body": {
				base64.StdEncoding.EncodeToString([]byte(`{"errorMessage":"half"}`)),
			},
		}
		s, err := c.send(req)
		s.must(t, err, accepted)
		got := await(t, done, "the response")
		e2, ok := errors.AsType[*FunctionError](got.err)
		if ok != test.failed || ok && (e2.Type != "Runtime.Half" || string(e2.Body) != `{"errorMessage":"half"}`) {
			t.Errorf("%s, declared %q: %v, want an error: %t", test.mode, test.declared, got.err, test.failed)
		}
	}
}

func TestTruncatedResponse(t *testing.T) {
	for _, mode := range []Mode{Buffered, ResponseStream} {
		c, e, done := take(t, StartRuntime(t, Function{Mode: mode}), "{}")
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.api, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: a\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", e.id)
		_ = conn.(*net.TCPConn).CloseWrite()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadRequest ||
			!strings.Contains(string(body), "Truncated") {
			t.Errorf("%s: %d %s, want 400", mode, res.StatusCode, body)
		}
		if got := await(t, done, "the response"); !errors.Is(got.err, ErrTruncated) {
			t.Errorf("%s: Invoke = %v, want ErrTruncated", mode, got.err)
		}
	}
}

func TestResponseLimits(t *testing.T) {
	for _, test := range []struct {
		mode Mode
		size int64
		want said
		err  error
	}{
		{Buffered, maxBuffered, accepted, nil},
		{Buffered, maxBuffered + 1, said{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge"}, ErrTooLarge},
		{ResponseStream, maxBuffered + 1, accepted, nil},
		{ResponseStream, maxStreamed, accepted, nil},
		{ResponseStream, maxStreamed + 1, said{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge"}, ErrTooLarge},
	} {
		r := StartRuntime(t, Function{Mode: test.mode})
		type size struct {
			n   int64
			err error
		}
		done := make(chan size, 1)
		go func() {
			res, err := r.Invoke(t.Context(), []byte("{}"))
			if err != nil {
				done <- size{0, err}
				return
			}
			n, err := io.Copy(io.Discard, res.Body)
			done <- size{n, err}
		}()
		c := newClient(r.API)
		e, err := c.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.respond(t.Context(), e.id, io.LimitReader(zeros{}, test.size))
		s.must(t, err, test.want)
		got := await(t, done, "the response")
		if !errors.Is(got.err, test.err) || got.n > test.size || test.err == nil && got.n != test.size {
			t.Errorf("%s: %d bytes of %d, %v; want %v", test.mode, got.n, test.size, got.err, test.err)
		}
	}
}

// zeros reads zeros for ever.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestDeadlineOfARuntime(t *testing.T) {
	r := StartRuntime(t, Function{Timeout: time.Millisecond, Mode: ResponseStream})
	c, e, done := take(t, r, "{}")
	if got := await(t, done, "the deadline"); !errors.Is(got.err, ErrTimeout) {
		t.Errorf("Invoke = %v, want ErrTimeout", got.err)
	}
	s, err := c.respondJSON(t.Context(), e.id, "late")
	s.must(t, err, said{http.StatusForbidden, "InvalidStateTransition"})
}

func TestClosedBodyDoesNotStopTheFunction(t *testing.T) {
	r := StartRuntime(t, Function{Mode: ResponseStream})
	go func() {
		if res, err := r.Invoke(t.Context(), []byte("{}")); err == nil {
			res.Body.Close()
		}
	}()
	c := newClient(r.API)
	e, err := c.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.respond(t.Context(), e.id, io.LimitReader(zeros{}, 10<<20))
	s.must(t, err, accepted)
}

func TestExtension(t *testing.T) {
	r := StartRuntime(t, Function{})
	res, body := complete(t, request(t, "POST", "http://"+r.API+"/2020-01-01/extension/register",
		strings.NewReader("{}")))
	id := res.Header.Get("Lambda-Extension-Identifier")
	if res.StatusCode != http.StatusOK || id == "" || !r.wantsSIGTERM() {
		t.Errorf("register = %d %v %s", res.StatusCode, res.Header, body)
	}
	res, _ = get(t, "http://"+r.API+"/2020-01-01/extension/event/next")
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("event/next without an identifier = %d, want 403", res.StatusCode)
	}
	req := request(t, "GET", "http://"+r.API+"/2020-01-01/extension/event/next", nil)
	req.Header.Set("Lambda-Extension-Identifier", id)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
			res.Body.Close()
		}
	}()
	r.close(ErrExited)
	await(t, ended, "event/next to end with the runtime")
}
