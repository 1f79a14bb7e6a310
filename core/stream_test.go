package core

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/internal/memory"
)

// hijack responds raw on the upstream's side and returns the connection.
func hijack(t *testing.T, w http.ResponseWriter, raw string) *net.TCPConn {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(conn, raw)
	return conn.(*net.TCPConn)
}

const (
	eventHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	event     = "data: {\"x\":1}\n\n"
)

// chunk frames s as a chunk.
func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

func TestHeadersAreFlushedBeforeTheFirstByte(t *testing.T) {
	for _, length := range []string{"", "4"} {
		next := make(chan bool)
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", "req_1")
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			rc := http.NewResponseController(w)
			_ = rc.Flush()
			for range 2 {
				<-next // until the reader has what was sent
				_, _ = io.WriteString(w, "{}")
				_ = rc.Flush()
			}
		}, nil)
		res := do(t, newRequest(t, "POST", f.URL+"/v1/chat/completions", "{}")) // returns when the header is there
		if res.StatusCode != 200 || res.Header.Get("X-Request-Id") != "req_1" {
			t.Errorf("got %d %v", res.StatusCode, res.Header)
		}
		for range 2 {
			next <- true
			if _, err := io.ReadFull(res.Body, make([]byte, 2)); err != nil {
				t.Errorf("body, length %q: %v", length, err)
			}
		}
	}
}

// TestShortResponsesToNobody: that the client is gone is noticed of what was held
// back, too.
func TestShortResponsesToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []time.Duration{0, 2 * coalesceDelay} {
			w := &nullWriter{broken: net.ErrClosed}
			s := &stream{w: w, rc: http.NewResponseController(w), cancel: func(error) {}, buffers: &bodyBuffers,
				coalesce: true}
			s.begin(200)
			time.Sleep(wait)
			synctest.Wait()
			if err := s.copy(strings.NewReader("{}")); !errors.Is(err, errClientGone) {
				t.Errorf("%v later: %v, want %v", wait, err, errClientGone)
			}
		}
	})
}

// TestWriteDeadlines: no write comes behind the deadline that was set for an
// earlier one, however short the client's time is.
func TestWriteDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, timeout := range []time.Duration{20 * time.Millisecond, time.Second, 30 * time.Second} {
			w := &nullWriter{}
			s := &stream{w: w, rc: http.NewResponseController(w), cancel: func(error) {}, buffers: &eventBuffers,
				writeTimeout: timeout}
			for range 1000 {
				if err := s.write([]byte(event)); err != nil {
					t.Fatal(err)
				}
				if left := time.Until(w.deadline); left < timeout*3/4 {
					t.Fatalf("the client has %v of %v", left, timeout)
				}
				time.Sleep(timeout / 15)
			}
			if w.late > 0 {
				t.Errorf("time-out %v: %d writes came behind their deadline", timeout, w.late)
			}
		}
	})
}

// TestShortResponsesAreWrittenOnce: header and body of a short response, which come
// one after the other, go out together.
func TestShortResponsesAreWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, flushes := range map[time.Duration]int{0: 1, coalesceDelay / 2: 1, 2 * coalesceDelay: 2} {
			w := &nullWriter{}
			s := &stream{w: w, rc: http.NewResponseController(w), cancel: func(error) {}, buffers: &bodyBuffers,
				coalesce: true}
			s.begin(200)
			body, late := io.Pipe()
			go func() {
				time.Sleep(wait)
				_, _ = io.WriteString(late, "{}")
				late.Close()
			}()
			if err := s.copy(body); err != nil || w.n != 2 || w.flushes != flushes {
				t.Errorf("%v later: %v, %d bytes in %d flushes, want 2 in %d", wait, err, w.n, w.flushes, flushes)
			}
		}
	})
}

func TestEachReadIsFlushed(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "application/json", "audio/mpeg"} {
		next := make(chan bool)
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			rc := http.NewResponseController(w)
			for i := range 5 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				_ = rc.Flush()
				<-next // until the reader has it
			}
		}, nil)
		res := do(t, newRequest(t, "POST", f.URL+"/v1/responses", `{"stream":true}`))
		r := bufio.NewReader(res.Body)
		for i := range 5 {
			line, err := r.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
				t.Fatalf("%s: got %q %v, want %q", contentType, line, err, want)
			}
			_, _ = r.ReadString('\n')
			next <- true
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%s: at the end: %v", contentType, err)
		}
	}
}

func TestBodiesPassToTheByte(t *testing.T) {
	random := bytes.Repeat([]byte{0, 1, 0xff, '\r', '\n', 'd', 0xc3}, 100_000)
	for _, headers := range [][]string{
		{"Content-Type", "text/event-stream"},
		{"Content-Type", "text/event-stream", "Content-Encoding", "gzip"},
		{"Content-Type", "application/json", "Content-Encoding", "br"},
		{"Content-Type", "audio/mpeg"},
	} {
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.Copy(w, req.Body)
		}, func(cfg *Config) { cfg.Keepalive = time.Hour })
		req := newRequest(t, "POST", f.URL+"/v1/files", "", "Content-Encoding", "zstd", "Accept-Encoding", "gzip, br")
		req.Body = io.NopCloser(bytes.NewReader(random))
		res := do(t, req)
		if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, random) {
			t.Errorf("%q: %d bytes came back, %v; want the %d that were sent", headers, len(got), err, len(random))
		}
	}
}

// A cut is a way in which an upstream fails to finish a response.
var cuts = []struct {
	name, raw string
	reset     bool
	frame     bool // the error event can be written
}{
	{"after the header", eventHead, false, true},
	{"after an event", eventHead + chunk(event), false, true},
	{"inside a line", eventHead + chunk(event) + chunk(`data: {"x":`), false, true},
	{"inside a character", eventHead + chunk(event) + chunk("data: {\"x\":\"\xe4\xbd"), false, true},
	{"inside a chunk", eventHead + chunk(event) + "ff\r\ndata: {", false, true},
	{"by reset", eventHead + chunk(event), true, true},
	{"without the last chunk", eventHead + chunk(event) + chunk("data: [DONE]\n\n"), false, true},
	{"bad chunk", eventHead + chunk(event) + "zz\r\n", false, true},
	{"short of its length", strings.Replace(eventHead, "Transfer-Encoding: chunked", "Content-Length: 1000", 1) + event,
		false, true},
	{"JSON short of its length",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":", false, false},
	{"JSON chunk", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" +
		"{\"a\":\r\n", false, false},
	{"compressed events", strings.Replace(eventHead, "\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n",
		1) + chunk("\x1f\x8b"), false, false},
}

func TestTruncatedResponsesNeverLookComplete(t *testing.T) {
	for _, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				conn := hijack(t, w, cut.raw)
				if cut.reset {
					// The reset may overtake what was written; an event must arrive first.
					_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					_, _ = conn.Read(make([]byte, 1))
					_ = conn.SetLinger(0)
				}
				conn.Close()
			}, nil)
			res := do(t, newRequest(t, "POST", f.URL+"/v1/chat/completions", `{"stream":true}`))
			body, err := io.ReadAll(res.Body)
			if err == nil {
				t.Errorf("the response looks complete: %q", body)
			}
			if res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			frame := ErrInterrupted.frame(chatEvents)
			if got := strings.HasSuffix(string(body), frame); got != cut.frame {
				t.Errorf("error event: %t, want %t; body %q", got, cut.frame, body)
			}
			if strings.Contains(frame, "[DONE]") {
				t.Error("the frame says done")
			}
			f.only(t)
			waitForLog(t, f, "upstream_interrupted")
		})
	}
}

// In HTTP/1.0 the end of the connection is the end of the response.
func TestTruncatedResponsesToHTTP10(t *testing.T) {
	for _, cut := range cuts {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, cut.raw).Close() }, nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn, "GET /v1/files/x/content HTTP/1.0\r\n\r\n")
		body, err := io.ReadAll(conn)
		if framed := strings.HasSuffix(string(body), ErrInterrupted.frame(chatEvents)); err == nil && !framed {
			t.Errorf("%s: the response looks complete: %q", cut.name, body)
		}
	}
}

// waitForLog waits until the log says text: the record is written after the
// client has its response.
func waitForLog(t *testing.T, f *front, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(f.log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("log has no %q:\n%s", text, f.log.String())
		}
	}
}

func TestCleanEndsStayClean(t *testing.T) {
	for _, raw := range []string{
		eventHead + chunk(event) + "0\r\n\r\n", // no [DONE]: the upstream's business
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + event,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 15\r\n\r\n" + event,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 15\r\n\r\n" + event +
			"more than promised",
		"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
			chunk(event) + "0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
	} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, raw).Close() }, nil)
		res, body := send(t, "POST", f.URL+"/v1/chat/completions", "")
		if body != event {
			t.Errorf("%q: body %q", raw, body)
		}
		waitForLog(t, f, `"done":false`)
		if len(res.Trailer) != 0 {
			t.Errorf("%q: trailers %v", raw, res.Trailer)
		}
	}
}

// TestDone: the log tells of streams that ended without [DONE], where one is due.
func TestDone(t *testing.T) {
	const doneEvent = "data: [DONE]\n\n"
	for _, test := range []struct {
		path, events string
		undone       bool
	}{
		{"/v1/chat/completions", event + doneEvent, false},
		{"/v1/completions", doneEvent[:5], true},
		{"/v1/chat/completions", doneEvent + event, true},
		{"/v1/responses", event, false},
		{"/v1/chat/completions", "data: {}\r\n\r\ndata: [DONE]\r\n\r\n", false},
		{"/v1/chat/completions", "data:{}\n\ndata:[DONE]\n\n", false},
		{"/v1/chat/completions", event + "data: [DONE]\n", false},
		{"/v1/chat/completions", event + "data: [DONE]", false},
		{"/v1/chat/completions", event + "data:[DONE]\r\n", false},
		{"/v1/chat/completions", event + "data:  [DONE] \n\n\n", false},
		{"/v1/chat/completions", event + doneEvent + ": bye\n\n", false},
		{"/v1/chat/completions", event + "data: [DONE]x\n\n", true},
		{"/v1/chat/completions", event + ": data: [DONE]\n\n", true},
		{"/v1/chat/completions", event + "data: [DONE]" + strings.Repeat(" x", 20) + "\n\n", true},
	} {
		if !testDone(t, test.path, test.events, test.undone, true) {
			continue
		}
		testDone(t, test.path, test.events, test.undone, false)
	}
}

// testDone sends events byte by byte, or at once with their length.
func testDone(t *testing.T, path, events string, undone, pieces bool) bool {
	t.Helper()
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if !pieces {
			w.Header().Set("Content-Length", strconv.Itoa(len(events)))
			_, _ = io.WriteString(w, events)
			return
		}
		for i := range events {
			_, _ = io.WriteString(w, events[i:i+1])
			_ = http.NewResponseController(w).Flush()
		}
	}, nil)
	if _, body := send(t, "POST", f.URL+path, ""); body != events {
		t.Errorf("%s: body %q, want %q", path, body, events)
	}
	waitForLog(t, f, "duration_ms")
	got := strings.Contains(f.log.String(), `"done":false`)
	if got != undone {
		t.Errorf("%s, %q, pieces %t: said to be undone: %v, want %v", path, events, pieces, got, undone)
	}
	return got == undone
}

// The error event follows what was written so that clients see one event more, whole,
// and none that is empty, unless what was cut off is one.
func TestErrorEventAfterWhatWasCut(t *testing.T) {
	for _, test := range []struct{ written, between string }{
		{"", ""},
		{event, ""},
		{"data: 1\r\n\r\n", ""},
		{"data: 1\r\r", ""},
		{": hello\n", ""},
		{": hello\n\n", ""},
		{event + ": keepalive\n", ""},
		{event + ": keepalive\n: keepalive\r\n", ""},
		{event + ": keepa", "\n"},
		{event + "data: 1\n", "\n"},
		{event + "data: 1\n: keepalive\n", "\n"},
		{event + "event: x\ndata: 1\r\n", "\n"},
		{event + "data: {\"x\":", "\n\n"},
		{event + "data: 1\n: comm", "\n\n"},
		{event + "data: 1\r", "\n\n"},
		{"data: 1\r\n\r", "\n"}, // which completes the CRLF
	} {
		for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/messages"} {
			f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for i := range test.written {
					_, _ = io.WriteString(w, test.written[i:i+1])
				}
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}, nil)
			body, err := io.ReadAll(do(t, newRequest(t, "POST", f.URL+path, "{}")).Body)
			want := test.written + test.between + ErrInterrupted.frame(shapeOfPath(path))
			if string(body) != want || err == nil {
				t.Errorf("%s: body %q, %v; want %q", path, body, err, want)
			}
		}
	}
}

// A stream of the Responses API or of Anthropic's is known by its path or by its events.
func TestErrorEventOfAPIs(t *testing.T) {
	const responses, messages, chat = `"sequence_number":0`, "event: error\n", "data: {\"error\":"
	for _, test := range []struct{ path, events, want string }{
		{"/v1/responses", event, responses},
		{"/v1/responses/resp_1?stream=true", "", responses},
		{"/openai/v1/responses", "", responses},
		{"/openai/responses?api-version=1", "", responses},
		{"/openai/deployments/x", "event: response.created\ndata: {}\n\n", responses},
		{"/openai/deployments/x", `data: {"type":"response.created","sequence_number":0}` + "\n\n", responses},
		{"/openai/deployments/x", `data: {"type": "response.created"}` + "\n\n", responses},
		{"/openai/deployments/x", `data:{"type":"response.created"}` + "\n\n" + event, responses},
		{"/v1/messages", "", messages},
		{"/v1/messages?beta=true", event, messages},
		{"/openai/anthropic/v1/messages", "", messages},
		{"/openai/x", "event: message_start\ndata: {}\n\n", messages},
		{"/openai/x", `data: {"type": "message_start"}` + "\n\n" + event, messages},
		{"/v1/threads/thread_1/messages", event, chat},
		{"/v1/chat/completions", "event: message\n\n", chat},
		{"/v1/chat/completions", event + "event: responses\n\n", chat},
		{"/v1/chat/completions", `data: {"x":"response.created"}` + "\n\n", chat},
		{"/v1/chat/completions", ": event: response.created\n\n", chat},
	} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, test.events)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, func(cfg *Config) { cfg.Paths = []string{"/v1/", "/openai/"} })
		body, err := io.ReadAll(do(t, newRequest(t, "POST", f.URL+test.path, "{}")).Body)
		frame, ok := strings.CutPrefix(string(body), test.events)
		_, data, _ := strings.Cut(frame, "data: ")
		var got struct {
			Type, Code, Message string
			Error               struct{ Code, Message, Type string }
		}
		if uerr := json.Unmarshal([]byte(data), &got); !ok || err == nil || uerr != nil ||
			got.Error.Code != ErrInterrupted.Code || got.Error.Message != ErrInterrupted.Msg {
			t.Fatalf("%s: body %q, %v, %v", test.path, body, err, uerr)
		}
		asWanted := strings.Contains(frame, test.want)
		switch test.want {
		case responses:
			asWanted = asWanted && got.Type == "error" && got.Code == got.Error.Code && got.Message == got.Error.Message
		case messages:
			asWanted = asWanted && strings.HasPrefix(frame, test.want) && got.Type == "error" &&
				got.Error.Type == "api_error"
		case chat:
			asWanted = strings.HasPrefix(frame, test.want)
		}
		if !asWanted {
			t.Errorf("%s, %q: error event %q", test.path, test.events, frame)
		}
	}
}

func TestResponsesWithoutBody(t *testing.T) {
	for _, status := range []int{200, 204, 304, 404} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
		if res, body := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != status || body != "" {
			t.Errorf("status %d: got %d %q", status, res.StatusCode, body)
		}
	}
}

func TestUpstreamThatDoesNotRespond(t *testing.T) {
	refusing := httptest.NewServer(nil)
	refusing.Close()
	tests := []struct {
		name string
		raw  string // "-": refuse the connection
		want *Error
	}{
		{"refused", "-", errConnect},
		{"closed", "", errReset},
		{"no HTTP", "SSH-2.0-x\r\n", errReset},
		{"header cut", "HTTP/1.1 200 OK\r\nContent-Ty", errReset},
		{"huge header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", errReset},
		{"NUL in a header", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", errReset},
		{"status 099", "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", errInvalidResponse},
		{"status 000", "HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", errInvalidResponse},
		{"status 600", "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", errInvalidResponse},
		{"status 999", "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", errInvalidResponse},
		{"status 1000", "HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n", errReset},
		{"101 unasked", "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", errInvalidResponse},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello", errReset},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				hijack(t, w, test.raw).Close()
			}, func(cfg *Config) {
				if test.raw == "-" {
					cfg.Upstreams = []Secret{Secret(refusing.URL)}
				}
			})
			res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}", "Authorization", "Bearer "+canaryKey)
			wantError(t, res, body, test.want)
			if n := len(f.requests()); test.raw != "-" && n != 1 {
				t.Errorf("upstream saw %d requests, want 1: a POST is not sent twice", n)
			}
			if strings.Contains(body, f.upstream.URL[7:]) {
				t.Errorf("the response names the upstream: %s", body)
			}
		})
	}
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, nil)
	if res, _ := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != 599 {
		t.Errorf("599 became %d", res.StatusCode)
	}
}

func TestInformationalResponsesAreNotForwarded(t *testing.T) {
	informational := "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nConnection: x-hint\r\nSet-Cookie: a=b\r\n" +
		"Access-Control-Allow-Origin: https://x\r\n\r\n"
	for _, n := range []int{1, 100} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, strings.Repeat(informational,
				n)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Final: 1\r\n\r\nok").Close()
		}, nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn,
			"GET /v1/models HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n")
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		got := string(all)
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || strings.Count(got, "HTTP/1.1") != 1 ||
			!strings.HasSuffix(got, "\r\n\r\nok") {
			t.Errorf("got %q", got)
		}
		if !strings.Contains(got, "Access-Control-Allow-Origin: *\r\n") || strings.Contains(got, "Link:") ||
			!strings.Contains(got, "X-Final: 1") {
			t.Errorf("got %q", got)
		}
	}
}

func TestClientGoneCancelsTheUpstream(t *testing.T) {
	for _, where := range []string{"before the header", "in the stream"} {
		t.Run(where, func(t *testing.T) {
			var delays []time.Duration
			for range 200 {
				arrived, canceled := make(chan bool, 1), make(chan time.Time, 1)
				f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
					_, _ = io.Copy(io.Discard, req.Body)
					if where == "in the stream" {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, event)
						_ = http.NewResponseController(w).Flush()
					}
					arrived <- true
					<-req.Context().Done()
					canceled <- time.Now()
				}, nil)
				conn := dialRaw(t, f.URL)
				_, _ = io.WriteString(conn,
					"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
				receive(t, arrived, "the request")
				if where == "in the stream" {
					if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
						t.Fatal(err)
					}
				}
				gone := time.Now()
				conn.Close()
				delays = append(delays, receive(t, canceled, "the upstream's request to be cancelled").Sub(gone))
				waitForLog(t, f, `"error":"client_gone"`)
				waitForLog(t, f, `"status":499`)
				f.only(t)
			}
			slices.Sort(delays)
			t.Logf("upstream cancelled after p50 %v, p99 %v, max %v", delays[len(delays)/2], delays[len(delays)*99/100],
				delays[len(delays)-1])
		})
	}
}

func TestClientThatTakesNothing(t *testing.T) {
	canceled := make(chan bool, 1)
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		block := make([]byte, 1<<20)
		for req.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		canceled <- true
	}, func(cfg *Config) { cfg.WriteTimeout = 100 * time.Millisecond })
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/files/x/content HTTP/1.1\r\nHost: h\r\n\r\n")
	receive(t, canceled, "the upstream's request to be cancelled")
}

func TestEarlyResponseDuringUpload(t *testing.T) {
	for range 30 {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, "too large")
		}, nil)
		req := newRequest(t, "POST", f.URL+"/v1/files", "")
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 8<<20))), 8<<20
		res := do(t, req)
		if body, err := io.ReadAll(res.Body); res.StatusCode != 413 || string(body) != "too large" || err != nil {
			t.Fatalf("got %d %q %v", res.StatusCode, body, err)
		}
	}
}

// Without full duplex, net/http loses some streams of POSTs whose upstream
// responds at once; with it, unread bodies must not spoil the connection.
func TestInstantUpstreams(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
		}
	}, nil)
	for i := range 600 {
		req := newRequest(t, "POST", f.URL+"/v1/chat/completions", `{"stream":true}`)
		if i%2 == 1 {
			req.ContentLength = -1
		}
		res := do(t, req)
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != event+event+event {
			t.Fatalf("request %d: %q %v", i, body, err)
		}
	}
}

// Responses that leave a body unread must not spoil the connection, nor get lost.
func TestUnreadBodies(t *testing.T) {
	refusing := httptest.NewServer(nil)
	refusing.Close()
	var complaints lockedBuffer
	f := &front{log: new(lockedBuffer)}
	f.start(t, refusing.URL, nil)
	server := httptest.NewUnstartedServer(f.relay)
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	defer server.Close()
	for _, size := range []int{14, 1 << 10, 100 << 10, 300 << 10} {
		for _, chunked := range []bool{false, true} {
			for range 30 {
				req := newRequest(t, "POST", server.URL+"/v1/files", strings.Repeat("x", size))
				if chunked {
					req.ContentLength = -1
				}
				res := do(t, req)
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				wantError(t, res, string(body), errConnect)
			}
		}
	}
	if complaints.String() != "" {
		t.Errorf("net/http says:\n%s", complaints.String())
	}
}

func TestKeepAliveConnections(t *testing.T) {
	f := newFront(t, echo, nil)
	conn := dialRaw(t, f.URL)
	r := bufio.NewReader(conn)
	for i := range 1000 {
		body := fmt.Sprintf("unique %d", i)
		_, _ = fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != body {
			t.Fatalf("request %d: got %q, want %q", i, got, body)
		}
	}
	// Pipelined: the second is sent before the first has a response.
	_, _ = io.WriteString(conn, "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1POST /v1/b HTTP/1.1\r\n"+
		"Host: h\r\nContent-Length: 1\r\n\r\n2")
	for _, want := range []string{"1", "2"} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A clockFront is a relay without sockets, for a synctest bubble.
type clockFront struct {
	relay *Relay
	log   *lockedBuffer
}

// newClockFront returns a relay whose upstream responds with body as an event
// stream. The body ends when the exchange is cancelled, as net/http's does.
func newClockFront(t *testing.T, body func(ctx context.Context, w *io.PipeWriter), change func(*Config)) *clockFront {
	t.Helper()
	f := &clockFront{log: new(lockedBuffer)}
	cfg := Config{
		Logger: slog.New(slog.NewJSONHandler(f.log, nil)),
		Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			r, w := io.Pipe()
			ctx := req.Context()
			context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
			go body(ctx, w)
			return &http.Response{
				StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1,
				Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r, ContentLength: -1,
			}, nil
		}),
	}
	change(&cfg)
	relay, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.relay = relay
	return f
}

// get returns what a client got, and whether the relay aborted the response.
func (f *clockFront) get(ctx context.Context) (rec *httptest.ResponseRecorder, aborted bool) {
	rec = httptest.NewRecorder()
	defer func() { aborted = recover() == http.ErrAbortHandler }()
	f.relay.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/v1/responses/x?stream=true", nil))
	return rec, false
}

func TestTimeLimits(t *testing.T) {
	silent := func(context.Context, *io.PipeWriter) {}
	every := func(gap time.Duration) func(context.Context, *io.PipeWriter) {
		return func(ctx context.Context, w *io.PipeWriter) {
			for {
				select {
				case <-time.After(gap):
					_, _ = io.WriteString(w, event)
				case <-ctx.Done():
					return
				}
			}
		}
	}
	tests := []struct {
		name     string
		body     func(context.Context, *io.PipeWriter)
		change   func(*Config)
		deadline time.Duration // of the platform
		after    time.Duration
		events   int
		want     *Error
	}{
		{"idle by default", silent, func(*Config) {}, 0, 10 * time.Minute, 0, errIdle},
		{"idle", every(time.Hour), func(cfg *Config) { cfg.IdleTimeout = time.Minute }, 0, time.Minute, 0, errIdle},
		{"reset by any byte", every(59 * time.Second),
			func(cfg *Config) { cfg.IdleTimeout, cfg.MaxStreamTime = time.Minute, time.Hour }, 0, time.Hour, 61,
			errStreamLimit},
		{"limit", every(time.Second), func(cfg *Config) { cfg.MaxStreamTime = 5500 * time.Millisecond }, 0,
			5500 * time.Millisecond, 5, errStreamLimit},
		{"deadline", every(time.Second), func(*Config) {}, 10 * time.Second, 8500 * time.Millisecond, 8, errDeadline},
		{"idle timeout off", every(24 * time.Hour),
			func(cfg *Config) { cfg.IdleTimeout, cfg.MaxStreamTime = -1, 25*time.Hour }, 0, 25 * time.Hour, 1,
			errStreamLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newClockFront(t, test.body, test.change)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if test.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
				}
				defer cancel()
				start := time.Now()
				rec, aborted := f.get(ctx)
				if got := time.Since(start); got != test.after {
					t.Errorf("ended after %v, want %v", got, test.after)
				}
				if want := strings.Repeat(event,
					test.events) + test.want.frame(responsesEvents); rec.Body.String() != want {
					t.Errorf("body %q, want %q", rec.Body, want)
				}
				if !aborted || !strings.Contains(f.log.String(), test.want.Code) {
					t.Errorf("aborted %t, log %s", aborted, f.log.String())
				}
				synctest.Wait()
			})
		})
	}
}

// The time that the client takes is not the upstream's.
func TestSlowClientIsNoSilentUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		s := &stream{
			w: slowWriter{header: make(http.Header)}, rc: http.NewResponseController(slowWriter{}),
			buffers: &eventBuffers,
			cancel:  func(cause error) { ended = cause }, idleTimeout: time.Second,
		}
		if err := s.copy(strings.NewReader(event)); err != nil || ended != nil {
			t.Errorf("copy = %v, cancelled by %v", err, ended)
		}
	})
}

// A slowWriter takes a minute for each write.
type slowWriter struct{ header http.Header }

func (w slowWriter) Header() http.Header         { return w.header }
func (w slowWriter) WriteHeader(int)             {}
func (w slowWriter) Write(p []byte) (int, error) { time.Sleep(time.Minute); return len(p), nil }

func TestDeadlineBeforeTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay, err := New(Config{Logger: slog.New(slog.DiscardHandler),
			Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, req.Context().Err()
			})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start, rec := time.Now(), httptest.NewRecorder()
		relay.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/v1/models", nil))
		wantError(t, rec.Result(), rec.Body.String(), errDeadline)
		if got := time.Since(start); got != time.Minute-deadlineMargin {
			t.Errorf("answered after %v", got)
		}
	})
}

func TestKeepaliveComments(t *testing.T) {
	ka := string(keepaliveComment)
	tests := []struct {
		name string
		body func(w io.Writer)
		want string
	}{
		{"before the first event", func(w io.Writer) {
			time.Sleep(35 * time.Second)
			_, _ = io.WriteString(w, event)
		}, ka + ka + event},
		{"between events, counted from the last byte", func(w io.Writer) {
			_, _ = io.WriteString(w, event)
			time.Sleep(14 * time.Second)
			_, _ = io.WriteString(w, event)
			time.Sleep(16 * time.Second)
			_, _ = io.WriteString(w, event)
		}, event + event + ka + event},
		{"never inside an event", func(w io.Writer) {
			_, _ = io.WriteString(w, "event: x\n")
			time.Sleep(50 * time.Second)
			_, _ = io.WriteString(w, "data: 1\n")
			time.Sleep(50 * time.Second)
			_, _ = io.WriteString(w, "\n")
			time.Sleep(20 * time.Second)
		}, "event: x\ndata: 1\n\n" + ka},
		{"blank line in pieces", func(w io.Writer) {
			for _, piece := range []string{"data: 1\r", "\n", "\r", "\n"} {
				_, _ = io.WriteString(w, piece)
			}
			time.Sleep(20 * time.Second)
		}, "data: 1\r\n\r\n" + ka},
		{"CR alone", func(w io.Writer) {
			_, _ = io.WriteString(w, "data: 1\r\r")
			time.Sleep(20 * time.Second)
		}, "data: 1\r\r" + ka},
		{"after a comment of the upstream", func(w io.Writer) {
			_, _ = io.WriteString(w, event+": hello\n")
			time.Sleep(20 * time.Second)
		}, event + ": hello\n" + ka},
		{"never inside a comment", func(w io.Writer) {
			_, _ = io.WriteString(w, event+": hel")
			time.Sleep(20 * time.Second)
		}, event + ": hel"},
		{"never after a comment inside an event", func(w io.Writer) {
			_, _ = io.WriteString(w, "data: 1\n: hello\n")
			time.Sleep(20 * time.Second)
		}, "data: 1\n: hello\n"},
		{"half a CRLF", func(w io.Writer) {
			_, _ = io.WriteString(w, "data: 1\r\n\r")
			time.Sleep(20 * time.Second)
		}, "data: 1\r\n\r"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newClockFront(t, func(_ context.Context, w *io.PipeWriter) {
					test.body(w)
					w.Close()
				}, func(cfg *Config) { cfg.Keepalive = 15 * time.Second })
				rec, aborted := f.get(t.Context())
				if rec.Body.String() != test.want || aborted {
					t.Errorf("body %q, aborted %t; want %q", rec.Body, aborted, test.want)
				}
			})
		})
	}
}

func TestShutdown(t *testing.T) {
	t.Run("waits for what finishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newClockFront(t, func(_ context.Context, w *io.PipeWriter) {
				time.Sleep(5 * time.Second)
				_, _ = io.WriteString(w, event)
				w.Close()
			}, func(*Config) {})
			var complete atomic.Bool
			go func() {
				rec, aborted := f.get(t.Context())
				complete.Store(!aborted && rec.Body.String() == event)
			}()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			err := f.relay.Shutdown(ctx)
			synctest.Wait()
			if err != nil || time.Since(start) != 5*time.Second || !complete.Load() {
				t.Errorf("Shutdown = %v after %v, stream complete %t", err, time.Since(start), complete.Load())
			}
		})
	})
	t.Run("ends the rest with an error event", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newClockFront(t, func(context.Context, *io.PipeWriter) {}, func(*Config) {})
			bodies := make(chan string, 100)
			for range 100 {
				go func() {
					rec, aborted := f.get(t.Context())
					bodies <- fmt.Sprintf("%s%t", rec.Body, aborted)
				}()
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			if err := f.relay.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown = %v", err)
			}
			if got := time.Since(start); got != 10*time.Second {
				t.Errorf("Shutdown took %v", got)
			}
			for range 100 {
				if got, want := <-bodies, errShutdown.frame(responsesEvents)+"true"; got != want {
					t.Fatalf("a stream got %q, want %q", got, want)
				}
			}
		})
	})
	t.Run("nothing in flight", func(t *testing.T) {
		f := newClockFront(t, nil, func(*Config) {})
		if err := f.relay.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Where the platform hides cuts, what can be held back is complete or a 502.
func TestHiddenCuts(t *testing.T) {
	small, large := `{"x":"`+strings.Repeat("x", 80)+`"}`, `{"x":"`+strings.Repeat("x", maxBuffered)+`"}`
	head := func(contentType string, length int) string {
		framing := "Transfer-Encoding: chunked"
		if length > 0 {
			framing = fmt.Sprintf("Content-Length: %d", length)
		}
		return "HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n" + framing + "\r\n\r\n"
	}
	const json, audio = "application/json; charset=utf-8", "audio/mpeg"
	tests := []struct {
		name, raw string
		status    int
		complete  bool
	}{
		{"JSON", head(json, 88) + small, 200, true},
		{"JSON in chunks", head(json, 0) + chunk(small) + "0\r\n\r\n", 200, true},
		{"JSON, cut", head(json, 88) + small[:50], 502, true},
		{"JSON in chunks, cut", head(json, 0) + chunk(small), 502, true},
		{"large JSON", head(json, 0) + chunk(large) + "0\r\n\r\n", 200, true},
		{"large JSON, cut behind the limit", head(json, 0) + chunk(large), 200, false},
		{"JSON that is large by its length, cut", head(json, len(large)) + small, 200, false},
		{"audio with a length, cut", head(audio, 88) + small[:50], 502, true},
		{"audio with a length", head(audio, 88) + small, 200, true},
		{"audio in chunks, cut", head(audio, 0) + chunk(small), 502, true},
		{"an event stream, cut", eventHead + chunk(event), 200, false},
		{"an event stream with a length, cut", head("text/event-stream", 88) + event, 200, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, test.raw).Close() },
				func(cfg *Config) { cfg.Platform.HidesCuts = true })
			res := do(t, newRequest(t, "GET", f.URL+"/v1/models", "", "Accept-Encoding", "gzip, br"))
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != test.status || (err == nil) != test.complete {
				t.Fatalf("got %d %.200q %v", res.StatusCode, body, err)
			}
			switch {
			case test.status == 502:
				wantError(t, res, string(body), ErrInterrupted)
			case test.complete && string(body) != small && string(body) != large:
				t.Errorf("body %.200q", body)
			}
			// A compressed event stream could not get its error event.
			if got := f.only(t).Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("upstream got Accept-Encoding %q, want identity", got)
			}
		})
	}
}

// Buffered responses give back the memory that they took from the process.
func TestBufferedResponsesReleaseMemory(t *testing.T) {
	large := `{"x":"` + strings.Repeat("x", 3*memory.Free) + `"}`
	for name, raw := range map[string]string{
		"complete": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			len(large), large),
		"cut": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(large),
		"too long": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
			chunk(strings.Repeat(" ", maxBuffered)+large) + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, raw).Close() },
				func(cfg *Config) { cfg.Platform.HidesCuts = true })
			res := do(t, newRequest(t, "GET", f.URL+"/v1/models", ""))
			_, _ = io.Copy(io.Discard, res.Body)
			if err := f.relay.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if used := memory.Process.Used(); used != 0 {
				t.Errorf("%d bytes are still taken", used)
			}
		})
	}
}
