package conn

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const ordinaryAnswer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-Request-ID:  req_1 \r\nX-A: 1\r\n" +
	"x-a: 2\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 "

// TestOrdinary: a response is read to the end of its body, and what
// stands behind it is left for whoever comes next.
func TestOrdinary(t *testing.T) {
	br := bufio.NewReader(strings.NewReader(ordinaryAnswer))
	res, _ := parseFast(br, &http.Request{Method: http.MethodPost})
	if res == nil {
		t.Fatal("not taken for a response")
	}
	want := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"req_1"}, "X-A": {"1", "2"},
		"Content-Length": {"2"}}
	if !maps.EqualFunc(res.Header, want, slices.Equal) {
		t.Errorf("header = %q, want %q", res.Header, want)
	}
	if body, err := io.ReadAll(res.Body); string(body) != "{}" || err != nil {
		t.Errorf("body = %q, %v", body, err)
	}
	if rest, _ := io.ReadAll(br); string(rest) != "HTTP/1.1 " {
		t.Errorf("left behind it: %q", rest)
	}
}

// TestNotOrdinary: of any other response nothing is read.
func TestNotOrdinary(t *testing.T) {
	for what, head := range map[string]string{
		"old version":         "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
		"no reason":           "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n",
		"informational":       "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n",
		"no content":          "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
		"status":              "HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n",
		"status of signs":     "HTTP/1.1 +20 Odd\r\nContent-Length: 2\r\n\r\n",
		"no length":           "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n",
		"length with a sign":  "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
		"huge length":         "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
		"no length given":     "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"chunks":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		"trailers":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: A\r\n\r\n",
		"other connection":    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: upgrade\r\n\r\n",
		"end of connection":   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
		"folded line":         "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\n",
		"bare line feed":      "HTTP/1.1 200 OK\r\nA: b\nB: c\r\nContent-Length: 2\r\n\r\n",
		"bare return":         "HTTP/1.1 200 OK\r\nA: b\rB: c\r\nContent-Length: 2\r\n\r\n",
		"NUL":                 "HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 2\r\n\r\n",
		"NUL in the reason":   "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\n",
		"space before colon":  "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n",
		"underscore":          "HTTP/1.1 200 OK\r\nContent_Length: 2\r\nContent-Length: 2\r\n\r\n",
		"no name":             "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 2\r\n\r\n",
		"no colon":            "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 2\r\n\r\n",
		"not all of it there": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
		"too many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n",
			maxFields) + "Content-Length: 2\r\n\r\n",
	} {
		br := bufio.NewReader(strings.NewReader(head))
		if res, _ := parseFast(br, &http.Request{Method: http.MethodGet}); res != nil {
			t.Errorf("%s: taken for a response, %v", what, res)
		}
		if rest, _ := io.ReadAll(br); string(rest) != head {
			t.Errorf("%s: left %q of %q", what, rest, head)
		}
	}
	br := bufio.NewReader(strings.NewReader(ordinaryAnswer))
	if res, _ := parseFast(br, &http.Request{Method: http.MethodHead}); res != nil {
		t.Error("answer to HEAD taken for one with a body")
	}
}

// TestOrdinaryCutShort: a body that ends before its length does is no whole one.
func TestOrdinaryCutShort(t *testing.T) {
	br := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"))
	res, _ := parseFast(br, &http.Request{Method: http.MethodGet})
	if res == nil {
		t.Fatal("not taken for a response")
	}
	if body, err := io.ReadAll(res.Body); string(body) != "{}" || err != io.ErrUnexpectedEOF {
		t.Errorf("body = %q, %v, want {} and %v", body, err, io.ErrUnexpectedEOF)
	}
}

// FuzzResponse: what is taken for a response is to net/http the same one.
func FuzzResponse(f *testing.F) {
	f.Add(ordinaryAnswer)
	f.Add("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	f.Add("HTTP/1.1 200 \r\nA:\t\r\nconnection: Keep-Alive\r\nContent-Length: 007\r\n\r\n1234567")
	f.Add("HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 1\r\n\r\n1")
	f.Fuzz(func(t *testing.T, text string) {
		req := &http.Request{Method: http.MethodGet}
		ours, theirs := bufio.NewReader(strings.NewReader(text)), bufio.NewReader(strings.NewReader(text))
		got, _ := parseFast(ours, req)
		if got == nil {
			return
		}
		want, err := http.ReadResponse(theirs, req)
		if err != nil {
			t.Fatalf("%q: net/http says %v", text, err)
		}
		gotBody, gotErr := io.ReadAll(got.Body)
		wantBody, wantErr := io.ReadAll(want.Body)
		if got.Status != want.Status || got.StatusCode != want.StatusCode || got.Proto != want.Proto ||
			got.ProtoMinor != want.ProtoMinor ||
			got.ContentLength != want.ContentLength || got.Close != want.Close ||
			!maps.EqualFunc(got.Header, want.Header, slices.Equal) ||
			string(gotBody) != string(wantBody) || gotErr != wantErr {
			t.Errorf("%q: got %+v with %q, %v, net/http says %+v with %q, %v", text, got, gotBody, gotErr, want,
				wantBody, wantErr)
		}
		left, _ := io.ReadAll(ours)
		if leftToNetHTTP, _ := io.ReadAll(theirs); string(left) != string(leftToNetHTTP) {
			t.Errorf("%q: left %q, net/http leaves %q", text, left, leftToNetHTTP)
		}
	})
}
