package fakeopenai

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestEndpoints(t *testing.T) {
	u := StartUpstream(t)
	const chat = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`
	tests := []struct {
		method, path, key, body string
		status                  int
		want                    string // part of the body
	}{
		{"POST", "/v1/chat/completions", "sk-a", chat, 200, `"content":"Backwards → olleh"`},
		{"POST", "/v1/chat/completions", "ek_a",
			`{"messages":[{"role":"user","content":[{"type":"text","text":"ab"}]}]}`, 200, "→ ba"},
		{"POST", "/v1/chat/completions", "sk-a", "no JSON", 400, "We could not parse"},
		{"GET", "/v1/chat/completions", "sk-a", "", 405, "Not allowed to GET on /v1/chat/completions."},
		{"POST", "/v1/completions", "sk-a", `{"prompt":"hello"}`, 200, `"text":"Backwards → olleh"`},
		{"POST", "/v1/responses", "sk-a", `{"input":"hello"}`, 200, `"text":"Backwards → olleh"`},
		{"POST", "/v1/responses", "sk-a", `{"input":[{"role":"user","content":[{"type":"input_text","text":"ab"}]}]}`,
			200, "→ ba"},
		{"GET", "/v1/responses/resp_1", "sk-a", "", 200, `"id":"resp_1"`},
		{"GET", "/v1/responses", "sk-a", "", 426, "Missing WebSocket upgrade"},
		{"GET", "/v1/realtime?model=m", "sk-a", "", 426, "Missing WebSocket upgrade"},
		{"POST", "/v1/moderations", "sk-a", `{"input":"flagged"}`, 200, `"flagged":true`},
		{"GET", "/v1/models", "sk-a", "", 200, `"object":"list"`},
		{"GET", "/v1/models/gpt-4o-mini", "sk-a", "", 200, `"id":"gpt-4o-mini"`},
		{"GET", "/v1/models/ft:a%2Fb", "sk-a", "", 200, `"id":"ft:a/b"`},
		{"GET", "/v1/models/none", "sk-a", "", 404, `"code":"model_not_found"`},
		{"DELETE", "/v1/models/ft:m", "sk-a", "", 200, `"deleted":true`},
		{"GET", "/v1/files", "sk-a", "", 200, `"id":"file-fake1"`},
		{"GET", "/v1/files/file-1", "sk-a", "", 200, `"id":"file-1"`},
		{"GET", "/v1/files/file-1/content", "sk-a", "", 200, string(Pattern(fileSize))},
		{"DELETE", "/v1/files/file-1", "sk-a", "", 200, `"object":"file"`},
		{"POST", "/v1/files", "sk-a", "no form", 400, "Could not parse multipart form"},
		{"POST", "/v1/audio/speech", "sk-a", `{"input":"hello"}`, 200, string(Pattern(16 << 10))},
		{"POST", "/v1/images/generations", "sk-a", `{"n":2}`, 200, `{"b64_json":"iVBOR`},
		{"GET", "/dashboard/billing/credit_grants", "sess-a", "", 200, `"total_available":12.5`},
		{"GET", "/v1/dashboard/billing/credit_grants", "sk-a", "", 403, "must be made with a session key"},
		{"GET", "/dashboard/billing/subscription", "sess-a", "", 200, `"hard_limit_usd":100`},
		{"GET", "/v1/dashboard/billing/usage", "sess-a", "", 200, `"total_usage":550`},
		{"GET", "/v1/organization/costs", "sk-admin-a", "", 200, `"value":5.5`},
		{"GET", "/v1/organization/costs", "sk-a", "", 403, "insufficient permissions"},
		{"GET", "/v1/organization/usage/completions", "sk-admin-a", "", 200, `"input_tokens":1000`},
		{"POST", "/openai/v1/chat/completions", "sk-a", chat, 200, `"content":"Backwards → olleh"`},
		{"POST", "/openai/deployments/m/chat/completions?api-version=1", "sk-a", chat, 200,
			`"content":"Backwards → olleh"`},
		{"POST", "/v1beta/openai/chat/completions", "sk-a", chat, 200, `"content":"Backwards → olleh"`},
		{"POST", "/v1beta/openai/v1/chat/completions", "sk-a", chat, 404, "Invalid URL"},
		{"POST", "/v1/messages?beta=true", "sk-a", chat, 200, `"text":"Backwards → olleh"`},
		{"POST", "/v1/messages/count_tokens", "sk-a", chat, 200, `{"input_tokens":1}`},
		{"GET", "/v1/x", "sk-a", "", 404, `"message":"Invalid URL (GET /v1/x)"`},
		{"GET", "/v1/models", "", "", 401, `"code":null`},
		{"GET", "/v1/models", "sk-invalid1", "", 401, `"code":"invalid_api_key"`},
		{"GET", "/v1/models", "other", "", 401, `"code":"invalid_api_key"`},
	}
	for _, tt := range tests {
		name := fmt.Sprintf("%s %s with %q", tt.method, tt.path, tt.key)
		res, body := do(t, u, tt.method, tt.path, tt.key, "application/json", tt.body)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s = %d %s, want %d with %s", name, res.StatusCode, body, tt.status, tt.want)
		}
		if isJSON := json.Valid([]byte(body)); isJSON != (res.Header.Get("Content-Type") == "application/json") {
			t.Errorf("%s has Content-Type %s for %s", name, res.Header.Get("Content-Type"), body)
		}
		for _, header := range []string{"X-Request-Id", "Openai-Version", "X-Ratelimit-Reset-Tokens", "Set-Cookie",
			"Alt-Svc", "Nel"} {
			if res.Header.Get(header) == "" {
				t.Errorf("%s has no header %s", name, header)
			}
		}
		if tt.status == 401 && tt.key != "" && strings.Contains(body, tt.key) {
			t.Errorf("%s echoes the key", name)
		}
	}
}

// Anthropic and Azure have a header of their own for the key, which counts on
// their paths only.
func TestKeyHeaders(t *testing.T) {
	u := StartUpstream(t)
	for _, tt := range []struct {
		path, header string
		status       int
	}{
		{"/v1/messages", "X-Api-Key", 200},
		{"/v1/messages", "Api-Key", 401},
		{"/openai/v1/chat/completions", "Api-Key", 200},
		{"/openai/v1/chat/completions", "X-Api-Key", 401},
		{"/v1/chat/completions", "Api-Key", 401},
	} {
		req, err := http.NewRequest("POST", u.URL+tt.path, strings.NewReader(`{"messages":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(tt.header, "sk-a")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.status {
			t.Errorf("%s with the key in %s = %d, want %d", tt.path, tt.header, res.StatusCode, tt.status)
		}
	}
}

// The events of a message are those of Anthropic's streams, in order.
func TestMessageStream(t *testing.T) {
	u := StartUpstream(t)
	_, body := do(t, u, "POST", "/v1/messages", "sk-a", "application/json",
		`{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]},{"role":"system",`+
			`"content":"x"}]}`)
	var kinds []string
	text := ""
	for line := range strings.Lines(body) {
		if kind, ok := strings.CutPrefix(line, "event: "); ok {
			kinds = append(kinds, strings.TrimSpace(kind))
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var event struct {
				Type  string
				Delta struct{ Text string }
			}
			if err := json.Unmarshal([]byte(data), &event); err != nil || event.Type != kinds[len(kinds)-1] {
				t.Errorf("event %s has %s", kinds[len(kinds)-1], data)
			}
			text += event.Delta.Text
		}
	}
	want := "message_start content_block_start ping" + strings.Repeat(" content_block_delta", defaultEvents) +
		" content_block_stop message_delta message_stop"
	if got := strings.Join(kinds, " "); got != want || text != Reply("hello") {
		t.Errorf("events = %s with %q, want %s with %q", got, text, want, Reply("hello"))
	}
}

func TestHeadAndEmptyResponses(t *testing.T) {
	u := StartUpstream(t)
	res, body := do(t, u, "HEAD", "/v1/models", "sk-a", "", "")
	if res.StatusCode != 200 || body != "" || res.ContentLength < 100 {
		t.Errorf("HEAD = %d, Content-Length %d, body %q, want 200 with the length of GET", res.StatusCode,
			res.ContentLength, body)
	}
	u.Script("status=204")
	if res, body := do(t, u, "GET", "/v1/models", "sk-a", "", ""); res.StatusCode != 204 || body != "" {
		t.Errorf("status=204 = %d %q, want 204 and no body", res.StatusCode, body)
	}
}

func TestUploads(t *testing.T) {
	u := StartUpstream(t)
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	if err := mw.WriteField("purpose", "batch"); err != nil {
		t.Fatal(err)
	}
	part, err := mw.CreateFormFile("file", "ünï.bin")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(Pattern(100000)) //nolint:errcheck // to a Buffer
	mw.Close()

	want := fmt.Sprintf("%x", sha256.Sum256(Pattern(100000)))
	_, body := do(t, u, "POST", "/v1/files", "sk-a", mw.FormDataContentType(), form.String())
	var file struct {
		Filename, Purpose, SHA256 string
		Bytes                     int
	}
	if err := json.Unmarshal([]byte(body), &file); err != nil {
		t.Fatal(err)
	}
	if file.Filename != "ünï.bin" || file.Purpose != "batch" || file.SHA256 != want || file.Bytes != 100000 {
		t.Errorf("POST /v1/files = %+v, want ünï.bin, batch, 100000 bytes, sha256 %s", file, want)
	}
	for _, path := range []string{"/v1/audio/transcriptions", "/v1/audio/translations"} {
		_, body := do(t, u, "POST", path, "sk-a", mw.FormDataContentType(), form.String())
		if want := `"text":"100000 bytes, sha256 ` + want; !strings.Contains(body, want) {
			t.Errorf("POST %s = %s, want %s", path, body, want)
		}
	}
}

func TestEmbeddings(t *testing.T) {
	u := StartUpstream(t)
	var floats struct {
		Data []struct{ Embedding []float32 }
	}
	_, body := do(t, u, "POST", "/v1/embeddings", "sk-a", "", `{"input":["a","b"],"dimensions":5}`)
	if err := json.Unmarshal([]byte(body), &floats); err != nil {
		t.Fatal(err)
	}
	var packed struct{ Data []struct{ Embedding string } }
	_, body = do(t, u, "POST", "/v1/embeddings", "sk-a", "",
		`{"input":["a","b"],"dimensions":5,"encoding_format":"base64"}`)
	if err := json.Unmarshal([]byte(body), &packed); err != nil {
		t.Fatal(err)
	}
	if len(floats.Data) != 2 || len(packed.Data) != 2 || len(floats.Data[1].Embedding) != 5 {
		t.Fatalf("got %v and %v, want two vectors of 5", floats, packed)
	}
	raw, err := base64.StdEncoding.DecodeString(packed.Data[1].Embedding)
	if err != nil || len(raw) != 20 {
		t.Fatalf("base64 embedding has %d bytes, %v, want 20", len(raw), err)
	}
	for i, f := range floats.Data[1].Embedding {
		bits := uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24
		if math.Float32frombits(bits) != f {
			t.Errorf("base64 embedding[%d] = %v, want %v", i, math.Float32frombits(bits), f)
		}
	}
}

func TestRecordsRequests(t *testing.T) {
	u := StartUpstream(t)
	raw := "POST /v1/a%2Fb;c?x=%zz&;y HTTP/1.1\r\nHost: h.example\r\nAuthorization: Bearer sk-a\r\nX-Two: 1\r\n" +
		"X-Two: 2\r\n" +
		"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n"
	exchange(t, u, raw)
	r := u.Wait(t, 1)
	r.WaitDone(t)
	if r != u.Last() || len(u.Requests()) != 1 || u.Arrived() != 1 {
		t.Errorf("Wait, Last, Requests and Arrived disagree: %v %v %v %d", r, u.Last(), u.Requests(), u.Arrived())
	}
	got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Proto, " ", r.Header["X-Two"], r.ContentLength,
		r.TransferEncoding, string(r.Body), r.BodyErr, r.Trailer.Get("X-T"), r.CanceledAt().IsZero())
	want := "POST /v1/a%2Fb;c?x=%zz&;y h.example HTTP/1.1 [1 2] -1 [chunked]abc<nil>ttrue"
	if got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if r.FinishedAt().Before(r.StartedAt) {
		t.Errorf("finished at %v, before the start at %v", r.FinishedAt(), r.StartedAt)
	}
	u.Reset()
	if u.Last() != nil || u.Arrived() != 0 {
		t.Error("Reset forgot nothing")
	}
}

func TestRecordsBrokenBody(t *testing.T) {
	u := StartUpstream(t)
	conn := send(t, u,
		"POST /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer sk-a\r\nContent-Length: 100\r\n\r\nshort")
	u.WaitArrived(t, 1)
	if len(u.Requests()) != 0 {
		t.Error("recorded before the body has arrived")
	}
	conn.Close()
	r := u.Wait(t, 1)
	r.WaitCanceled(t)
	if r.BodyErr == nil || string(r.Body) != "short" {
		t.Errorf("recorded body %q, error %v, want %q and an error", r.Body, r.BodyErr, "short")
	}
}

func TestRecordsConcurrentRequests(t *testing.T) {
	u := StartUpstream(t)
	const n = 50
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			do(t, u, "POST", fmt.Sprintf("/v1/responses?i=%d", i), "sk-a", "", `{"input":"a","stream":true}`)
			u.Requests()
			u.Last()
		})
	}
	u.Wait(t, n)
	wg.Wait()
	seen := make(map[string]bool)
	for _, r := range u.Requests() {
		r.WaitDone(t)
		seen[r.RequestURI] = true
		if !r.CanceledAt().IsZero() {
			t.Errorf("%s is recorded as canceled", r.RequestURI)
		}
	}
	if len(seen) != n {
		t.Errorf("recorded %d different requests, want %d", len(seen), n)
	}
}

func TestKeepLast(t *testing.T) {
	u := StartUpstream(t)
	u.KeepLast(2)
	for i := range 5 {
		do(t, u, "GET", fmt.Sprintf("/v1/models?i=%d", i), "sk-a", "", "")
	}
	if got := u.Requests(); len(got) != 2 || got[1].RequestURI != "/v1/models?i=4" {
		t.Errorf("Requests() = %v, want the last two", got)
	}
	if got := u.Wait(t, 4).RequestURI; got != "/v1/models?i=3" {
		t.Errorf("Wait(4) = %s, want the fourth of all", got)
	}
}

func TestScript(t *testing.T) {
	u := StartUpstream(t)
	u.Script("status=500", "status=429,retry-after-ms=20", "nonsense")
	for i, want := range []int{500, 429, 400, 200} {
		res, body := do(t, u, "GET", "/v1/models", "sk-a", "", "")
		if res.StatusCode != want {
			t.Errorf("request %d = %d %s, want %d", i+1, res.StatusCode, body, want)
		}
		if i == 1 && res.Header.Get("Retry-After-Ms") != "20" {
			t.Errorf("Retry-After-Ms = %q, want 20", res.Header.Get("Retry-After-Ms"))
		}
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	u := StartUpstream(t)
	for _, fault := range []string{"hang", "silence=1", "delay=1h", "gap=1h", "silence=1 close-delimited"} {
		send(t, u, chat(fault))
	}
	send(t, u, upgrade("/v1/realtime", "Authorization: Bearer sk-a"))
	u.Wait(t, 6)
	u.Close()
}

// do sends a request and reads all of the response.
func do(t *testing.T, u *Upstream, method, path, key, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, u.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return &http.Response{}, ""
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return res, string(got)
}

// send writes a request as it stands and returns the connection, which closes
// with the test.
func send(t *testing.T, u *Upstream, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", u.Server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// exchange sends a request as it stands and returns all that comes back until
// the connection ends, and how it ended.
func exchange(t *testing.T, u *Upstream, request string) (string, error) {
	t.Helper()
	got, err := io.ReadAll(send(t, u, request))
	return string(got), err
}
