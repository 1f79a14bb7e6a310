// Package page is the web page of a relay: its state, keys and what is left on
// them, and a first chat, all in the browser and through the relay itself.
//
// Its sources are page.html, page.css and a few modules, in src. They are served
// as one document, document.html, which go generate makes of them: one
// request is one invocation of a function, and with style and script inside the
// document, the Content-Security-Policy can name their hashes. So nothing else
// on the relay's origin, which forwards whatever the API responds, can run in the
// page. The page holds no secret and needs no access token.
package page

import (
	"net/http"
	"strconv"
	"strings"
)

//go:generate go run -C ../../internal/pagebuild .

// Handler returns the handler that serves the page to GET and HEAD requests. It
// takes a few milliseconds to compress the page for the first one.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, req *http.Request) {
	d := loaded()
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // cache it, but revalidate each time
	h.Set("Content-Security-Policy", d.policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Etag", d.etag)
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex") // others would find the relay by search engines
	if matches(req.Header.Values("If-None-Match"), d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := html
	if acceptsGzip(req.Header.Values("Accept-Encoding")) {
		body = d.gzip
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if req.Method != http.MethodHead {
		// If that fails, the client is gone.
		_, _ = w.Write(body)
	}
}

// matches reports whether the values of If-None-Match include etag by weak
// comparison (RFC 9110, section 13.1.2).
func matches(values []string, etag string) bool {
	for _, value := range values {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reports whether the values of Accept-Encoding include gzip with a
// weight other than zero.
func acceptsGzip(values []string) bool {
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			name, parameter, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			weight, weighted := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(parameter, " ", "")), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return !weighted || err == nil && q > 0
		}
	}
	return false
}
