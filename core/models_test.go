package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// A form is the body of a multipart form as openai-node and others write it.
func form(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("--b0undary\r\n" + part + "\r\n")
	}
	return b.String() + "--b0undary--\r\n"
}

// field returns a part of a form.
func field(name, value string) string {
	return `Content-Disposition: form-data; name="` + name + `"` + "\r\n\r\n" + value
}

const formType = "multipart/form-data; boundary=b0undary"

// modelFile is a part that holds a file.
func modelFile(content string) string {
	return `Content-Disposition: form-data; name="file"; filename="a b%22.mp3"` +
		"\r\nContent-Type: audio/mpeg\r\n\r\n" + content
}

// A modelCase is a request of a token that permits gpt-5-mini and text-*.
type modelCase struct {
	name, method, target string
	contentType, body    string
	want                 *Error // nil: it is forwarded
}

// modelCases are tests of this package and vectors for the Worker.
func modelCases() []modelCase {
	list := []modelCase{
		{"list of models", "GET", "/v1/models", "", "", nil},
		{"stored response", "GET", "/v1/responses/resp_1?stream=true", "", "", nil},
		{"deletion", "DELETE", "/v1/responses/resp_1", "", "", nil},
		{"cancelling", "POST", "/v1/responses/resp_1/cancel", "", "", nil},
		{"file", "POST", "/v1/files", formType, form(field("purpose", "user_data")), nil},
		{"conversation", "POST", "/v1/conversations", "application/json", "{}", nil},
		{"query", "GET", "/v1/chat/completions?limit=2&model=gpt-5-mini", "", "", nil},
		{"other model in the query", "GET", "/v1/chat/completions?model=gpt-5", "", "", errModelNotAllowed},
		{"escaped in the query", "GET", "/v1/x?mod%65l=gpt-5&model=gpt-5-mini", "", "", errModelNotAllowed},
		{"twice in the query", "GET", "/v1/x?model=gpt-5-mini&model=gpt-5-mini", "", "", errModelUnknown},
		{"deployment in the query", "GET", "/v1/x?model=gpt-5-mini&Deployment=gpt-5", "", "", errModelUnknown},
		{"behind a semicolon", "GET", "/v1/x?a=b;model=gpt-5", "", "", errModelNotAllowed},
		{"odd in the query", "GET", "/v1/x?MODEL=gpt-5-mini", "", "", errModelUnknown},
		{"list in the query", "GET", "/v1/x?model[]=gpt-5-mini", "", "", errModelUnknown},
		{"query and body", "POST", "/v1/chat/completions?model=gpt-5", "application/json", `{"model":"gpt-5-mini"}`,
			errModelNotAllowed},
		{"no body", "POST", "/v1/responses", "", "", errModelUnknown},
		{"no type", "POST", "/v1/responses", "", `{"model":"gpt-5-mini"}`, errModelUnknown},
		{"text", "POST", "/v1/responses", "text/plain", `{"model":"gpt-5-mini"}`, errModelUnknown},
		{"form in the URL's encoding", "POST", "/v1/x", "application/x-www-form-urlencoded", "model=gpt-5-mini",
			errModelUnknown},
		{"other charset", "POST", "/v1/x", "application/json; charset=utf-7", `{"model":"gpt-5-mini"}`,
			errModelUnknown},
		{"charset", "POST", "/v1/x", "application/json; charset=UTF-8", `{"model":"gpt-5-mini"}`, nil},
		// Servers read these boundaries and charsets in different ways.
		{"backslash in the boundary", "POST", "/v1/images/edits", `multipart/form-data; boundary="a\:b"`, formOf("a:b"),
			errModelUnknown},
		{"boundary in parts", "POST", "/v1/images/edits", "multipart/form-data; boundary=a; boundary*0=b", formOf("b"),
			errModelUnknown},
		{"boundary in parts, the other", "POST", "/v1/images/edits", "multipart/form-data; boundary=a; boundary*0=b",
			formOf("a"), errModelUnknown},
		{"encoded boundary", "POST", "/v1/images/edits", "multipart/form-data; boundary*=utf-8''b", formOf("b"),
			errModelUnknown},
		{"two charsets", "POST", "/v1/x", "application/json; charset=utf-16; charset*=utf-8''utf-8",
			`{"model":"gpt-5-mini"}`, errModelUnknown},
		{"batch", "POST", "/v1/batches", "application/json", `{"model":"gpt-5-mini"}`, errModelUnknown},
		{"cancelled batch", "POST", "/v1/batches/b/cancel", "", "", nil},
		{"cancel as an id", "POST", "/v1/responses/cancel", "", "", errModelUnknown},
		{"client secret", "POST", "/v1/realtime/client_secrets", "application/json", `{"model":"gpt-5-mini"}`,
			errModelUnknown},
		{"call", "POST", "/v1/realtime/calls?model=gpt-5-mini", "application/sdp", "v=0", errModelUnknown},
		{"eval", "POST", "/v1/evals/e/runs", "application/json", `{"model":"gpt-5-mini"}`, errModelUnknown},
		{"model in the path", "POST", "/v1/x/deployments/gpt-5/chat/completions", "application/json",
			`{"model":"gpt-5-mini"}`, errModelUnknown},
		{"model in the path, encoded", "POST", "/v1/%6dodels/gpt-5:generate", "application/json",
			`{"model":"gpt-5-mini"}`, errModelUnknown},
		{"realtime by GET", "GET", "/v1/realtime?model=gpt-5", "", "", errModelNotAllowed},
	}
	for _, c := range jsonCases {
		list = append(list, modelCase{c.name, "POST", "/v1/chat/completions", "application/json", c.body, c.want})
	}
	for _, c := range formCases {
		list = append(list, modelCase{c.name, "POST", "/v1/audio/transcriptions", formType, c.body, c.want})
	}
	return list
}

// A bodyCase is a body and what becomes of its request.
type bodyCase struct {
	name, body string
	want       *Error
}

var jsonCases = []bodyCase{
	{"first", `{"model":"gpt-5-mini","messages":[{"role":"user","content":"\"model\":\"gpt-5\""}]}`, nil},
	{"last", " {\"messages\": [{\"model\": \"gpt-5\"}, [], {}, [[1]]], \"n\": -1.5e+3, \"a\": [true, false, null, " +
		"0],\r\n\t\"model\" : \"gpt-5-mini\"}\n", nil},
	{"wildcard", `{"model":"text-embedding-3-small"}`, nil},
	{"beginning of the wildcard", `{"model":"text"}`, errModelNotAllowed},
	{"other", `{"model":"gpt-5"}`, errModelNotAllowed},
	{"longer", `{"model":"gpt-5-mini-2"}`, errModelNotAllowed},
	{"capitals", `{"model":"GPT-5-mini"}`, errModelNotAllowed},
	{"space", `{"model":"gpt-5-mini "}`, errModelNotAllowed},
	{"star", `{"model":"text-*"}`, nil},
	{"empty", `{"model":""}`, errModelNotAllowed},
	{"NUL", `{"model":"gpt-5-mini\u0000"}`, errModelNotAllowed},
	{"escaped name, other", `{"mod\u0065l":"gpt-5"}`, errModelNotAllowed},
	{"escaped name and value", `{"\u006dode\u006C":"gpt\u002d5-mini"}`, nil},
	{"escaped name beside it", `{"model":"gpt-5-mini","mod\u0065l":"gpt-5"}`, errModelUnknown},
	{"twice", `{"model":"gpt-5-mini","x":1,"model":"gpt-5-mini"}`, errModelUnknown},
	{"twice, the other first", `{"model":"gpt-5","model":"gpt-5-mini"}`, errModelNotAllowed},
	{"other case beside it", `{"model":"gpt-5-mini","Model":"gpt-5"}`, errModelUnknown},
	{"space in the name", `{"model":"gpt-5-mini","model ":"gpt-5"}`, errModelUnknown},
	{"alternatives", `{"model":"gpt-5-mini","models":["gpt-5"]}`, errModelUnknown},
	{"nested only", `{"session":{"model":"gpt-5-mini"}}`, errModelUnknown},
	{"null", `{"model":null}`, errModelUnknown},
	{"null, and another", `{"model":null,"model":"gpt-5-mini"}`, errModelUnknown},
	{"object", `{"model":{"id":"gpt-5-mini"}}`, errModelUnknown},
	{"list", `{"model":["gpt-5-mini"]}`, errModelUnknown},
	{"none", `{"messages":[]}`, errModelUnknown},
	{"empty object", `{}`, errModelUnknown},
	{"array", `[{"model":"gpt-5-mini"}]`, errModelUnknown},
	{"string", `"model"`, errModelUnknown},
	{"cut", `{"model":"gpt-5-mini"`, errModelUnknown},
	{"cut in a string", `{"model":"gpt-5-mini","x":"`, errModelUnknown},
	{"comment", `{"a":1,/*"*/"model":"gpt-5"/*"*/,"model":"gpt-5-mini"}`, errModelUnknown},
	{"single quotes", `{'model':'gpt-5',"model":"gpt-5-mini"}`, errModelUnknown},
	{"second object", `{"model":"gpt-5-mini"}{"model":"gpt-5"}`, errModelUnknown},
	{"text behind", `{"model":"gpt-5-mini"}x`, errModelUnknown},
	{"comma behind", `{"model":"gpt-5-mini",}`, errModelUnknown},
	{"leading zero", `{"model":"gpt-5-mini","n":01}`, errModelUnknown},
	{"no number", `{"model":"gpt-5-mini","n":-}`, errModelUnknown},
	{"NaN", `{"model":"gpt-5-mini","n":NaN}`, errModelUnknown},
	{"bad escape", `{"model":"gpt-5-mini","n":"\x22"}`, errModelUnknown},
	{"line break in a string", "{\"model\":\"gpt-5-mini\",\"n\":\"\n\"}", errModelUnknown},
	{"wrong bracket", `{"model":"gpt-5-mini","n":[}]`, errModelUnknown},
	{"byte order mark", "\ufeff" + `{"model":"gpt-5-mini"}`, errModelUnknown},
	{"UTF-16", "{\x00\"\x00m\x00", errModelUnknown},
	{"many backslashes", `{"x":"` + strings.Repeat(`\\`, 1025) + `","y":"\\\"","model":"gpt-5-mini"}`, nil},
	{"space before the colon", `{"model"` + strings.Repeat(" ", 300) + `:"gpt-5"}`, errModelNotAllowed},
	{"space behind the name", `{"model":"gpt-5-mini","Model\n[0]":"gpt-5"}`, errModelUnknown},
	{"name that begins like it", `{"model":"gpt-5-mini","model_id":"gpt-5"}`, nil},
	{"long name", `{"` + strings.Repeat("model", 500) + `":1,"model":"gpt-5-mini"}`, nil},
	{"long model", `{"model":"text-` + strings.Repeat("x", 2000) + `"}`, errModelNotAllowed},
	{"deep", `{"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,"model":"gpt-5-mini"}`, nil},
}

var formCases = []bodyCase{
	{"field, first", form(field("model", "gpt-5-mini"), modelFile("\x00\x7f\r\n--b0un\r\n--")), nil},
	{"field, last", form(modelFile("\x00\r\n"), field("timestamp_granularities[]", "word"),
		field("model", "gpt-5-mini")), nil},
	{"field with a type", form("Content-Type: text/plain; charset=utf-8\r\n" +
		"content-disposition: form-data; name=model\r\nContent-Length: 10\r\n\r\ngpt-5-mini"), nil},
	{"field, other", form(modelFile("x"), field("model", "gpt-5")), errModelNotAllowed},
	{"field, line break", form(field("model", "gpt-5-mini\r\n")), errModelNotAllowed},
	{"field, empty", form(field("model", "")), errModelNotAllowed},
	{"field, twice", form(field("model", "gpt-5-mini"), field("model", "gpt-5-mini")), errModelUnknown},
	{"field, other case", form(field("model", "gpt-5-mini"), field("Model", "gpt-5")), errModelUnknown},
	{"field, list", form(field("model", "gpt-5-mini"), field("model[]", "gpt-5")), errModelUnknown},
	{"field, none", form(modelFile("x")), errModelUnknown},
	{"field, no end", strings.TrimSuffix(form(field("model", "gpt-5-mini")), "--\r\n"), errModelUnknown},
	{"field, nothing", form(), errModelUnknown},
	{"field, line feeds", strings.ReplaceAll(form(field("model", "gpt-5-mini")), "\r\n", "\n"), errModelUnknown},
	{"boundary after a line feed",
		form(field("model", "gpt-5-mini"), modelFile("\n--b0undary\n"+field("model", "gpt-5"))), errModelUnknown},
	{"boundary after a line feed only",
		form(field("model", "gpt-5-mini"), modelFile("xy\n--b0undary\r\n"+field("x", "y"))), errModelUnknown},
	{"boundary with a space", form(field("model", "gpt-5-mini"),
		modelFile("\r\n--b0undary \r\n"+field("model", "gpt-5"))), errModelUnknown},
	{"text in front", "\r\n" + form(field("model", "gpt-5-mini")), errModelUnknown},
	{"more behind", form(field("model", "gpt-5-mini")) + form(field("model", "gpt-5")), errModelUnknown},
	{"no name", form("Content-Disposition: form-data\r\n\r\nx", field("model", "gpt-5-mini")), errModelUnknown},
	{"two names", form("Content-Disposition: form-data; name=\"x\"; name=\"model\"\r\n\r\ngpt-5",
		field("model", "gpt-5-mini")), errModelUnknown},
	{"encoded name", form(field("model", "gpt-5-mini"),
		"Content-Disposition: form-data; name*=utf-8''mod%65l\r\n\r\ngpt-5"), errModelUnknown},
	{"backslash", form(field("model", "gpt-5-mini"), field(`mod\el`, "gpt-5")), errModelUnknown},
	{"two dispositions", form("Content-Disposition: form-data; name=\"x\"\r\n" + field("model", "gpt-5-mini")),
		errModelUnknown},
	{"folded header", form("Content-Disposition: form-data;\r\n name=\"model\"\r\n\r\ngpt-5-mini"), errModelUnknown},
	{"no header", form("\r\n\r\nx", field("model", "gpt-5-mini")), errModelUnknown},
	{"encoded field", form("Content-Transfer-Encoding: base64\r\n" + field("model", "Z3B0LTUtbWluaQ==")),
		errModelUnknown},
	{"field of another type", form("Content-Type: application/json\r\n" + field("model", `"gpt-5-mini"`)),
		errModelUnknown},
	{"model as a file",
		form("Content-Disposition: form-data; name=\"model\"; filename*=utf-8''x%20y\r\n\r\ngpt-5-mini"),
		errModelUnknown},
	{"long header", form("X-Long: " + strings.Repeat("x", 5000) + "\r\n" + field("model", "gpt-5-mini")),
		errModelUnknown},
	{"long field", form(field("model", "text-"+strings.Repeat("x", 3000))), errModelUnknown},
}

// formOf returns a form with the model and an unusual boundary.
func formOf(boundary string) string {
	return "--" + boundary + "\r\n" + field("model", "gpt-5-mini") + "\r\n--" + boundary + "--\r\n"
}

// alicesModels sets the token whose models modelCases has.
var alicesModels = withTokens(NamedToken{Name: "alice", Token: canaryToken, Models: []string{"gpt-5-mini", "text-*"}},
	NamedToken{Name: "bob", Token: "other-token"})

func TestModels(t *testing.T) {
	for _, c := range modelCases() {
		t.Run(c.name, func(t *testing.T) {
			var got string
			f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
				b, _ := io.ReadAll(req.Body)
				got = string(b)
				ok(w, req)
			}, alicesModels)
			headers := []string{"Authorization", "Bearer " + canaryKey, "X-Relay-Token", canaryToken}
			if c.contentType != "" {
				headers = append(headers, "Content-Type", c.contentType)
			}
			res, body := send(t, c.method, f.URL+c.target, c.body, headers...)
			if c.want == nil {
				if req := f.only(t); res.StatusCode != 200 || got != c.body || req.ContentLength != int64(len(c.body)) {
					t.Errorf("%d %s, upstream got %q of length %d", res.StatusCode, body, got, req.ContentLength)
				}
				return
			}
			wantError(t, res, body, c.want)
			if !strings.Contains(body, string(encodeJSON(c.want.Msg))) || strings.Contains(body, "gpt") {
				t.Errorf("body %s, want the message %q", body, c.want.Msg)
			}
			f.untouched(t)
			waitForLog(t, f, "duration_ms")
			if log := f.log.String(); !strings.Contains(log, `"token":"alice"`) || strings.Contains(log, "gpt-5") {
				t.Errorf("log %s", log)
			}
		})
	}
}

// Other tokens may send anything, and nobody looks at it.
func TestModelsOfOtherTokens(t *testing.T) {
	f := newFront(t, echo, alicesModels)
	for _, body := range []string{`{"model":"gpt-5"}`, "{", "\x1f\x8b"} {
		res, got := send(t, "POST", f.URL+"/v1/chat/completions", body, "X-Relay-Token", "other-token")
		if res.StatusCode != 200 || got != body {
			t.Errorf("%q: %d %q", body, res.StatusCode, got)
		}
	}
}

// What needs no model at OpenAI's paths needs none at Azure's either.
func TestModelsBelowOpenAI(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		alicesModels(cfg)
		cfg.Paths = []string{"/openai/"}
	})
	for path, want := range map[string]int{"/openai/v1/responses/resp_1/cancel": 200, "/openai/v1/conversations": 200,
		"/openai/v1/responses": 403, "/openai/v1/batches": 403} {
		if res, body := send(t, "POST", f.URL+path, "{}", "X-Relay-Token", canaryToken); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, body, want)
		}
	}
}

// Compressed bodies are refused, and lists of content types.
func TestModelsThatCannotBeRead(t *testing.T) {
	for _, headers := range [][]string{
		{"Content-Type", "application/json", "Content-Encoding", "gzip"},
		{"Content-Type", "application/json", "Content-Encoding", "identity", "Content-Encoding", "zstd"},
		{"Content-Type", "application/json", "Content-Type", "application/x-www-form-urlencoded"},
		{"Content-Type", "multipart/form-data"},
		{"Content-Type", `multipart/form-data; boundary="a b"`},
		{"Content-Type", "multipart/form-data; boundary=a; boundary=b"},
		{"Content-Type", "application/json; charset=utf-16; charset*=utf-8''utf-8"},
		{"Content-Type", "multipart/mixed; boundary=b0undary"},
	} {
		f := newFront(t, ok, alicesModels)
		res, body := send(t, "POST", f.URL+"/v1/chat/completions", `{"model":"gpt-5-mini"}`,
			append(headers, "X-Relay-Token", canaryToken)...)
		wantError(t, res, body, errModelUnknown)
		f.untouched(t)
	}
}

// A long body streams through, whatever its parts are, and no upstream gets the end of
// one whose model is not permitted.
func TestModelsOfLongBodies(t *testing.T) {
	filler := strings.Repeat(`{"role":"user","content":"`+strings.Repeat("x", 1000)+`\n"},`, 3000)
	for _, sized := range []bool{true, false} {
		for _, test := range []struct {
			name, contentType, body string
			want                    *Error
		}{
			{"behind messages", "application/json", `{"messages":[` + filler + `{}],"model":"gpt-5-mini"}`, nil},
			{"other behind messages", "application/json", `{"messages":[` + filler + `{}],"model":"gpt-5"}`,
				errModelNotAllowed},
			{"none", "application/json", `{"messages":[` + filler + `{}]}`, errModelUnknown},
			{"cut", "application/json", `{"model":"gpt-5-mini","messages":[` + filler, errModelUnknown},
			{"second", "application/json", `{"model":"gpt-5-mini","messages":[` + filler + `{}],"model":"gpt-5-mini"}`,
				errModelUnknown},
			{"field behind a file", formType, form(modelFile(filler), field("model", "gpt-5-mini")), nil},
			{"other field behind a file", formType, form(modelFile(filler), field("model", "gpt-5")),
				errModelNotAllowed},
			{"no field", formType, form(modelFile(filler)), errModelUnknown},
		} {
			t.Run(fmt.Sprint(test.name, " ", sized), func(t *testing.T) {
				got := make(chan string, 1)
				f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
					b, err := io.ReadAll(req.Body)
					if err != nil {
						b = append(b, "(incomplete)"...)
					}
					got <- string(b)
					ok(w, req)
				}, alicesModels)
				req := newRequest(t, "POST", f.URL+"/v1/chat/completions", test.body, "X-Relay-Token", canaryToken,
					"Content-Type", test.contentType)
				if !sized {
					req.ContentLength = -1
					req.Body = io.NopCloser(iotest.OneByteReader(bytes.NewBufferString(test.body[:2<<10])))
					req.Body = io.NopCloser(io.MultiReader(req.Body, strings.NewReader(test.body[2<<10:])))
				}
				res := do(t, req)
				body := readAll(t, res)
				sent := receive(t, got, "the upstream")
				if test.want == nil {
					if res.StatusCode != 200 || sent != test.body {
						t.Errorf("%d %s, the upstream got %d bytes of %d", res.StatusCode, body, len(sent),
							len(test.body))
					}
					return
				}
				wantError(t, res, body, test.want)
				if begun, incomplete := strings.CutSuffix(sent, "(incomplete)"); !incomplete ||
					!strings.HasPrefix(test.body, begun) || strings.Contains(begun, `"gpt-5"`) {
					t.Errorf("the upstream got %d bytes of %d, incomplete: %t", len(begun), len(test.body), incomplete)
				}
			})
		}
	}
}

// What is the last of a body whose length is known does not pass before its end is.
func TestModelBodyHoldsItsLastBytesBack(t *testing.T) {
	for _, text := range []string{`{"model":"gpt-5-mini"`, `{"n":1}`} {
		body := &modelBody{ReadCloser: io.NopCloser(iotest.OneByteReader(strings.NewReader(text))),
			left: int64(len(text)), sized: true, finder: newJSONModel(func(string) bool { return true })}
		if got, err := io.ReadAll(body); string(got) != text[:len(text)-1] || err != errModelUnknown {
			t.Errorf("read %q, %v", got, err)
		}
	}
}

// A refusal in the middle of a body is nobody's fault upstream, and no other upstream
// is tried.
func TestModelsThroughAGateway(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		ok(w, req)
	}, nil)
	other := newFront(t, ok, nil)
	f.start(t, f.upstream.URL, func(cfg *Config) {
		alicesModels(cfg)
		cfg.Upstreams, cfg.ProbeInterval = append(cfg.Upstreams, Secret(other.upstream.URL)), -1
	})
	for _, size := range []int{100 << 10, 3 << 20} { // that could be sent again, and could not
		body := `{"messages":["` + strings.Repeat("x", size) + `"],"model":`
		for range 4 {
			res, text := send(t, "POST", f.URL+"/v1/responses", body+`"gpt-5"}`, "X-Relay-Token", canaryToken,
				"Content-Type", "application/json")
			wantError(t, res, text, errModelNotAllowed)
		}
		res, text := send(t, "POST", f.URL+"/v1/responses", body+`"gpt-5-mini"}`, "X-Relay-Token", canaryToken,
			"Content-Type", "application/json")
		if res.StatusCode != 200 {
			t.Errorf("permitted: %d %s", res.StatusCode, text)
		}
	}
	other.untouched(t)
	if got := f.relay.pool.Status()[0].State; got != "up" {
		t.Errorf("the upstream is %s", got)
	}
}

// A WebSocket of Realtime has its model in the query, and no other has one.
func TestModelsOfWebSockets(t *testing.T) {
	for target, want := range map[string]int{
		"/v1/realtime?model=gpt-5-mini":                   101,
		"/v1/realtime?model=gpt-5":                        403,
		"/v1/realtime?model=gpt-5-mini&model=gpt-5-mini":  403,
		"/v1/realtime":                                    403,
		"/v1/realtime?call_id=rtc_1":                      403,
		"/v1/realtime?model=gpt-5-mini&deployment=gpt-5":  403,
		"/v1/deployments/gpt-5/realtime?model=gpt-5-mini": 403,
		"/v1/responses?model=gpt-5-mini":                  403,
	} {
		f := newFront(t, echoSocket, alicesModels)
		raw := "GET " + target + " HTTP/1.1\r\nHost: x\r\nX-Relay-Token: " + canaryToken +
			"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
		if res, body := sendRaw(t, f.URL, raw); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", target, res.StatusCode, body, want)
		}
	}
}

// echoSocket accepts a WebSocket and closes it.
func echoSocket(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	conn.Close()
}

// feedAll returns what a finder makes of a body that it gets in pieces, at whose size
// random decides.
func feedAll(finder modelFinder, body []byte, random *rand.Rand) error {
	for len(body) > 0 {
		n := 1 + random.IntN(len(body))
		if random.IntN(2) == 0 {
			n = min(n, 3)
		}
		if err := finder.feed(body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	if !finder.whole() {
		return errModelUnknown
	}
	return nil
}

// decodedModel returns the model of a JSON object by encoding/json, and whether there
// is exactly one and nothing that resembles one.
func decodedModel(text []byte) (model string, ok bool) {
	if !json.Valid(text) {
		return "", false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, _ := dec.Token(); start != json.Delim('{') {
		return "", false
	}
	found := 0
	for dec.More() {
		name, _ := dec.Token()
		var value any
		if dec.Decode(&value) != nil {
			return "", false
		}
		odd := resembling.ReplaceAllString(strings.ToLower(name.(string)), "$1")
		switch {
		case name == "model":
			if model, ok = value.(string); !ok {
				return "", false
			}
			found++
		case odd == "model" || odd == "models":
			return "", false
		}
	}
	return model, found == 1
}

var resembling = regexp.MustCompile(`(?s)^[ \t\r\n]*([^ \t\r\n[]*).*$`)

// FuzzJSONModel: a body passes if and only if encoding/json finds one permitted model
// in it, in whatever pieces it comes.
func FuzzJSONModel(f *testing.F) {
	for _, c := range jsonCases {
		f.Add([]byte(c.body), uint64(1))
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		if len(body) > maxModelText {
			return
		}
		permits := func(model string) bool {
			return strings.HasPrefix(model, "gpt-5-mini") || strings.HasPrefix(model, "text-")
		}
		err := feedAll(newJSONModel(permits), body, rand.New(rand.NewPCG(seed, 0)))
		model, ok := decodedModel(body)
		if (err == nil) != (ok && permits(model)) {
			t.Errorf("%q: %v, but encoding/json finds %q, %t", body, err, model, ok)
		}
	})
}

// FuzzFormModel: of a form that passes, mime/multipart finds the same model, and one
// that mime/multipart has written passes.
func FuzzFormModel(f *testing.F) {
	for _, c := range formCases {
		f.Add([]byte(c.body), uint64(1))
	}
	permits := func(model string) bool { return model == "gpt-5-mini" || strings.HasPrefix(model, "text-") }
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		if feedAll(&formModel{permits: permits, boundary: "--b0undary"}, body, random) == nil {
			var found []string
			r := multipart.NewReader(bytes.NewReader(body), "b0undary")
			for {
				part, err := r.NextRawPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%q passes, but is no form: %v", body, err)
				}
				value, _ := io.ReadAll(part)
				if strings.EqualFold(part.FormName(), "model") {
					found = append(found, string(value))
				}
			}
			if len(found) != 1 || !permits(found[0]) {
				t.Errorf("%q passes with the models %q", body, found)
			}
		}
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if part, err := w.CreateFormFile("file", "a.bin"); err == nil {
			_, _ = part.Write(body)
		}
		_ = w.WriteField("model", "gpt-5-mini")
		_ = w.Close()
		if err := feedAll(&formModel{permits: permits, boundary: "--" + w.Boundary()}, b.Bytes(), random); err != nil {
			t.Errorf("a form with the file %q: %v", body, err)
		}
	})
}

// Without a list of models nothing is read, and with one little is added.
func BenchmarkModels(b *testing.B) {
	body := []byte(`{"model":"gpt-5-mini","messages":[{"role":"user","content":"` +
		strings.Repeat("Some words of a prompt. ", 40_000) + `"}]}`)
	permits := func(string) bool { return true }
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		finder := newJSONModel(permits)
		for piece := range slices.Chunk(body, 32<<10) {
			if err := finder.feed(piece); err != nil {
				b.Fatal(err)
			}
		}
	}
}
