package core

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const (
	chatUsageJSON = `{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,` +
		`"prompt_tokens_details":{"cached_tokens":7,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}}`
	responsesUsageJSON = `{"input_tokens":36,"input_tokens_details":{"cached_tokens":5},"output_tokens":87,` +
		`"output_tokens_details":{"reasoning_tokens":3},"total_tokens":123}`
)

// usageFields are what a log line can hold of usage.
var usageFields = []string{
	"usage", "model", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens",
}

func chatUsageFields(model string) map[string]any {
	return map[string]any{"model": model, "input_tokens": 19.0, "cached_tokens": 7.0, "output_tokens": 10.0,
		"reasoning_tokens": 4.0, "total_tokens": 29.0}
}

func responsesUsageFields(model string) map[string]any {
	return map[string]any{"model": model, "input_tokens": 36.0, "cached_tokens": 5.0, "output_tokens": 87.0,
		"reasoning_tokens": 3.0, "total_tokens": 123.0}
}

var unknownUsage = map[string]any{"usage": "unknown"}

// sse returns an event stream of data.
func sse(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n"
}

// The log line says what the response says, if that can be read, and the client gets
// the response as it is.
func TestUsage(t *testing.T) {
	const chatHead = `{"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[`
	long := strings.Repeat(`{"text":"a \"usage\":{\"prompt_tokens\":1} and, \"model\": x \\"},`, 2000)
	said := `{"type":"response.completed","sequence_number":9,"response":{"id":"r","instructions":"be",` +
		`"model":"gpt-5",` +
		`"output":[LONG{}],"tools":[{"parameters":{"properties":{"usage":{"type":"object"}}}}],"usage":` +
		responsesUsageJSON +
		`,"user":null,"metadata":{"usage":"mine","model":"mine"}}}`
	for _, test := range []struct {
		name, path, kind, body string
		want                   map[string]any
	}{
		{"chat", "chat/completions", "json", chatHead + `{}],"usage":` + chatUsageJSON + `,"service_tier":"default"}`,
			chatUsageFields("gpt-4o-2024-08-06")},
		{"chat, spaced", "chat/completions", "json", "{\n \"usage\" : " + chatUsageJSON + " ,\n \"model\" : \"m\"\n}\n",
			chatUsageFields("m")},
		{"chat, long", "chat/completions", "json", chatHead + long + `{}],"usage":` + chatUsageJSON + `}`,
			chatUsageFields("gpt-4o-2024-08-06")},
		{"model behind what is long", "embeddings", "json",
			`{"data":[` + long + `{}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}`,
			map[string]any{"model": "e", "input_tokens": 8.0, "total_tokens": 8.0}},
		{"responses", "responses", "json",
			`{"model":"gpt-5","output":[],"usage":` + responsesUsageJSON + `,"metadata":{"usage":"x"}}`,
			responsesUsageFields("gpt-5")},
		{"odd model", "chat/completions", "json",
			`{"model":"` + canaryKey + ` and more","usage":` + chatUsageJSON + `}`, chatUsageFields("unknown")},
		{"escaped model", "chat/completions", "json", `{"model":"a\/b","usage":` + chatUsageJSON + `}`,
			chatUsageFields("a/b")},
		{"no model", "chat/completions", "json", `{"usage":` + chatUsageJSON + `}`, chatUsageFields("unknown")},
		{"usage of something else", "chat/completions", "json", chatHead + `{"usage":` + chatUsageJSON + `}]}`,
			unknownUsage},
		{"usage in a string", "chat/completions", "json", chatHead + `{"text":"\"usage\":{\"total_tokens\":5}}"}]}`,
			unknownUsage},
		{"null", "responses", "json", `{"model":"m","status":"queued","usage":null}`, unknownUsage},
		{"no counts", "audio/transcriptions", "json", `{"text":"t","usage":{"type":"duration","seconds":1}}`,
			unknownUsage},
		{"negative and odd counts", "chat/completions", "json",
			`{"usage":{"prompt_tokens":-1,"completion_tokens":1.5,"total_tokens":"9"}}`, unknownUsage},
		{"not JSON", "chat/completions", "json", `}}"usage":`, unknownUsage},
		{"audio", "audio/speech", "audio/mpeg", `{"usage":` + chatUsageJSON + `}`, unknownUsage},
		{"compressed", "chat/completions", "gzip", chatHead + `],"usage":` + chatUsageJSON + `}`, unknownUsage},
		{"chat stream", "chat/completions", "events",
			sse(chatHead+`{}],"usage":null}`, chatHead+`],"usage":`+chatUsageJSON+`}`, "[DONE]"),
			chatUsageFields("gpt-4o-2024-08-06")},
		{"chat stream, CR LF", "chat/completions", "events",
			strings.ReplaceAll(sse(chatHead+`],"usage":`+chatUsageJSON+`}`, "[DONE]"), "\n", "\r\n"),
			chatUsageFields("gpt-4o-2024-08-06")},
		{"chat stream without", "chat/completions", "events", sse(chatHead+`{}]}`, "[DONE]"), unknownUsage},
		{"long chat stream", "chat/completions", "events",
			strings.Repeat(sse(chatHead+`{}],"usage":null}`), 1000) + sse(chatHead+`],"usage":`+chatUsageJSON+`}`,
				"[DONE]"), chatUsageFields("gpt-4o-2024-08-06")},
		{"responses stream", "responses", "events",
			"event: response.created\n" + sse(`{"type":"response.created","response":{"model":"gpt-5","usage":null}}`) +
				"event: response.completed\n" + sse(strings.Replace(said, "LONG", "", 1)),
			responsesUsageFields("gpt-5")},
		{"responses stream, long end", "responses", "events",
			"event: response.created\n" + sse(`{"type":"response.created","response":{"model":"gpt-5","usage":null}}`) +
				"event: response.completed\n" + sse(strings.Replace(said, "LONG", long, 1)),
			responsesUsageFields("gpt-5")},
		{"images stream", "images/generations", "events",
			sse(`{"type":"image_generation.completed","b64_json":"` + strings.Repeat("QUJD",
				20000) + `","usage":{"total_tokens":3,"input_tokens":1,"output_tokens":2}}`),
			map[string]any{"model": "unknown", "input_tokens": 1.0, "output_tokens": 2.0, "total_tokens": 3.0}},
		{"a file", "files", "json", `{"usage":` + chatUsageJSON + `}`, map[string]any{}},
		{"a cancelled response", "responses/r/cancel", "json", `{"usage":` + responsesUsageJSON + `}`,
			map[string]any{}},
	} {
		for _, pieces := range []int{1, 7} {
			t.Run(fmt.Sprint(test.name, " in ", pieces), func(t *testing.T) {
				f := newFront(t, func(w http.ResponseWriter,
					_ *http.Request) {
					writePieces(w, test.kind, test.body, pieces)
				}, func(cfg *Config) { cfg.LogUsage = true })
				res := do(t, newRequest(t, "POST", f.URL+"/v1/"+test.path, "{}", "Accept-Encoding", "identity"))
				body, err := io.ReadAll(res.Body)
				if err != nil || test.kind != "gzip" && string(body) != test.body {
					t.Fatalf("the client got %.200q, %v", body, err)
				}
				wantUsage(t, f, test.want)
			})
		}
	}
}

// writePieces responds with a body, of a kind, in pieces.
func writePieces(w http.ResponseWriter, kind, body string, pieces int) {
	switch kind {
	case "json":
		w.Header().Set("Content-Type", "application/json")
	case "events":
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	case "gzip":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, body)
		_ = z.Close()
		body = b.String()
	default:
		w.Header().Set("Content-Type", kind)
	}
	if pieces == 1 {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	for size := len(body)/pieces + 1; len(body) > 0; body = body[min(size, len(body)):] {
		_, _ = io.WriteString(w, body[:min(size, len(body))])
		_ = http.NewResponseController(w).Flush()
	}
}

// wantUsage fails the test unless the line of the only request has those fields of
// usage and no others.
func wantUsage(t *testing.T, f *front, want map[string]any) {
	t.Helper()
	waitForLog(t, f, "duration_ms")
	line := records(t, f.log.String())[0]
	got := make(map[string]any)
	for _, field := range usageFields {
		if value, ok := line[field]; ok {
			got[field] = value
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("logged %v, want %v", got, want)
	}
	if strings.Contains(f.log.String(), canaryKey) {
		t.Errorf("the log holds a secret: %s", f.log.String())
	}
}

// Nothing is logged of it unless the setting says so, and none of what took nothing;
// what was cut is unknown.
func TestUsageIsOptIn(t *testing.T) {
	const body = `{"model":"m","usage":` + chatUsageJSON + `}`
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, test := range []struct {
		name, method string
		on           bool
		answer       http.HandlerFunc
		want         map[string]any
	}{
		{"off", "POST", false, answer(200), map[string]any{}},
		{"on", "POST", true, answer(200), chatUsageFields("m")},
		{"an error", "POST", true, answer(400), map[string]any{}},
		{"a stored response", "GET", true, answer(200), map[string]any{}},
		{"cut", "POST", true, func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, eventHead+chunk(sse(body))).Close()
		}, unknownUsage},
		{"cut where cuts are hidden", "POST", true, func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"+
				body).Close()
		}, unknownUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, test.answer, func(cfg *Config) {
				cfg.LogUsage, cfg.Platform.HidesCuts = test.on, strings.Contains(test.name, "hidden")
			})
			res := do(t, newRequest(t, test.method, f.URL+"/v1/chat/completions", ""))
			_, _ = io.Copy(io.Discard, res.Body)
			wantUsage(t, f, test.want)
		})
	}
}

// A client that leaves before the response begins may have to pay for it.
func TestUsageOfLeavingClients(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	f := newFront(t, func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		leave()
		<-req.Context().Done()
	}, func(cfg *Config) { cfg.LogUsage = true })
	req := newRequest(t, "POST", f.URL+"/v1/responses", "{}").WithContext(ctx)
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		res.Body.Close()
		t.Errorf("got %s", res.Status)
	}
	wantUsage(t, f, unknownUsage)
}

// What is said on a WebSocket is not read.
func TestUsageOfWebSockets(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		hijack(t, w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").Close()
	}, func(cfg *Config) { cfg.LogUsage = true })
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 101 ") {
		t.Fatalf("got %q, %v", text, err)
	}
	conn.Close()
	wantUsage(t, f, unknownUsage)
}

// The end of a text gives what all of it gives, and what encoding/json finds.
func FuzzUsage(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","usage":` + chatUsageJSON + `}`, `{"usage":{"total_tokens":1},"usage":{"total_tokens":2}}`,
		`{"response":{"model":"m","usage":` + responsesUsageJSON + `}}`, `{"a\"usage":1,"usage":{"total_tokens":3}}`,
		`{"usage":{"total_tokens":1}}}`, "[DONE]", `{"a":"\\","usage":{"input_tokens":0}}`, `"usage":`, `{"usage":`,
		`\"`,
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		for _, events := range []bool{false, true} {
			u := newUsageCopy(events, -1)
			for rest := text; len(rest) > 0; {
				n := min(max(cut, 1), len(rest))
				u.note(rest[:n])
				rest = rest[n:]
			}
			u.end(true)
		}
		findModel(text)
		var whole map[string]json.RawMessage
		if json.Unmarshal(text, &whole) != nil || whole == nil || bytes.Count(text, []byte(`"usage"`)) > maxLookAlikes {
			return
		}
		// encoding/json takes the last member of a name, and unescapes names.
		if want := whole["usage"]; !bytes.Contains(text, []byte(`\u00`)) &&
			!bytes.Equal(lastMember(text, `"usage"`, 1), want) {
			t.Errorf("usage is %q, want %q", lastMember(text, `"usage"`, 1), want)
		}
		at := bytes.LastIndex(text, []byte(`"usage"`))
		for from := 1; from < at; from++ {
			if got := lastMember(text[from:], `"usage"`, 1); got != nil && from < bytes.LastIndexAny(text[:at], ",{") &&
				!bytes.Equal(got, whole["usage"]) {
				t.Errorf("from %d on, usage is %q, want %q", from, got, whole["usage"])
			}
		}
	})
}

// benchmarkBodies are a chat, and a stream of two hundred events.
var benchmarkBodies = []struct{ name, kind, text string }{
	{"chat", "json",
		`{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"message":{"content":"` +
			strings.Repeat("word ", 200) + `"}}],"usage":` + chatUsageJSON + `}`},
	{"stream", "events", strings.Repeat(sse(
		`{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"delta":{"content":"word"}}],`+
			`"usage":null}`), 200) +
		sse(`{"id":"c","model":"gpt-4o","choices":[],"usage":`+chatUsageJSON+`}`, "[DONE]")},
}

// BenchmarkUsage relays with and without usage, and reads usage alone, which is less
// than relaying varies by.
func BenchmarkUsage(b *testing.B) {
	for _, body := range benchmarkBodies {
		for _, on := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/%t", body.name, on),
				func(b *testing.B) { benchmarkUsage(b, body.kind, body.text, on) })
		}
		b.Run(body.name+"/alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rec := record{usageUnknown: true}
				s := &stream{usage: newUsageCopy(body.kind == "events", -1)}
				for piece := range strings.SplitAfterSeq(body.text, "\n\n") {
					s.usage.note([]byte(piece))
				}
				rec.endUsage(s, true)
				if len(rec.usageAttrs()) != 6 {
					b.Fatal(rec.usageAttrs())
				}
			}
		})
	}
}

func benchmarkUsage(b *testing.B, kind, body string, on bool) {
	f := newFront(b, func(w http.ResponseWriter, _ *http.Request) {
		pieces := 1
		if kind == "events" {
			pieces = 201
		}
		writePieces(w, kind, body, pieces)
	}, func(cfg *Config) { cfg.LogUsage = on })
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Post(f.URL+"/v1/chat/completions", "application/json", strings.NewReader("{}"))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(len(body)) {
			b.Fatal(n, err)
		}
		res.Body.Close()
	}
}
