package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// How large the page may be, and how large in gzip.
const (
	maxBytes     = 75_000
	maxGzipBytes = 27_000
)

// get asks for the page with one header more.
func get(method, name, value string) *http.Response {
	req := httptest.NewRequest(method, "/", nil)
	if name != "" {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	Handler().ServeHTTP(rec, req)
	return rec.Result()
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestHeaders(t *testing.T) {
	res := get("GET", "", "")
	body := readAll(t, res.Body)
	for name, want := range map[string]string{
		"Cache-Control": "no-cache", "Content-Length": strconv.Itoa(len(body)),
		"Content-Type":               "text/html; charset=utf-8",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "no-referrer",
		"Vary":            "Accept-Encoding", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex",
		"Content-Encoding": "",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	head := get("HEAD", "", "")
	if got := readAll(t, head.Body); len(got) > 0 ||
		head.Header.Get("Content-Length") != res.Header.Get("Content-Length") {
		t.Errorf("HEAD: %d bytes, %v", len(got), head.Header)
	}
}

// What may run and be shown is what the page holds, to the letter.
func TestPolicy(t *testing.T) {
	res := get("GET", "", "")
	html := string(readAll(t, res.Body))
	policy := "; " + res.Header.Get("Content-Security-Policy") + ";"
	inside := func(begin, end string) string {
		_, rest, _ := strings.Cut(html, begin)
		text, _, ok := strings.Cut(rest, end)
		if !ok || text == "" {
			t.Fatalf("the page has nothing between %s and %s", begin, end)
		}
		return text
	}
	for _, want := range []string{
		"default-src 'none'", "script-src " + source(inside(`<script type="module">`, "</script>")),
		"style-src " + source(inside("<style>", "</style>")),
		"connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	} {
		if !strings.Contains(policy, "; "+want+";") {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	script := inside(`<script type="module">`, "</script>")
	for pattern, where := range map[string]string{
		`(?i)\s(on[a-z]+|style|src)=`: strings.ReplaceAll(html, script, ""),
		`innerHTML|insertAdjacent|document\.write|\beval\b|localStorage|document\.cookie`: script,
	} {
		if found := regexp.MustCompile(pattern).FindString(where); found != "" {
			t.Errorf("the page has %q in it", found)
		}
	}
}

func TestGzip(t *testing.T) {
	plain := readAll(t, get("GET", "", "").Body)
	for accept, want := range map[string]bool{
		"gzip": true, "br, GZIP": true, "gzip;q=0.5": true, "br;q=1.0, gzip ; q=1": true,
		"": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "identity": false, "*": false,
		"gzip;q=x": false,
	} {
		res := get("GET", "Accept-Encoding", accept)
		body := readAll(t, res.Body)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != want ||
			res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Errorf("Accept-Encoding %q: %v", accept, res.Header)
		} else if got {
			zr, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil || !bytes.Equal(readAll(t, zr), plain) {
				t.Errorf("Accept-Encoding %q: another page, %v", accept, err)
			}
		}
	}
	t.Logf("%d bytes, %d compressed", len(plain), len(loaded().gzip))
	if len(plain) > maxBytes || len(loaded().gzip) > maxGzipBytes {
		t.Errorf("the page has %d bytes, %d compressed; want at most %d and %d", len(plain), len(loaded().gzip),
			maxBytes, maxGzipBytes)
	}
}

func TestNotModified(t *testing.T) {
	etag := get("GET", "", "").Header.Get("Etag")
	for value, want := range map[string]int{
		etag: 304, strings.TrimPrefix(etag, "W/"): 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200,
	} {
		res := get("GET", "If-None-Match", value)
		if body := readAll(t, res.Body); res.StatusCode != want || (len(body) == 0) != (want == 304) {
			t.Errorf("If-None-Match %s: %d, %d bytes, want %d", value, res.StatusCode, len(body), want)
		}
		if res.Header.Get("Etag") != etag || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("If-None-Match %s: %v", value, res.Header)
		}
	}
}

// The whole document is compared by internal/pagebuild, which has the bundler.
func TestDocumentIsCurrent(t *testing.T) {
	files, err := os.ReadDir("src")
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join("src", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(content), content)
	}
	if sum := fmt.Sprintf("sha256 %x", h.Sum(nil)[:8]); !bytes.Contains(html, []byte(sum)) {
		t.Error("document.html is out of date: run go generate ./core/page")
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load()
	}
}
