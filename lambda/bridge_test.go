package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"example.com/relay/core"
)

// decode returns the event in a file of testdata.
func decode(t *testing.T, file string) event {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var e event
	if err := json.Unmarshal(data, &e); err != nil || e.err != nil {
		t.Fatal(err, e.err)
	}
	return e
}

func TestEventsBecomeRequests(t *testing.T) {
	tests := []struct {
		file                          string
		kind                          kind
		method, path, query, host, ip string
		header                        http.Header
		body                          string
	}{
		{"function-url.json", kindFunctionURL, "POST", "/v1/files/a%20b", "purpose=x%2Fy&a=1;b=2&a=%zz",
			"abcdefghij.lambda-url.eu-west-3.on.aws", "203.0.113.7", http.Header{
				"Host": {"abcdefghij.lambda-url.eu-west-3.on.aws"}, "Content-Type": {"multipart/form-data; boundary=x"},
				"Content-Length": {"8"}, "Cookie": {"session=1; theme=dark"}, "Authorization": {"Bearer sk-1"},
				"If-None-Match": {`"a,b"`}, "X-Json": {`{"a":1,"b":"x, y"}`}, "X-Forwarded-For": {"203.0.113.7"},
				"X-Forwarded-Proto": {"https"}, "X-Amzn-Trace-Id": {"Root=1-2-3"}, "User-Agent": {"OpenAI/Python 3"},
			}, "\x00\x01\x02\xfe\xff\r\na"},
		{"http-api.json", kindHTTPAPI, "POST", "/v1/chat/completions", "b=2&a=1",
			"abcdefghij.execute-api.eu-west-3.amazonaws.com", "203.0.113.7", http.Header{
				"Host": {"api.example"}, "Content-Type": {"application/json"}, "Content-Length": {"2"},
				"Date": {"Sun, 22 Nov 2026 08:00:00 GMT"},
			}, "{}"},
		{"rest.json", kindREST, "GET", "/v1/models", "n=2&q=x&q=a+b%26c",
			"abcdefghij.execute-api.eu-west-3.amazonaws.com", "203.0.113.7", http.Header{
				"Accept": {"application/json"}, "X-Twice": {"a", "b"},
			}, ""},
		{"alb.json", kindALB, "DELETE", "/v1/files/file-1", "a=x%20y&b=%2F", "relay.example", "", http.Header{
			"Host": {"relay.example"}, "X-Forwarded-For": {"203.0.113.7"}, "Content-Type": {"text/plain"},
		}, "hello"},
		{"alb-multi-value.json", kindALB, "GET", "/v1/models", "a=1&a=x%20y", "relay.example", "", http.Header{
			"Host": {"relay.example"}, "X-Twice": {"a", "b"},
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			e := decode(t, test.file)
			if got := e.kind(); got != test.kind {
				t.Errorf("kind %d, want %d", got, test.kind)
			}
			req, err := e.request(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(req.Body)
			if req.Method != test.method || req.URL.EscapedPath() != test.path || req.URL.RawQuery != test.query ||
				req.Host != test.host || req.RemoteAddr != test.ip {
				t.Errorf("got %s %s?%s of %s from %s",
					req.Method, req.URL.EscapedPath(), req.URL.RawQuery, req.Host, req.RemoteAddr)
			}
			if string(body) != test.body || req.ContentLength != int64(len(test.body)) {
				t.Errorf("body %q of length %d, want %q", body, req.ContentLength, test.body)
			}
			if !maps.EqualFunc(req.Header, test.header, slices.Equal) {
				t.Errorf("header %v, want %v", req.Header, test.header)
			}
		})
	}
}

func TestMalformedEventsAreErrors(t *testing.T) {
	base := func(change func(*event)) event {
		e := decode(t, "function-url.json")
		change(&e)
		return e
	}
	tests := map[string]event{
		"host in the path":     base(func(e *event) { e.RawPath = "@127.0.0.1:9/x" }),
		"relative path":        base(func(e *event) { e.RawPath = "v1/models" }),
		"empty path":           base(func(e *event) { e.RawPath = "" }),
		"bad escape":           base(func(e *event) { e.RawPath = "/v1/%zz" }),
		"bad base64":           base(func(e *event) { e.Body = "!!!" }),
		"cut base64":           base(func(e *event) { e.Body = "AAEC/" }),
		"no method":            base(func(e *event) { e.RequestContext.HTTP.Method = "" }),
		"line break in header": base(func(e *event) { e.Headers["x-a"] = "a\r\nb: c" }),
		"NUL in a header":      base(func(e *event) { e.Headers["x-a"] = "a\x00" }),
		"space in a name":      base(func(e *event) { e.Headers["x a"] = "a" }),
		"space in the query":   base(func(e *event) { e.RawQueryString = "a b" }),
		"line break in query":  base(func(e *event) { e.RawQueryString = "a\r\nb" }),
		"undecodable":          base(func(e *event) { e.err = errors.New("x") }),
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			if req, err := e.request(t.Context()); err == nil {
				t.Fatalf("became %s %s", req.Method, req.URL)
			}
			for _, stream := range []bool{true, false} {
				b := &bridge{handler: http.NotFoundHandler(), stream: stream}
				out, err := b.invoke(t.Context(), e)
				if err != nil {
					t.Fatal(err)
				}
				got := read(t, out)
				if got.status != 400 || got.code() != "invalid_event" {
					t.Errorf("stream %t: got %d %s", stream, got.status, got.body)
				}
			}
		})
	}
}

// A response is what the platform would send to a client.
type response struct {
	status  int
	header  map[string]string
	cookies []string
	body    string
	err     error // that ended the body, if any
}

// code returns the code of a relay's error, or "".
func (r response) code() string {
	var body struct {
		Error struct{ Type, Code, Message string }
	}
	if json.Unmarshal([]byte(r.body), &body) != nil || body.Error.Type != "relay_error" || body.Error.Message == "" {
		return ""
	}
	return body.Error.Code
}

// read reads what invoke returned as the platform does.
func read(t *testing.T, out any) response {
	t.Helper()
	switch out := out.(type) {
	case *events.LambdaFunctionURLStreamingResponse:
		all, err := io.ReadAll(out)
		prelude, body, ok := bytes.Cut(all, make([]byte, 8))
		if !ok {
			t.Fatalf("no prelude in %q", all)
		}
		var head struct {
			StatusCode int
			Headers    map[string]string
			Cookies    []string
		}
		if err := json.Unmarshal(prelude, &head); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		return response{head.StatusCode, head.Headers, head.Cookies, string(body), err}
	case json.RawMessage:
		var buffered struct {
			StatusCode        int
			Headers           map[string]string
			MultiValueHeaders map[string][]string
			Cookies           []string
			Body              string
			IsBase64Encoded   bool
		}
		if err := json.Unmarshal(out, &buffered); err != nil {
			t.Fatal(err)
		}
		if buffered.IsBase64Encoded {
			b, err := base64.StdEncoding.DecodeString(buffered.Body)
			if err != nil {
				t.Fatal(err)
			}
			buffered.Body = string(b)
		}
		if buffered.Headers == nil {
			buffered.Headers = make(map[string]string)
			for name, values := range buffered.MultiValueHeaders {
				buffered.Headers[name] = strings.Join(values, ", ")
			}
		}
		return response{buffered.StatusCode, buffered.Headers, buffered.Cookies, buffered.Body, nil}
	}
	t.Fatalf("invoke returned a %T", out)
	panic("unreachable")
}

// all maps the events that are requests to whether their responses are streamed in
// the mode RESPONSE_STREAM.
var all = map[string]bool{
	"function-url.json": true, "http-api.json": false, "rest.json": true, "alb.json": false,
	"alb-multi-value.json": false,
}

func TestResponses(t *testing.T) {
	binary := "\x00\xff\xfe" + strings.Repeat("\x80", 1000)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header()["X-Request-Id"] = []string{"req_1"}
		w.Header()["Link"] = []string{"<a>", "<b>"}
		w.Header()["Set-Cookie"] = []string{"a=1; Path=/", "b=2, c"}
		w.Header().Set("Content-Length", "1003")
		w.Header().Set("Connection", "close")
		w.Header().Set("X-Amzn-Remapped-Content-Length", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, binary)
	})
	for file, streams := range all {
		for _, stream := range []bool{true, false} {
			out, err := (&bridge{handler: h, stream: stream}).invoke(t.Context(), decode(t, file))
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := out.(io.Reader); ok != (stream && streams) {
				t.Errorf("%s, stream %t: returned a %T", file, stream, out)
			}
			got := read(t, out)
			if got.status != 201 || got.body != binary || got.err != nil {
				t.Errorf("%s: got %d, %d bytes, %v", file, got.status, len(got.body), got.err)
			}
			if got.header["X-Request-Id"] != "req_1" || got.header["Link"] != "<a>, <b>" ||
				got.header["Content-Type"] != "audio/mpeg" {
				t.Errorf("%s: header %v", file, got.header)
			}
			for _, name := range []string{"Content-Length", "Connection"} {
				if value, ok := got.header[name]; ok {
					t.Errorf("%s: %s = %q, which the platform would rename", file, name, value)
				}
			}
			if got.cookies != nil && !slices.Equal(got.cookies, []string{"a=1; Path=/", "b=2, c"}) {
				t.Errorf("%s: cookies %q", file, got.cookies)
			}
		}
	}
}

// Header values that are not UTF-8 are taken for ISO 8859-1, and none becomes a
// replacement character.
func TestHeadersInLatin1(t *testing.T) {
	upstream := []string{"caf\xe9", "r\xf6d"}
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Name"] = upstream
		w.Header()["X-Utf"] = []string{"café"}
		w.Header()["Content-Disposition"] = []string{"attachment; filename=\"\xfc.txt\""}
	})
	for file := range all {
		for _, stream := range []bool{true, false} {
			out, err := (&bridge{handler: h, stream: stream}).invoke(t.Context(), decode(t, file))
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, out).header
			if got["X-Name"] != "café, röd" || got["X-Utf"] != "café" ||
				got["Content-Disposition"] != "attachment; filename=\"ü.txt\"" {
				t.Errorf("%s, stream %t: header %q", file, stream, got)
			}
		}
	}
	if upstream[0] != "caf\xe9" {
		t.Errorf("the handler's own values were changed: %q", upstream)
	}
}

// So are those of requests.
func TestRequestHeadersInLatin1(t *testing.T) {
	for in, want := range map[string]string{
		"caf\xe9": "café", "café": "café", "r\xf6d, café": "röd, café", "\xef\xbf\xbd": "\uFFFD", "\xef\xbf": "ï¿",
	} {
		var e event
		data := `{"rawPath":"/v1/models","headers":{"x-name":"` + in + `"},"requestContext":{"http":{"method":"GET"}}}`
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		got := ""
		h := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req.Header.Get("X-Name") })
		if _, err := (&bridge{handler: h}).invoke(t.Context(), e); err != nil || got != want {
			t.Errorf("%q arrives as %q, want %q: %v", in, got, want, err)
		}
	}
}

func TestSchedulesGetHealth(t *testing.T) {
	r := core.FromEnv([]string{"RELAY_NAME=warm", "RELAY_LOG_LEVEL=off"}, platform)
	for _, stream := range []bool{true, false} {
		for _, raw := range []string{"schedule.json", "{}", "null", `{"key1":"value1"}`} {
			e := event{}
			if strings.HasSuffix(raw, ".json") {
				e = decode(t, raw)
			} else if err := json.Unmarshal([]byte(raw), &e); err != nil {
				t.Fatal(err)
			}
			out, err := (&bridge{handler: r, stream: stream}).invoke(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, out); got.status != 200 || !strings.Contains(got.body, `"name":"warm"`) ||
				!strings.Contains(got.body, `"platform":"AWS Lambda"`) {
				t.Errorf("%s: got %d %s", raw, got.status, got.body)
			}
		}
	}
}

func TestResponsesThatAreTooLarge(t *testing.T) {
	for file, streams := range all {
		for name, write := range map[string]func(w io.Writer) error{
			"text": func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte("x"), 7<<20)); return err },
			// A NUL takes six bytes in JSON.
			"NULs":        func(w io.Writer) error { _, err := w.Write(make([]byte, 2<<20)); return err },
			"endless":     func(w io.Writer) error { return endless(w) },
			"just base64": func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte{0xff}, 5<<20)); return err },
		} {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if write(w) != nil {
					panic(http.ErrAbortHandler)
				}
			})
			if name == "endless" && streams {
				continue // read would never return
			}
			out, err := (&bridge{handler: h}).invoke(t.Context(), decode(t, file))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, out); got.status != 502 || got.code() != "response_too_large" {
				t.Errorf("%s, %s: got %d %.100q", file, name, got.status, got.body)
			}
			if size := len(out.(json.RawMessage)); size > 1<<20 {
				t.Errorf("%s, %s: the response takes %d bytes", file, name, size)
			}
		}
	}
}

// endless writes until a write fails.
func endless(w io.Writer) error {
	for block := make([]byte, 64<<10); ; {
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
}

func TestPanicsAndAborts(t *testing.T) {
	tests := []struct {
		name              string
		write, flush      bool
		value             any
		status            int
		code              string
		truncatedIfStream bool
	}{
		{"panic", false, false, "secret", 500, "relay_internal_error", false},
		{"abort", false, false, http.ErrAbortHandler, 502, "upstream_interrupted", false},
		{"panic late", true, false, "secret", 500, "relay_internal_error", true},
		{"abort late", true, true, http.ErrAbortHandler, 502, "upstream_interrupted", true},
	}
	for _, test := range tests {
		for file, streams := range all {
			for _, stream := range []bool{true, false} {
				h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if test.write {
						_, _ = io.WriteString(w, "data: 1\n\n")
					}
					if test.flush {
						if err := http.NewResponseController(w).Flush(); err != nil {
							t.Error(err)
						}
					}
					panic(test.value)
				})
				out, err := (&bridge{handler: h, stream: stream}).invoke(t.Context(), decode(t, file))
				if err != nil {
					t.Fatal(err)
				}
				got := read(t, out)
				if test.truncatedIfStream && stream && streams {
					if got.status != 200 || got.body != "data: 1\n\n" || !errors.Is(got.err, errAborted) {
						t.Errorf("%s, %s: got %d %q %v", test.name, file, got.status, got.body, got.err)
					}
					continue
				}
				if got.status != test.status || got.code() != test.code || got.err != nil {
					t.Errorf("%s, %s: got %d %q %v", test.name, file, got.status, got.body, got.err)
				}
			}
		}
	}
}

// The runtime closes a response before it takes the next event, and the handler
// must have returned by then.
func TestCloseEndsTheHandler(t *testing.T) {
	var ended bool
	s := streamed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer func() { ended = true }()
		_ = endless(w)
	}), newRequest(t.Context(), "/"))
	if _, err := io.ReadFull(s, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || !ended {
		t.Errorf("Close = %v, handler ended: %t", err, ended)
	}
}

// Whatever the event, the response is one that a client of OpenAI understands:
// the upstream's, health, the page, or an error in OpenAI's shape.
func TestRandomEvents(t *testing.T) {
	r := core.FromEnv([]string{"RELAY_LOG_LEVEL=off", "RELAY_ACCESS_TOKENS=t"}, platform)
	var seeds [][]byte
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		seed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for tried < 10_000 {
		data := mutate(random, seeds[random.IntN(len(seeds))])
		var e event
		if json.Unmarshal(data, &e) != nil {
			continue // Lambda delivers JSON only
		}
		tried++
		checkResponse(t, &bridge{handler: r, stream: tried%2 == 0}, e, data)
	}
}

// checkResponse checks that the response to e is one of those that may be.
func checkResponse(t *testing.T, b *bridge, e event, data []byte) {
	t.Helper()
	out, err := b.invoke(context.Background(), e)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	got := read(t, out)
	healthy := got.status == 200 && strings.Contains(got.body, `"platform":"AWS Lambda"`)
	preflight := got.status == 204
	page := got.status == 200 && strings.HasPrefix(got.body, "<!doctype html>") // the path is, or became, "/"
	if !healthy && !preflight && !page && got.code() == "" {
		t.Errorf("%s: got %d %q", data, got.status, got.body)
	}
}

// mutate returns seed with a few of its values replaced, or with bytes changed.
func mutate(random *rand.Rand, seed []byte) []byte {
	if random.IntN(4) == 0 {
		data := bytes.Clone(seed)
		for range 1 + random.IntN(4) {
			data[random.IntN(len(data))] = byte(random.IntN(128))
		}
		return data
	}
	var tree any
	if err := json.Unmarshal(seed, &tree); err != nil {
		panic(err)
	}
	for range 1 + random.IntN(4) {
		tree = replaced(random, tree)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return data
}

// replaced returns tree with one value somewhere in it replaced or removed.
func replaced(random *rand.Rand, tree any) any {
	object, ok := tree.(map[string]any)
	if !ok || len(object) == 0 || random.IntN(6) == 0 {
		values := []any{
			nil, true, 1.5, "", "x", "/v1/models", "../..", "\x00", "é", "%zz", "//", "OPTIONS", "GET", "CONNECT",
			"a\r\nb: c", "@evil/",
			[]any{}, []any{1.0}, map[string]any{}, map[string]any{"a": nil}, strings.Repeat("x", 9000), "AAEC", "!",
		}
		return values[random.IntN(len(values))]
	}
	names := slices.Sorted(maps.Keys(object))
	name := names[random.IntN(len(names))]
	if random.IntN(5) == 0 {
		delete(object, name)
	} else {
		object[name] = replaced(random, object[name])
	}
	return object
}

func FuzzEvent(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		if seed, err := os.ReadFile(file); err == nil {
			f.Add(seed)
		}
	}
	f.Add([]byte(`{"requestContext":{"http":{}},"rawPath":"@evil/","headers":null}`))
	f.Add([]byte(`{"httpMethod":"GET","path":"/"}`))
	r := core.FromEnv([]string{"RELAY_LOG_LEVEL=off", "RELAY_ACCESS_TOKENS=t"}, platform)
	f.Fuzz(func(t *testing.T, data []byte) {
		var e event
		if !utf8.Valid(data) || json.Unmarshal(data, &e) != nil {
			return
		}
		for _, stream := range []bool{true, false} {
			checkResponse(t, &bridge{handler: r, stream: stream}, e, data)
		}
	})
}

// The same for a handler that waits for its upstream.
func TestCloseEndsAWaitingHandler(t *testing.T) {
	var cause error
	s := streamed(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusOK)
		<-req.Context().Done()
		cause = req.Context().Err()
	}), newRequest(t.Context(), "/"))
	if err := s.Close(); err != nil || cause == nil {
		t.Errorf("Close = %v, the handler's context ended with %v", err, cause)
	}
}

func TestStages(t *testing.T) {
	tests := []struct{ domain, stage, path, want string }{
		{"x.execute-api.eu-west-3.amazonaws.com", "prod", "/prod/v1/models", "/v1/models"},
		{"x.execute-api.eu-west-3.amazonaws.com", "$default", "/v1/models", "/v1/models"},
		{"x.execute-api.eu-west-3.amazonaws.com", "prod", "/production/v1", "/production/v1"},
		{"api.example", "v1", "/v1/models", "/v1/models"},
	}
	for _, test := range tests {
		e := decode(t, "http-api.json")
		e.RequestContext.DomainName, e.RequestContext.Stage, e.RawPath = test.domain, test.stage, test.path
		if u, err := e.url(); err != nil || u.Path != test.want {
			t.Errorf("%+v: got %v, %v", test, u, err)
		}
	}
}
