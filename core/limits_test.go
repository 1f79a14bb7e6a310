package core

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/core/protocol"
)

func TestBodyLimit(t *testing.T) {
	const limit = 1000
	tests := []struct {
		size    int
		chunked bool
		status  int
	}{
		{0, false, 200},
		{limit, false, 200},
		{limit + 1, false, 413},
		{limit, true, 200},
		{limit + 1, true, 413},
		{100 * limit, true, 413},
		{100 * limit, false, 413},
	}
	for _, test := range tests {
		complete := make(chan int, 1)
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			complete <- len(body)
			_, _ = w.Write(body)
		}, func(cfg *Config) { cfg.MaxBodyBytes = limit })
		sent := bytes.Repeat([]byte("\x00x\xff"), test.size/3+1)[:test.size]
		req := newRequest(t, "POST", f.URL+"/v1/files", "")
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(test.size)
		if test.size == 0 {
			req.Body = http.NoBody
		}
		if test.chunked {
			req.ContentLength = -1
		}
		res := do(t, req)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != test.status {
			t.Fatalf("%d bytes, chunked %t: %d %v, want %d", test.size, test.chunked, res.StatusCode, err, test.status)
		}
		if test.status == 200 {
			if !bytes.Equal(body, sent) {
				t.Errorf("%d bytes, chunked %t: came back changed", test.size, test.chunked)
			}
			continue
		}
		wantError(t, res, string(body), errBodyTooLarge)
		if !strings.Contains(string(body), "1000 bytes") {
			t.Errorf("the message does not name the limit: %s", body)
		}
		select {
		case n := <-complete:
			t.Errorf("%d bytes, chunked %t: upstream took %d as complete", test.size, test.chunked, n)
		default:
		}
	}
}

func TestTooLargeNamesThePlatform(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Platform = Platform{Name: "Vercel", MaxBodyBytes: 4 << 20}
		cfg.MaxBodyBytes = 1 << 30
	})
	res, body := sendRaw(t, f.URL, "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n")
	wantError(t, res, body, errBodyTooLarge)
	if !strings.Contains(body, "on Vercel accepts up to 4 MiB") {
		t.Errorf("body %s", body)
	}
	f.untouched(t)
}

func TestTooMuchHeaderAndURL(t *testing.T) {
	f := newFront(t, ok, nil)
	tests := []struct {
		raw  string
		want *Error
	}{
		{"GET /v1/models?" + strings.Repeat("x", 8<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", errURITooLong},
		{"GET /v1/" + strings.Repeat("x", 8<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", errURITooLong},
		{"GET /v1/models?" + strings.Repeat("x", 100<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n", errURITooLong},
		{"GET /v1/models HTTP/1.1\r\nHost: h\r\nX-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
			errHeadersTooLarge},
	}
	for _, test := range tests {
		res, body := sendRaw(t, f.URL, test.raw)
		wantError(t, res, body, test.want)
	}
	f.untouched(t)
}

func TestInFlightLimit(t *testing.T) {
	const limit = 3
	arrived, release := make(chan bool), make(chan bool)
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-release
	}, func(cfg *Config) { cfg.MaxInFlight = limit })
	var wait sync.WaitGroup
	for range limit {
		wait.Go(func() {
			if res, _ := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
	for range limit {
		receive(t, arrived, "a request at the upstream")
	}
	res, body := send(t, "GET", f.URL+"/v1/models", "")
	wantError(t, res, body, errOverloaded)
	if res, _ := send(t, "GET", f.URL+"/relay/health", ""); res.StatusCode != 200 {
		t.Errorf("health under load: status %d", res.StatusCode)
	}
	close(release)
	wait.Wait()
	go func() { <-arrived }()
	if res, _ := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != 200 {
		t.Errorf("after the load: status %d", res.StatusCode)
	}
}

func TestLoop(t *testing.T) {
	f := newFront(t, ok, nil)
	for hop, want := range map[string]int{"0": 200, "1": 200, "2": 508, "99": 508, "-1": 508, "x": 508} {
		res, body := send(t, "GET", f.URL+"/v1/models", "", "Relay-Hop", hop)
		if res.StatusCode != want {
			t.Errorf("hop %s: status %d, want %d", hop, res.StatusCode, want)
		}
		if want == 508 {
			wantError(t, res, body, errLoop)
		}
	}

	// A relay whose upstream is itself.
	var self http.Handler
	g := newFront(t, func(w http.ResponseWriter, req *http.Request) { self.ServeHTTP(w, req) }, nil)
	self = g.relay
	res, body := send(t, "POST", g.URL+"/v1/chat/completions", "{}")
	if res.StatusCode != 508 || !strings.Contains(body, "relay_loop") || res.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if n := len(g.requests()); n != protocol.MaxHops {
		t.Errorf("the request went round %d times, want %d", n, protocol.MaxHops)
	}
}

func TestSlowBody(t *testing.T) {
	ended := make(chan error, 1)
	f := newFront(t, func(_ http.ResponseWriter, req *http.Request) {
		_, err := io.ReadAll(req.Body)
		ended <- err
	}, func(cfg *Config) { cfg.BodyTimeout = 50 * time.Millisecond })
	for _, length := range []string{"10", "100000"} {
		res, body := sendRaw(t, f.URL, "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: "+length+"\r\n\r\n12345")
		wantError(t, res, body, errBodyTimeout)
		if !res.Close {
			t.Error("the connection stays open")
		}
		if length == "10" {
			f.untouched(t) // a small body goes up in one piece, or not at all
		}
	}
	if err := receive(t, ended, "the upstream's request to end"); err == nil {
		t.Error("upstream took the body as complete")
	}
}

func TestBodyThatIsNeverComplete(t *testing.T) {
	for _, raw := range []string{
		"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n12345",
		"POST /v1/files HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
	} {
		arrived, ended := make(chan bool, 1), make(chan error, 1)
		f := newFront(t, func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.ReadFull(req.Body, make([]byte, 5))
			arrived <- true
			_, err := io.ReadAll(req.Body)
			ended <- err
		}, nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn, raw)
		receive(t, arrived, "the beginning of the body")
		conn.Close()
		if err := receive(t, ended, "the upstream's request to end"); err == nil {
			t.Errorf("%q: upstream took the body as complete", raw)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	t.Run("refused by the relay", func(t *testing.T) {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
		res, body := sendRaw(t, f.URL,
			"POST /v1/files HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
		wantError(t, res, body, errAccess) // and no 100 before it
		f.untouched(t)
	})
	t.Run("refused by the upstream", func(t *testing.T) {
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, nil)
		res, _ := sendRaw(t, f.URL,
			"POST /v1/files HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
		if res.StatusCode != 401 {
			t.Errorf("first response %d, want 401", res.StatusCode)
		}
	})
	t.Run("taken", func(t *testing.T) {
		f := newFront(t, echo, nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn,
			"POST /v1/files HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		r := bufio.NewReader(conn)
		if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("first response %q, want 100", line)
		}
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(conn, "hello")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "hello" {
			t.Errorf("body %q", body)
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		f := newFront(t, echo, nil)
		if res, _ := sendRaw(t, f.URL, "POST /v1/files HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n"+
			"Content-Length: 5\r\n\r\nhello"); res.StatusCode != 417 {
			t.Errorf("status %d, want 417", res.StatusCode)
		}
		f.untouched(t)
	})
}

func TestErrorsOfBodiesKeepTheirKind(t *testing.T) {
	broken := errors.New("broken")
	b := &limitedBody{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("abc"), errReader{broken})), left: 10,
		count: &new(record).bytesIn}
	got, err := io.ReadAll(b)
	if string(got) != "abc" || !errors.Is(err, errBodyIncomplete) || !errors.Is(err, broken) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, again := b.Read(make([]byte, 1)); again != err {
		t.Errorf("the error changed to %v", again)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Nobody holds a connection by announcing a body that never comes, whatever the
// answer is and whether or not there is a token.
func TestBodiesThatAreWithheld(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.AccessTokens, cfg.BodyTimeout = []Secret{canaryToken},
			100*time.Millisecond
	})
	for _, head := range []string{
		"POST /v1/files HTTP/1.1\r\nHost: h\r\n", "POST /nothing HTTP/1.1\r\nHost: h\r\n",
		"GET /relay/health HTTP/1.1\r\nHost: h\r\n",
		"TRACE /v1/x HTTP/1.1\r\nHost: h\r\n",
		"OPTIONS /v1/x HTTP/1.1\r\nHost: h\r\nOrigin: https://a\r\nAccess-Control-Request-Method: POST\r\n",
	} {
		for _, framing := range []string{"Content-Length: 20\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"} {
			conn := dialRaw(t, f.URL)
			_, _ = io.WriteString(conn, head+framing)
			answer, err := io.ReadAll(conn) // to the end of the connection
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
				t.Errorf("%q: got %q, %v", head+framing, answer, err)
			}
		}
	}
	f.untouched(t)
}

// Nor by leaving an upload unfinished that the upstream has already responded to.
func TestUploadsThatAreAbandoned(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}, nil)
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 80000\r\n\r\n"+
		strings.Repeat("x", 1000))
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") {
		t.Errorf("got %q, %v", answer, err)
	}
}

// The time in which the upstream lets the body wait is not the client's.
func TestSlowUpstreamIsNoSlowBody(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(300 * time.Millisecond) // longer than the body may take
		_, _ = io.Copy(w, req.Body)
	}, func(cfg *Config) { cfg.BodyTimeout = 100 * time.Millisecond })
	body := strings.Repeat("x", 8<<20)
	if res, got := send(t, "POST", f.URL+"/v1/files", body); res.StatusCode != 200 {
		t.Errorf("got %d %.200s", res.StatusCode, got)
	}
}

// net/http ends a request's context before the read of its body returns with
// the error that was the cause.
func TestSlowBodyWhoseRequestEndsFirst(t *testing.T) {
	f := newFront(t, echo, nil)
	ctx, cancel := context.WithCancel(t.Context())
	first := true
	body := readerFunc(func(p []byte) (int, error) {
		if first {
			first = false
			return len(p), nil
		}
		cancel()
		time.Sleep(5 * time.Millisecond)
		return 0, os.ErrDeadlineExceeded
	})
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/x", body)
	req.ContentLength = 1 << 20
	w := httptest.NewRecorder()
	f.relay.ServeHTTP(w, req)
	wantError(t, w.Result(), w.Body.String(), errBodyTimeout)
}

// A readerFunc is a Reader that is a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
