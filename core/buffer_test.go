package core

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/core/internal/memory"
)

// A bufferedBody within and beyond what may be kept.
func TestBufferedBody(t *testing.T) {
	for _, test := range []struct {
		size   int
		budget int64
		err    error
	}{
		{0, 0, nil},
		{1, 0, nil},
		{memory.Free / 2, 0, nil},
		{4 * memory.Free, 0, errBufferMemory},
		{4 * memory.Free, memory.Max, nil},
		{maxBuffered, memory.Max, nil},
		{maxBuffered + 1, memory.Max, nil},
	} {
		for _, length := range []int64{int64(test.size), -1} {
			want := strings.Repeat("x", test.size)
			buffered := &bufferedBody{src: io.NopCloser(strings.NewReader(want))}
			buffered.share.Of = memory.NewBudget(test.budget)
			if err := buffered.fill(length); err != test.err {
				t.Errorf("%d bytes, length %d: fill = %v, want %v", test.size, length, err, test.err)
			}
			if got, err := io.ReadAll(buffered); string(got) != want || err != nil {
				t.Errorf("%d bytes, length %d: read %d, %v", test.size, length, len(got), err)
			}
			if err := buffered.Close(); err != nil {
				t.Error(err)
			}
			if n, err := buffered.Read(make([]byte, 1)); n != 0 || err != errBodyClosed {
				t.Errorf("%d bytes: read %d, %v after Close", test.size, n, err)
			}
			if used := buffered.share.Of.Used(); used != 0 {
				t.Errorf("%d bytes: %d are still taken", test.size, used)
			}
		}
	}
}

// Where there is no memory left to hold a response back, it goes on as it comes,
// or is refused where the platform hides cuts.
func TestNoMemoryToBuffer(t *testing.T) {
	taken := new(memory.Share)
	if !taken.Grow(memory.Max + memory.Free) {
		t.Fatal("another test has taken memory")
	}
	t.Cleanup(taken.Release)
	for _, size := range []int{100, 500 << 10} {
		answer := func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, strings.Repeat("x", size))
		}
		f := newFront(t, answer, func(cfg *Config) { cfg.Platform.HidesCuts = true })
		res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}")
		if size <= memory.Free {
			if res.StatusCode != 200 || len(body) != size {
				t.Errorf("%d bytes: %d with %d", size, res.StatusCode, len(body))
			}
		} else {
			wantError(t, res, body, errOverloaded)
		}
		g := newGateway(t, nil, byRelay(answer), byRelay(answer))
		if res, body := send(t, "POST", g.URL+"/v1/chat/completions", "{}"); res.StatusCode != 200 ||
			len(body) != size {
			t.Errorf("gateway, %d bytes: %d with %d", size, res.StatusCode, len(body))
		}
	}
}

// Of expectations only the one that all programs understand alike goes up.
func TestExpectationsThatGoUp(t *testing.T) {
	for _, test := range []struct{ header, want string }{
		{"Expect: 100-continue\r\n", "[100-continue]"},
		{"Expect: 100-Continue\r\n", "[100-Continue]"},
		{"Expect: 100-continue, x\r\n", "[]"},
		{"Expect: x 100-continue\r\n", "[]"},
		{"Expect: 100-continue\r\nExpect: x\r\n", "[]"},
		{"Expect:\r\nExpect: 100-continue\r\n", "[]"},
	} {
		f := newFront(t, ok, nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"+
			"Connection: close\r\n"+test.header+"\r\n{}")
		if all, err := io.ReadAll(conn); !strings.Contains(string(all), "HTTP/1.1 200 OK\r\n") || err != nil {
			t.Errorf("%q: got %q, %v", test.header, all, err)
		}
		if got := fmt.Sprint(f.only(t).Header["Expect"]); got != test.want {
			t.Errorf("%q: upstream got %s, want %s", test.header, got, test.want)
		}
	}
}
