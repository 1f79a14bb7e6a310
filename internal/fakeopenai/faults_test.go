package fakeopenai

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

func TestParseFault(t *testing.T) {
	for _, s := range []string{"", " , ", "cut=3,gap=10ms\tno-done", "reset", "reset=3", "bad-chunk", "header=A:b=c",
		"redirect=https://h/?a=b", "status=000"} {
		if _, err := ParseFault(s); err != nil {
			t.Errorf("ParseFault(%q) = %v, want nil", s, err)
		}
	}
	for _, s := range []string{"nonsense", "cut", "cut=", "cut=-1", "cut=x", "gap=3", "gap=-1s", "hang=1", "status=",
		"status=abc", "header=x", "Cut=3"} {
		if _, err := ParseFault(s); err == nil {
			t.Errorf("ParseFault(%q) = nil, want an error", s)
		}
	}
	if _, err := ParseFault("nonsense"); !strings.Contains(err.Error(), "cut-utf8") {
		t.Errorf("ParseFault(nonsense) = %v, want the names of the known", err)
	}
}

func TestDirectivesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Directives() {
		line := "\n//\t" + d
		if !bytes.Contains(doc, []byte(line+" ")) && !bytes.Contains(doc, []byte(line+"\n")) {
			t.Errorf("the comment of the package does not explain %s", d)
		}
	}
}

// chat is a request for a streamed chat in a connection of its own.
func chat(fault string) string {
	return post("/v1/chat/completions", fault, `{"stream":true,"messages":[{"role":"user","content":"hello"}]}`)
}

func post(path, fault, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer sk-a\r\nConnection: close\r\n"+
		"Content-Length: %d\r\nFake-Fault: %s\r\n\r\n%s", path, len(body), fault, body)
}

// read sends a request to a fresh recorder, so that IDs are the same each time,
// and parses the response. err is what ended the body.
func read(t *testing.T, u *Upstream, request string) (res *http.Response, body string, err error) {
	t.Helper()
	u.Reset()
	res, err = http.ReadResponse(bufio.NewReader(send(t, u, request)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	return res, string(got), err
}

func streamOf(t *testing.T, u *Upstream, request string) []string {
	t.Helper()
	_, body, err := read(t, u, request)
	if err != nil {
		t.Fatal(err)
	}
	events := strings.SplitAfter(body, "\n\n")
	return events[:len(events)-1] // what follows the last is empty
}

func TestStreams(t *testing.T) {
	u := StartUpstream(t)
	chatEvents := streamOf(t, u, chat(""))
	if len(chatEvents) != 1+8+1+1 || chatEvents[10] != "data: [DONE]\n\n" ||
		!strings.Contains(chatEvents[9], `"finish_reason":"stop"`) {
		t.Errorf("a streamed chat = %q, want a role, 8 deltas, a stop and [DONE]", chatEvents)
	}
	if got := len(streamOf(t, u, chat("events=20"))); got != 23 {
		t.Errorf("events=20 gives %d events, want 23", got)
	}
	usage := streamOf(t, u, post("/v1/chat/completions", "", `{"stream":true,"stream_options":{"include_usage":true}}`))
	if len(usage) != 12 || !strings.Contains(usage[10], `"choices":[]`) ||
		!strings.Contains(usage[10], `"total_tokens":8`) {
		t.Errorf("include_usage = %q, want a chunk of usage before the last", usage)
	}
	if got := streamOf(t, u, post("/v1/completions", "", `{"prompt":"hello","stream":true}`)); len(got) != 10 {
		t.Errorf("a streamed completion has %d events, want 10: %q", len(got), got)
	}

	events := streamOf(t, u, post("/v1/responses", "", `{"input":"hello","stream":true}`))
	var kinds []string
	for i, event := range events {
		kind, data, _ := strings.Cut(event, "\n")
		kinds = append(kinds, strings.TrimPrefix(kind, "event: response."))
		if !strings.HasPrefix(data, "data: ") || !strings.Contains(data, fmt.Sprintf(`"sequence_number":%d`, i)) {
			t.Errorf("event %d = %q, want data with its number", i, event)
		}
	}
	want := "created in_progress output_item.added content_part.added " + strings.Repeat("output_text.delta ", 8) +
		"output_text.done content_part.done output_item.done completed"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("a streamed response = %s, want %s", got, want)
	}
	if !strings.Contains(events[0], `"output":[]`) || !strings.Contains(events[2], `"content":[]`) {
		t.Errorf("a streamed response begins with %q, want empty lists, not null", events[:3])
	}
	again := "GET /v1/responses/r?stream=true&starting_after=%s HTTP/1.1\r\nHost: h\r\n" +
		"Authorization: Bearer sk-a\r\nConnection: close\r\n\r\n"
	if got := streamOf(t, u, fmt.Sprintf(again, "12")); len(got) != 3 ||
		!strings.Contains(got[0], `"sequence_number":13`) {
		t.Errorf("starting_after=12 = %q, want the three from 13 on", got)
	}
}

// A background response goes on where a client lost it.
func TestBackgroundResponseIsKept(t *testing.T) {
	u := StartUpstream(t)
	const ask = `{"input":"hello","stream":true,"background":true}`
	events := streamOf(t, u, post("/v1/responses", "", ask))
	if len(events) != 16 || !strings.Contains(events[0], `"background":true`) {
		t.Fatalf("the response = %q", events)
	}
	u.Reset() // so that the next has the same IDs
	if got, err := exchange(t, u, post("/v1/responses", "cut=3", ask)); err != nil ||
		!strings.Contains(got, "response.created") {
		t.Fatalf("cut=3 = %q, %v", got, err)
	}
	for _, after := range []int{-1, 0, 2, 14, 15, 99} {
		get := fmt.Sprintf("GET /v1/responses/resp_%024d?stream=true&starting_after=%d HTTP/1.1\r\nHost: h\r\n"+
			"Authorization: Bearer sk-a\r\nConnection: close\r\n\r\n", 1, after)
		want := strings.Join(events[min(after+1, len(events)):], "")
		if got := strings.Join(streamOf(t, u, get), ""); got != want {
			t.Errorf("starting_after=%d = %q, want %q", after, got, want)
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	u := StartUpstream(t)
	events := streamOf(t, u, chat(""))
	whole := strings.Join(events, "")
	first := func(n int) string { return strings.Join(events[:n], "") }
	tests := []struct {
		fault string
		body  string
		err   error
	}{
		{"cut=0", "", io.ErrUnexpectedEOF},
		{"cut=3", first(3), io.ErrUnexpectedEOF},
		{"cut=99", whole, io.ErrUnexpectedEOF},
		{"cut-line=3", first(3) + events[3][:len(events[3])/2], io.ErrUnexpectedEOF},
		{"reset", "", syscall.ECONNRESET},
		{"reset=3", first(3), syscall.ECONNRESET},
		{"no-last-chunk", whole, io.ErrUnexpectedEOF},
		{"no-done", first(10), nil},
		{"close-delimited", whole, nil},
		{"close-delimited cut=3", first(3), nil},
		{"close-delimited reset=3", first(3), syscall.ECONNRESET},
		{"short-cl", whole, io.ErrUnexpectedEOF},
		{"long-cl", whole[:len(whole)/2], nil},
		{"cl-te", whole, nil},
		{"obs-fold", whole, nil},
		{"bare-lf", whole, nil},
		{"byte-writes", whole, nil},
		{"byte-writes cut=1", first(1), io.ErrUnexpectedEOF},
		{"gap=1ms", whole, nil},
	}
	for _, tt := range tests {
		res, body, err := read(t, u, chat(tt.fault))
		if res.StatusCode != 200 || body != tt.body || !errors.Is(err, tt.err) {
			t.Errorf("%s = %d %q, %v, want 200 %q, %v", tt.fault, res.StatusCode, body, err, tt.body, tt.err)
		}
	}

	_, body, err := read(t, u, chat("bad-chunk"))
	if body != first(3) || err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("bad-chunk = %q, %v, want three events and an error of the chunk", body, err)
	}
}

func TestCutInsideCharacter(t *testing.T) {
	u := StartUpstream(t)
	for _, fault := range []string{"cut-utf8=1", "cut-utf8=9"} { // with and without such a character in the event
		res, body, err := read(t, u, chat(fault))
		start, _ := utf8.DecodeLastRuneInString(body)
		if res.StatusCode != 200 || start != utf8.RuneError || !utf8.ValidString(body[:len(body)-1]) ||
			!errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s = %q, %v, want it to end within a character", fault, body, err)
		}
	}
}

func TestBrokenBodies(t *testing.T) {
	u := StartUpstream(t)
	request := func(fault string) string { return post("/v1/audio/speech", fault, `{"input":"a"}`) }
	for _, tt := range []struct {
		fault string
		size  int
		err   error
	}{
		{"", 16 << 10, nil},
		{"bytes=0", 0, nil},
		{"bytes=1000003", 1000003, nil},
		{"cut=3", 3 * 2 << 10, io.ErrUnexpectedEOF},
		{"reset=3", 3 * 2 << 10, syscall.ECONNRESET},
	} {
		res, body, err := read(t, u, request(tt.fault))
		if res.Header.Get("Content-Type") != "audio/mpeg" || body != string(Pattern(tt.size)) ||
			!errors.Is(err, tt.err) {
			t.Errorf("%s = %d bytes, %v, want %d of the pattern, %v", tt.fault, len(body), err, tt.size, tt.err)
		}
	}
	res, body, err := read(t, u, post("/v1/responses", "cut=4", `{"input":"a"}`))
	if want := int(res.ContentLength); len(body) < want/3 || len(body) > want*2/3 ||
		!errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut=4 of %d bytes of JSON = %d bytes, %v, want about half", want, len(body), err)
	}
	res, body, err = read(t, u, post("/v1/chat/completions", "bytes=100000", `{}`))
	if err != nil || res.StatusCode != 200 || len(body) < 100000 {
		t.Errorf("bytes=100000 = %d bytes of JSON, %v", len(body), err)
	}
}

func TestEncodings(t *testing.T) {
	u := StartUpstream(t)
	stream := strings.Join(streamOf(t, u, chat("")), "")
	_, plain, _ := read(t, u, post("/v1/responses", "", `{"input":"a"}`))
	for _, tt := range []struct{ name, request, want string }{
		{"stream", chat("ENCODING"), stream},
		{"JSON", post("/v1/responses", "ENCODING", `{"input":"a"}`), plain},
	} {
		for encoding, decode := range map[string]func(string) (string, error){"gzip": gunzip, "br": unbrotli} {
			res, body, err := read(t, u, strings.Replace(tt.request, "ENCODING", encoding, 1))
			if err != nil || res.Header.Get("Content-Encoding") != encoding {
				t.Errorf("%s %s has Content-Encoding %q, %v", encoding, tt.name, res.Header.Get("Content-Encoding"),
					err)
			}
			if got, err := decode(body); got != tt.want || err != nil {
				t.Errorf("%s %s = %q, %v, want %q", encoding, tt.name, got, err, tt.want)
			}
		}
	}
}

func gunzip(s string) (string, error) {
	zr, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(zr)
	return string(plain), err
}

// unbrotli decodes what brotlied writes, by RFC 7932.
func unbrotli(s string) (string, error) {
	var plain []byte
	for skip := 1; len(s) > 3; skip = 0 {
		bits := (int(s[0]) | int(s[1])<<8 | int(s[2])<<16) >> skip
		n := bits>>3&0xffff + 1
		if bits&7 != 0 || bits>>19 != 1 || len(s) < 3+n {
			return string(plain), fmt.Errorf("bad block % x", s[:3])
		}
		plain, s = append(plain, s[3:3+n]...), s[3+n:]
	}
	if s != "\x03" {
		return string(plain), fmt.Errorf("bad end % x", s)
	}
	return string(plain), nil
}

func TestOddStreams(t *testing.T) {
	u := StartUpstream(t)
	_, body, err := read(t, u, chat("comments"))
	if err != nil || !strings.HasPrefix(body, "\ufeff: ") || strings.Count(body, ": keep-alive\r\n\r\n") != 11 ||
		strings.Count(body, "\n") != strings.Count(body, "\r\n") {
		t.Errorf("comments = %q, %v, want a BOM, 11 comments and CRLF", body, err)
	}
	_, body, err = read(t, u, chat("big-event=1048576"))
	if err != nil || !strings.Contains(body, strings.Repeat("big ", 1<<18)) {
		t.Errorf("big-event=1048576 = %d bytes, %v", len(body), err)
	}
	res, _, err := read(t, u, chat("trailers"))
	if err != nil || res.Trailer.Get("X-Announced") == "" || res.Trailer.Get("X-Unannounced") == "" {
		t.Errorf("trailers = %v, %v, want both", res.Trailer, err)
	}
	raw, err := exchange(t, u, chat("byte-writes"))
	if _, body, _ := strings.Cut(raw, "\r\n\r\n"); err != nil ||
		!strings.HasPrefix(body, "1\r\nd\r\n1\r\na\r\n1\r\nt\r\n1\r\na\r\n") {
		t.Errorf("byte-writes = %.40q, %v, want chunks of one byte", body, err)
	}
}

// TestRawResponses looks at the bytes, since no parser would tell them.
func TestRawResponses(t *testing.T) {
	u := StartUpstream(t)
	for _, tt := range []struct {
		fault string
		want  []string // in this order
	}{
		{"status=99", []string{"HTTP/1.1 99 Odd\r\n", `{"error":`}},
		{"status=000", []string{"HTTP/1.1 000 Odd\r\n", `{"error":`}},
		{"status=600", []string{"HTTP/1.1 600 Odd\r\n", `{"error":`}},
		{"status=999", []string{"HTTP/1.1 999 Odd\r\n", `{"error":`}},
		{"early=1000", []string{"HTTP/1.1 1000 Odd\r\n", `{"error":`}},
		{"two-cl", []string{"\r\nContent-Length: ", "\r\nContent-Length: ", "[DONE]"}},
		{"cl-te", []string{"\r\nContent-Length: ", "\r\nTransfer-Encoding: chunked\r\n", "[DONE]", "\r\n0\r\n\r\n"}},
		{"header-nul", []string{"\r\nX-Nul: a\x00b\r\n"}},
		{"obs-fold", []string{"\r\nX-Folded: a\r\n b\r\n"}},
		{"bare-lf", []string{"HTTP/1.1 200 OK\n", "\nX-Request-Id: ", "\n\ndata: {"}},
		{"101", []string{"HTTP/1.1 101 Switching Protocols\r\n", "not asked for"}},
		{"1xx=100", append(slices.Repeat([]string{"HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nLink: <"}, 100),
			"HTTP/1.1 200 OK\r\n", "[DONE]")},
		{"close-before", nil},
	} {
		raw, err := exchange(t, u, chat(tt.fault))
		if err != nil || !inOrder(raw, tt.want) || len(tt.want) == 0 && raw != "" {
			t.Errorf("%s = %q, %v, want %q", tt.fault, raw, err, tt.want)
		}
	}
	if raw, err := exchange(t, u, chat("reset-before")); raw != "" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset-before = %q, %v, want nothing and a reset", raw, err)
	}
	raw, err := exchange(t, u, chat("close-delimited"))
	if head, _, _ := strings.Cut(raw, "\r\n\r\n"); err != nil || strings.Contains(head, "Content-Length") ||
		strings.Contains(head, "Transfer-Encoding") {
		t.Errorf("close-delimited = %q, %v, want no length", head, err)
	}
	raw, _ = exchange(t, u, chat("1xx=1"))
	if _, final, _ := strings.Cut(raw, "HTTP/1.1 200"); strings.Contains(final, "X-Hop") ||
		strings.Contains(final, "early=hint") {
		t.Errorf("1xx=1 leaves its headers in the final response: %q", final)
	}
}

func inOrder(s string, parts []string) bool {
	for _, part := range parts {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return true
}

func TestStatusFaults(t *testing.T) {
	u := StartUpstream(t)
	for _, tt := range []struct {
		fault  string
		status int
		header string
		value  string
		body   string
	}{
		{"status=429 retry-after-ms=20", 429, "Retry-After-Ms", "20", `"code":"rate_limit_exceeded"`},
		{"status=503 retry-after=1", 503, "Retry-After", "1", `"type":"server_error"`},
		{"status=401 should-retry=true", 401, "X-Should-Retry", "true", `"type":"invalid_request_error"`},
		{"region-refused", 403, "Content-Type", "application/json", `"code":"unsupported_country_region_territory"`},
		{"redirect=https://other.example/x?a=b", 302, "Location", "https://other.example/x?a=b", "[DONE]"},
		{"header=Access-Control-Allow-Origin:*", 200, "Access-Control-Allow-Origin", "*", "[DONE]"},
		{"header-kb=300", 200, "X-Huge", strings.Repeat("h", 300<<10), "[DONE]"},
		{"nonsense", 400, "Content-Type", "application/json", `"code":"fake_fault"`},
	} {
		res, body, err := read(t, u, chat(tt.fault))
		if err != nil || res.StatusCode != tt.status || res.Header.Get(tt.header) != tt.value ||
			!strings.Contains(body, tt.body) {
			t.Errorf("%s = %d %.200v %q, %v, want %d, %s: %.40s and %s", tt.fault, res.StatusCode, res.Header, body,
				err, tt.status, tt.header, tt.value, tt.body)
		}
	}
}

func TestResponseBeforeBody(t *testing.T) {
	u := StartUpstream(t)
	const head = "POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n"
	for _, tt := range []struct{ name, header, want string }{
		{"early=413", "Fake-Fault: early=413\r\nAuthorization: Bearer sk-a\r\n\r\n", "HTTP/1.1 413 "},
		{"expectation without key", "Expect: 100-continue\r\n\r\n", "HTTP/1.1 401 "},
		{"expectation with key", "Expect: 100-continue\r\nAuthorization: Bearer sk-a\r\n\r\n", "HTTP/1.1 100 "},
	} {
		got := make([]byte, len(tt.want))
		if _, err := io.ReadFull(send(t, u, head+tt.header), got); string(got) != tt.want || err != nil {
			t.Errorf("%s = %q, %v, want %q without a body sent", tt.name, got, err, tt.want)
		}
	}
	if r := u.Wait(t, 1); r.Body != nil || r.BodyErr != nil {
		t.Errorf("early=413 recorded %d bytes, %v, want none", len(r.Body), r.BodyErr)
	}
}

func TestRecordsThatClientWent(t *testing.T) {
	u := StartUpstream(t)
	first := streamOf(t, u, chat(""))[0]
	for _, tt := range []struct {
		fault  string
		events int
	}{
		{"hang", 0},
		{"delay=1h", 0},
		{"silence=1", 1},
		{"gap=1h", 1},
		{"silence=1 close-delimited", 1},
	} {
		u.Reset()
		conn := send(t, u, chat(tt.fault))
		if tt.events > 0 {
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(first))
			if _, err := io.ReadFull(res.Body, got); string(got) != first || err != nil {
				t.Errorf("%s = %q, %v, want %q", tt.fault, got, err, first)
			}
		}
		r := u.Wait(t, 1)
		select {
		case <-r.Done:
			t.Errorf("%s is done while the client waits", tt.fault)
		default:
		}
		conn.Close()
		r.WaitCanceled(t)
		await(t, r.Canceled, "Canceled")
	}
}
