package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// mostBytes is how large the page may be, before it is compressed.
const mostBytes = 60 << 10

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
		"Cache-Control": "no-cache", "Content-Length": strconv.Itoa(len(body)), "Content-Type": "text/html; charset=utf-8",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer",
		"Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex", "Content-Encoding": "",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	head := get("HEAD", "", "")
	if got := readAll(t, head.Body); len(got) > 0 || head.Header.Get("Content-Length") != res.Header.Get("Content-Length") {
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
		"default-src 'none'", "script-src " + source(inside(`<script type="module">`, "</script>")), "style-src " + source(inside("<style>", "</style>")),
		"connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
	} {
		if !strings.Contains(policy, "; "+want+";") {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for _, pattern := range []string{`(?i)\son[a-z]+=`, `(?i)\sstyle=`, `(?i)\ssrc=`, `innerHTML|insertAdjacent|document\.write|\beval\b|localStorage|document\.cookie`} {
		if found := regexp.MustCompile(pattern).FindString(html); found != "" {
			t.Errorf("the page has %q in it", found)
		}
	}
}

func TestGzip(t *testing.T) {
	plain := readAll(t, get("GET", "", "").Body)
	for accept, want := range map[string]bool{
		"gzip": true, "br, GZIP": true, "gzip;q=0.5": true, "br;q=1.0, gzip ; q=1": true,
		"": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "identity": false, "*": false, "gzip;q=x": false,
	} {
		res := get("GET", "Accept-Encoding", accept)
		body := readAll(t, res.Body)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != want || res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Errorf("Accept-Encoding %q: %v", accept, res.Header)
		} else if got {
			zr, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil || !bytes.Equal(readAll(t, zr), plain) {
				t.Errorf("Accept-Encoding %q: another page, %v", accept, err)
			}
		}
	}
	t.Logf("%d bytes, %d compressed", len(plain), len(assembled().gzip))
	if len(plain) > mostBytes {
		t.Errorf("the page has %d bytes, want at most %d", len(plain), mostBytes)
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

func TestJoin(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // joined, or in the error
	}{
		{"each once, in order", map[string]string{
			"main.mjs": "// why\nimport { a } from './a.mjs';\nimport { b } from './b.mjs';\na(b);\n",
			"a.mjs":    "import { b } from './b.mjs';\nexport const a = b;\n",
			"b.mjs":    "export function b() {\n  // stays\n}\n",
		}, "\nfunction b() {\n  // stays\n}\n\nconst a = b;\n\na(b);\n"},
		{"no such module", map[string]string{"main.mjs": "import { a } from './a.mjs';\n"}, "a.mjs"},
		{"a package", map[string]string{"main.mjs": "import a from 'a';\n"}, "cannot be joined"},
		{"ends the script", map[string]string{"main.mjs": "'</script>';\n"}, "ends the script"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range test.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := join(fsys, "main.mjs")
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func BenchmarkAssemble(b *testing.B) {
	for b.Loop() {
		if _, err := assemble(); err != nil {
			b.Fatal(err)
		}
	}
}
