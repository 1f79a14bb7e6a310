package cloudflare

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/relay/internal/fakeopenai"
)

// A binary upload of 40 MB arrives whole, whether its length is known or not, and
// one over the limit is refused with what would fit.
func TestUploads(t *testing.T) {
	const size = 40 << 20
	var length atomic.Int64
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, req.Body)
		if err != nil {
			return
		}
		length.Store(req.ContentLength)
		fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	}, "RELAY_MAX_BODY_BYTES=41943040")
	body := fakeopenai.Pattern(size)
	for name, reader := range map[string]io.Reader{"length known": bytes.NewReader(body),
		"length unknown": io.MultiReader(bytes.NewReader(body))} {
		res, got := f.complete(t, "POST", "/v1/files", reader)
		if want := fmt.Sprintf("%d %x", size, sha256.Sum256(body)); res.StatusCode != 200 || got != want {
			t.Errorf("%s: %d, upstream got %s, want %s", name, res.StatusCode, got, want)
		}
		if want := int64(size); name == "length known" && length.Load() != want {
			t.Errorf("%s: Content-Length %d upstream, want %d", name, length.Load(), want)
		}
	}
}

// A body that says it is over the limit is refused with what would fit. (It is
// small, as the runtime resets the connections of clients that are still sending.)
func TestUploadOverTheLimit(t *testing.T) {
	f := newFront(t, nil, "RELAY_MAX_BODY_BYTES=1024")
	res, got := f.complete(t, "POST", "/v1/files", bytes.NewReader(make([]byte, 1025)))
	wantError(t, res, got, 413, "body_too_large")
	if !strings.Contains(got, "1 KiB") || res.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("the 413 does not say what fits: %v %s", res.Header, got)
	}
}

// Of unknown length a body over the limit is refused when it gets there.
func TestUploadOverTheLimitOfUnknownLength(t *testing.T) {
	f := newFront(t, func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) },
		"RELAY_MAX_BODY_BYTES=1000")
	res, got := f.complete(t, "POST", "/v1/files", io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))))
	wantError(t, res, got, 413, "body_too_large")
}

// Compressed responses pass as they are, streams and broken gzip as well.
func TestEncodingsAreOpaque(t *testing.T) {
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(zw, strings.Repeat(event, 100))
	_ = zw.Close()
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		for _, contentType := range []string{"application/json", "text/event-stream"} {
			for name, body := range map[string][]byte{"good": zipped.Bytes(), "bad": []byte("not what it says")} {
				f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", contentType)
					w.Header().Set("Content-Encoding", encoding)
					_, _ = w.Write(body)
				})
				res, got := f.complete(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), "Accept-Encoding",
					"gzip, br, zstd")
				if res.Header.Get("Content-Encoding") != encoding || got != string(body) {
					t.Errorf("%s, %s, %s: %v and %d bytes, want the %d as they were", encoding, contentType, name,
						res.Header, len(got), len(body))
				}
			}
		}
	}
}

// Several upstreams, of which the first responds with what proves that nothing was
// processed.
func TestSeveralUpstreams(t *testing.T) {
	tests := []struct {
		name    string
		setting string // of the first upstream's URL; {up} is where it is
		status  int
		header  string
		body    string
		by      string // who responds in the end: first, second, or the relay's code

		blameless bool // the next upstream gets the request, and nothing is held against the first
	}{
		{"edge does not reach it", "{up}", 521, "", "", "second", false},
		{"edge, ambiguous", "http://rt_t@{host}", 520, "", "", "platform_failed", false},
		{"a foreign API's 520", "{up}", 520, "", "", "first", false},
		{"region refused", "{up}", 403, "",
			`{"error":{"message":"m","type":"t","code":"unsupported_country_region_territory"}}`, "second", false},
		{"API's 401", "{up}", 401, "", `{"error":{"message":"m","type":"t","code":"invalid_api_key"}}`, "first", false},
		{"API's 500", "{up}", 500, "", `{"error":{"message":"m","type":"server_error"}}`, "first", false},
		{"relay did not connect", "http://rt_t@{host}", 502, "upstream_connect",
			`{"error":{"message":"m","type":"relay_error","code":"upstream_connect"}}`, "second", false},
		{"relay's reset", "http://rt_t@{host}", 502, "upstream_reset",
			`{"error":{"message":"m","type":"relay_error","code":"upstream_reset"}}`, "first", false},
		{"who says to be a relay", "{up}", 502, "upstream_connect",
			`{"error":{"message":"m","type":"relay_error","code":"upstream_connect"}}`, "first", false},
		{"platform throttles", "http://rt_t@{host}", 429, "", "busy", "second", false},
		{"platform has no instance", "http://rt_t@{host}", 503, "", "busy", "second", false},
		{"a Worker's CPU time", "http://rt_t@{host}", 503, "", "error code: 1102", "platform_failed", false},
		{"a platform's limit", "http://rt_t@{host}", 413, "", "too large", "second", true},
		{"a foreign API's 401", "{up}", 401, "", "Unauthorized", "second", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var attempts atomic.Int64
			first := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
				attempts.Add(1)
				_, _ = io.Copy(io.Discard, req.Body)
				if test.header != "" {
					w.Header().Set("X-Relay", "r; origin=relay")
					w.Header().Set("X-Relay-Error", test.header)
				}
				w.Header().Set("Content-Type", "text/html")
				if strings.HasPrefix(test.body, "error code: ") {
					w.Header().Set("Cf-Ray", "1") // as on all that comes through Cloudflare
				}
				if strings.HasPrefix(test.body, "{") {
					w.Header().Set("Content-Type", "application/json")
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			url := strings.NewReplacer("{up}", first.URL, "{host}",
				strings.TrimPrefix(first.URL, "http://")).Replace(test.setting)
			f := newFront(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) },
				"RELAY_UPSTREAMS="+url+"#first,{upstream}#second", "RELAY_ACCESS_TOKENS=access-token-3c2b")
			res, body := f.complete(t, "POST", "/v1/chat/completions", strings.NewReader("the body"), "X-Relay-Token",
				"access-token-3c2b")
			by := res.Header.Get("X-Relay-Upstream")
			switch test.by {
			case "first":
				if by != "first" || res.StatusCode != test.status || body != test.body {
					t.Errorf("%d by %s, %s; want the first one's", res.StatusCode, by, body)
				}
			case "second":
				if by != "second" || res.StatusCode != 200 || body != "the body" ||
					res.Header.Get("X-Relay-Attempts") != "2" {
					t.Errorf("%d by %s, %s; want the second one's", res.StatusCode, by, body)
				}
				_, health := f.complete(t, "GET", "/relay/health", nil, "X-Relay-Token", "access-token-3c2b")
				first := `"(suspect|down)".*"checked_ms_ago":\d+,"error_ms_ago":\d+`
				if test.blameless {
					first = `"up"`
				}
				want := regexp.MustCompile(`"first","state":` + first +
					`.*"second","state":"up",[^}]*"checked_ms_ago":\d+}`)
				if !want.MatchString(health) {
					t.Errorf("health %s, want %s", health, want)
				}
			default:
				wantError(t, res, body, 502, test.by)
			}
			if attempts.Load() != 1 {
				t.Errorf("the first got %d requests", attempts.Load())
			}
		})
	}
}

// A relay in front of which there is a gateway tells it that the API refuses the
// region, in whatever encoding; and as a gateway the Worker believes relays.
func TestRefusalOfTheRegion(t *testing.T) {
	const refused = `{"error":{"message":"m","type":"t","code":"unsupported_country_region_territory"}}`
	for _, test := range []struct {
		name, encoding, body string
		models               int // status of the API's models without a key
		refused              bool
	}{
		{"plain", "", refused, 403, true},
		{"gzip", "gzip", refused, 403, true},
		{"br", "br", "opaque", 403, true},
		{"zstd, another 403", "zstd", "opaque", 401, false},
		{"plain, another 403", "", `{"error":{"message":"m","type":"t","code":"forbidden"}}`, 403, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if req.URL.Path == "/v1/models" {
					if req.Header.Get("Authorization") != "" || req.Header.Get("Accept-Encoding") != "identity" {
						t.Errorf("the Worker's own question has the headers %v", req.Header)
					}
					w.WriteHeader(test.models)
					_, _ = io.WriteString(w, refused)
					return
				}
				body := test.body
				if test.encoding != "" {
					w.Header().Set("Content-Encoding", test.encoding)
				}
				if test.encoding == "gzip" {
					var b bytes.Buffer
					zw := gzip.NewWriter(&b)
					_, _ = io.WriteString(zw, body)
					_ = zw.Close()
					body = b.String()
				}
				w.WriteHeader(403)
				_, _ = io.WriteString(w, body)
			}
			f := newFront(t, api)
			for _, hop := range []string{"", "1"} {
				headers := []string{"Authorization", "Bearer sk-x"}
				if hop != "" {
					headers = append(headers, "Relay-Hop", hop)
				}
				res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), headers...)
				said := res.Header.Get("X-Relay-Refusal") == "unsupported_country_region_territory"
				if res.StatusCode != 403 || said != (test.refused && hop != "") {
					t.Errorf("hop %q: %d, X-Relay-Refusal %q", hop, res.StatusCode, res.Header.Get("X-Relay-Refusal"))
				}
			}
			several := newFront(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) },
				"RELAY_UPSTREAMS="+f.upstream.URL+"#first,{upstream}#second")
			res := several.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), "Authorization",
				"Bearer sk-x")
			second := test.refused || test.encoding != "" // what cannot be read may not be the API's
			if by := res.Header.Get("X-Relay-Upstream"); (by == "second") != second {
				t.Errorf("as a gateway: %d by %s", res.StatusCode, by)
			}
		})
	}
	for setting, by := range map[string]string{"http://rt_t@": "second", "http://": "first"} {
		said := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Relay", "r; origin=upstream")
			w.Header().Set("X-Relay-Refusal", "unsupported_country_region_territory")
			w.Header().Set("Content-Encoding", "br")
			w.WriteHeader(403)
		})
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) },
			"RELAY_UPSTREAMS="+setting+strings.TrimPrefix(said.URL, "http://")+"#first,{upstream}#second",
			"RELAY_ACCESS_TOKENS=access-token-3c2b")
		res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), "X-Relay-Token", "access-token-3c2b")
		if got := res.Header.Get("X-Relay-Upstream"); got != by || res.Header.Get("X-Relay-Refusal") != "" {
			t.Errorf("%s: %d by %s, X-Relay-Refusal %q", setting, res.StatusCode, got,
				res.Header.Get("X-Relay-Refusal"))
		}
	}
}

// A body that no upstream takes is a 413 that names them, whatever the others say.
func TestBodyThatNoUpstreamTakes(t *testing.T) {
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.WriteHeader(status)
		}
	}
	for _, statuses := range [][2]int{{413, 413}, {413, 429}, {429, 413}} {
		first := startUpstream(t, answer(statuses[0]))
		f := newFront(t, answer(statuses[1]), "RELAY_UPSTREAMS=http://rt_t@"+strings.TrimPrefix(first.URL, "http://")+
			"#first,http://rt_t@{host}#second", "RELAY_ACCESS_TOKENS=access-token-3c2b")
		res, body := f.complete(t, "POST", "/v1/files", strings.NewReader("the body"), "X-Relay-Token",
			"access-token-3c2b")
		wantError(t, res, body, 413, "body_too_large")
		if res.Header.Get("X-Should-Retry") != "false" || !strings.Contains(body, "first: platform_") {
			t.Errorf("%v: %s", statuses, body)
		}
	}
}

// A single upstream that the edge does not reach, or that resets.
func TestUpstreamThatFails(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/models" {
			w.WriteHeader(522)
			return
		}
		abort()
	})
	res, body := f.complete(t, "POST", "/v1/models", nil)
	wantError(t, res, body, 502, "upstream_connect")
	res, body = f.complete(t, "POST", "/v1/files", strings.NewReader("{}"))
	wantError(t, res, body, 502, "upstream_reset")
	if res.Header.Get("Retry-After-Ms") == "" || res.Header.Get("X-Should-Retry") != "" {
		t.Errorf("SDKs would not retry: %v", res.Header)
	}
}

// A JSON response that breaks off is a 502 where another upstream could be asked,
// and broken otherwise.
func TestResponsesThatBreakOff(t *testing.T) {
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"half":`)
		flush(w)
		abort()
	}
	if body, err := io.ReadAll(newFront(t, short).send(t, "POST", "/v1/embeddings", nil).Body); err == nil {
		t.Errorf("looks complete: %q", body)
	}
	res, body := newFront(t, short, "RELAY_UPSTREAMS={upstream},{upstream}/b").complete(t, "POST", "/v1/embeddings",
		nil)
	wantError(t, res, body, 502, "upstream_interrupted")
}

// An upstream's Location leads back to the relay, its base path and token included.
func TestLocations(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/base/v1/files/x")
		w.WriteHeader(http.StatusFound)
	}, "RELAY_UPSTREAMS={upstream}/base/v1", "RELAY_PATH_TOKENS=true", "RELAY_ACCESS_TOKENS=access-token-3c2b")
	res, _ := f.complete(t, "GET", "/t/access-token-3c2b/v1/files", nil)
	if got, want := res.Header.Get("Location"), "/t/access-token-3c2b/v1/files/x"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
}

// A response whose header fetch lets through, but HTTP does not, is refused as core
// refuses it.
func TestResponsesThatAreNotHTTP(t *testing.T) {
	for _, header := range []string{
		"Transfer-Encoding: chunked, gzip", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: gzip",
		"X-Large: " + strings.Repeat("x", 256<<10), "X: a\x01b", "X: a\x7fb",
	} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+header+"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
		})
		res, body := f.complete(t, "GET", "/v1/models", nil)
		wantError(t, res, body, 502, "upstream_reset")
	}
}
