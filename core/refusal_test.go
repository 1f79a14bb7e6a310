package core

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/core/protocol"
)

const refusalBody = `{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or ` +
	`territory not supported","param":null,"type":"request_forbidden"}}`

// packed returns text compressed by the writer that w makes.
func packed(t *testing.T, text string, w func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	zw := w(&b)
	_, err := io.WriteString(zw, text)
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

// inRegion serves a relay in front of an API.
func inRegion(t *testing.T, api http.HandlerFunc) (*front, http.HandlerFunc) {
	t.Helper()
	f := newFront(t, api, nil)
	return f, f.relay.ServeHTTP
}

// OpenAI's refusal of a region sends a request to the next one, however it is
// encoded, and whatever the client accepts.
func TestCompressedRefusals(t *testing.T) {
	plain := func(string) string { return refusalBody }
	zip := func(text string) string { return packed(t, text, gzipped) }
	zlibbed := func(text string) string {
		return packed(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	}
	deflated := func(text string) string {
		return packed(t, text, func(w io.Writer) io.WriteCloser {
			fw, _ := flate.NewWriter(w, flate.BestSpeed)
			return fw
		})
	}
	opaque := func(string) string { return "\x0b\x02\x80opaque\x03" }
	for _, test := range []struct {
		name      string
		encodings []string // Content-Encoding, line by line
		encode    func(string) string
		asked     bool // compresses only for those who accept it
	}{
		{"plain", nil, plain, false},
		{"identity", []string{"identity"}, plain, false},
		{"gzip", []string{"gzip"}, zip, false},
		{"x-gzip in capitals", []string{"X-GZIP"}, zip, false},
		{"gzip and identity", []string{"gzip, identity"}, zip, false},
		{"identity and gzip", []string{"identity, gzip"}, zip, false},
		{"identity and gzip, two lines", []string{"identity", "gzip"}, zip, false},
		{"deflate", []string{"deflate"}, zlibbed, false},
		{"deflate without zlib", []string{"deflate"}, deflated, false},
		{"gzip of deflate", []string{"deflate, gzip"}, func(text string) string { return zip(zlibbed(text)) }, false},
		{"br", []string{"br"}, opaque, false},
		{"br, if asked", []string{"br"}, opaque, true},
		{"zstd", []string{"zstd"}, opaque, false},
		{"zstd, if asked", []string{"zstd"}, opaque, true},
		{"identity and br", []string{"identity", "br"}, opaque, false},
		{"of the future", []string{"x-new"}, opaque, false},
		{"gzip that says nothing", nil, zip, false},
		{"br that says identity", []string{"identity"}, opaque, false},
		{"gzip that is none", []string{"gzip"}, opaque, false},
		{"bomb", []string{"gzip, gzip, gzip, gzip, gzip"}, opaque, false},
	} {
		for _, accepts := range []string{"gzip, deflate, br, zstd", "identity"} {
			t.Run(test.name+", accepts "+accepts, func(t *testing.T) {
				t.Parallel()
				refusing := func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					text := refusalBody
					if !test.asked || strings.Contains(req.Header.Get("Accept-Encoding"), "br") {
						text = test.encode(refusalBody)
						w.Header()["Content-Encoding"] = test.encodings
					}
					w.WriteHeader(403)
					_, _ = io.WriteString(w, text)
				}
				first, a := inRegion(t, refusing)
				_, b := inRegion(t, ok)
				g := newGateway(t, nil, a, b)
				headers := []string{"Authorization", "Bearer " + canaryKey, "Accept-Encoding", accepts}
				for i, want := range []string{"2", "1"} {
					res, _ := send(t, "POST", g.URL+"/v1/chat/completions", "{}", headers...)
					if res.StatusCode != 200 || res.Header.Get("X-Relay-Upstream") != "b" ||
						res.Header.Get("X-Relay-Attempts") != want {
						t.Errorf("request %d: %d by %s after %s", i, res.StatusCode, res.Header.Get("X-Relay-Upstream"),
							res.Header.Get("X-Relay-Attempts"))
					}
				}
				if u := g.health(t).Upstreams[0]; u.State != "down" || u.LastError != "region_refused" {
					t.Errorf("health: %+v", u)
				}
				for _, req := range first.requests() {
					if req.URL.Path == "/v1/models" && req.Header.Get("Authorization") != "" {
						t.Error("the relay's own question has the client's key")
					}
				}
				// Without a gateway, a relay reads nothing and says nothing of its own.
				before := len(first.requests())
				res, body := send(t, "POST", first.URL+"/v1/chat/completions", "{}", headers...)
				if res.StatusCode != 403 || res.Header.Get(protocol.Refusal) != "" ||
					len(first.requests()) != before+1 {
					t.Errorf("directly: %d, %s: %q", res.StatusCode, protocol.Refusal, res.Header.Get(protocol.Refusal))
				}
				if want := test.encode(refusalBody); !test.asked && body != want {
					t.Errorf("directly: %q, want %q", body, want)
				}
			})
		}
	}
}

// If every region is refused, the client gets OpenAI's own words, to the byte and
// without what relays say to each other.
func TestRefusedEverywhere(t *testing.T) {
	text := packed(t, refusalBody, gzipped)
	refusing := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(403)
		_, _ = io.WriteString(w, text)
	}
	_, a := inRegion(t, refusing)
	_, b := inRegion(t, refusing)
	g := newGateway(t, nil, a, b)
	res, body := send(t, "POST", g.URL+"/v1/chat/completions", "{}", "Accept-Encoding", "gzip")
	if res.StatusCode != 403 || body != text || res.Header.Get("Content-Encoding") != "gzip" ||
		res.Header.Get(protocol.Refusal) != "" ||
		!strings.HasSuffix(res.Header.Get("X-Relay"), "origin=upstream") {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
}

// A 403 of the API that is no refusal of the region is the client's, in any
// encoding, and an API that speaks like a relay is not believed.
func TestForbiddenIsNoRefusal(t *testing.T) {
	const forbidden = `{"error":{"message":"no such ` +
		`project","type":"invalid_request_error","param":null,"code":"forbidden"}}`
	for _, encoding := range []string{"", "gzip", "br"} {
		api := func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if req.URL.Path == "/v1/models" {
				w.WriteHeader(401)
				_, _ = io.WriteString(w,
					`{"error":{"message":"no key","type":"invalid_request_error","param":null,"code":null}}`)
				return
			}
			w.Header().Set(protocol.Refusal, protocol.RegionRefused) // a lie
			text := forbidden
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
				text = packed(t, text, gzipped)
			}
			w.WriteHeader(403)
			_, _ = io.WriteString(w, text)
		}
		first, a := inRegion(t, api)
		_, b := inRegion(t, ok)
		g := newGateway(t, nil, a, b)
		for range 3 {
			if res, _ := send(t, "POST", g.URL+"/v1/chat/completions", "{}", "Accept-Encoding",
				"gzip, br"); res.StatusCode != 403 || res.Header.Get("X-Relay-Upstream") != "a" {
				t.Errorf("%q: %d by %s", encoding, res.StatusCode, res.Header.Get("X-Relay-Upstream"))
			}
		}
		if u := g.health(t).Upstreams[0]; u.State != "up" || u.LastError != "" {
			t.Errorf("%q: %+v", encoding, u)
		}
		asked := 0
		for _, req := range first.requests() {
			if req.URL.Path == "/v1/models" {
				asked++
			}
		}
		if want := map[string]int{"br": 1}[encoding]; asked != want {
			t.Errorf("%q: the API was asked %d times, want %d", encoding, asked, want)
		}

		// The same API without a relay in front of it.
		alone := newGateway(t, nil, api, ok)
		if res, _ := send(t, "POST", alone.URL+"/v1/chat/completions", "{}", "Accept-Encoding",
			"gzip, br"); res.StatusCode != 403 && res.Header.Get("X-Relay-Upstream") != "b" {
			t.Errorf("%q, alone: %d by %s", encoding, res.StatusCode, res.Header.Get("X-Relay-Upstream"))
		}
		if u := alone.health(t).Upstreams[0]; u.State != "up" {
			t.Errorf("%q, alone: %+v", encoding, u)
		}
	}
}
