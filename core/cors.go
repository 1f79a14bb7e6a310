package core

import (
	"net/http"
	"slices"
	"strings"
)

// Limits of Access-Control-Request-Headers. The names in it are reflected, since a
// fixed list would break when an SDK adds a header, and "*" does not cover
// Authorization.
const (
	maxPreflightNames = 64
	maxPreflightBytes = 4 << 10
)

// cors is the stage that lets browsers call the relay: it responds to preflights,
// refuses origins that are not allowed, and lets the others read responses (Fetch
// standard, section 3.2). It never allows credentials: keys are in headers that a
// page sets itself.
type cors struct{ origins *origins }

func newCORS(cfg Config) cors { return cors{newOrigins(cfg)} }

func (c cors) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isPreflight(req) {
			c.preflight(w.Header(), req)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if c.origins.byName() {
			w.Header().Add("Vary", "Origin")
		}
		if err := c.origins.check(req); err != nil && !isPage(req) {
			writeError(w, req, err)
			return
		}
		if allowed := c.allowed(req.Header.Get("Origin")); allowed != "" {
			w = &corsWriter{ResponseWriter: w, allowed: allowed}
		}
		next.ServeHTTP(w, req)
	})
}

// isPreflight reports whether req is a CORS preflight.
func isPreflight(req *http.Request) bool {
	return req.Method == http.MethodOptions && req.Header.Get("Origin") != "" &&
		req.Header.Get("Access-Control-Request-Method") != ""
}

// allowed returns the Access-Control-Allow-Origin for a request from origin, or ""
// if the origin may not read the response.
func (c cors) allowed(origin string) string {
	switch {
	case origin == "":
		return ""
	case c.origins.everyone():
		return "*"
	case c.origins.lists(origin):
		return origin
	}
	return ""
}

// preflight sets the headers of the response to a preflight. An origin that is not
// allowed gets a response without permissions rather than an error.
func (c cors) preflight(h http.Header, req *http.Request) {
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, "+
		"Access-Control-Request-Private-Network")
	allowed := c.allowed(req.Header.Get("Origin"))
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Max-Age", "7200")
	if req.Header.Get("Access-Control-Request-Private-Network") == "true" {
		// A page on the web calls a relay on this machine or network (Private Network
		// Access, section 3.1.1). What it may do there, its origin decides.
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	if names := reflected(req.Header.Values("Access-Control-Request-Headers")); names != "" {
		h.Set("Access-Control-Allow-Headers", names)
	}
}

// reflected returns the header names in values as one list: valid tokens only,
// up to 64 names and 4 KiB.
func reflected(values []string) string {
	var list strings.Builder
	count := 0
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			if !isToken(name) {
				continue
			}
			if count == maxPreflightNames || list.Len()+2+len(name) > maxPreflightBytes {
				return list.String()
			}
			if count > 0 {
				list.WriteString(", ")
			}
			list.WriteString(name)
			count++
		}
	}
	return list.String()
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as header names
// are.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return true
}

func isTokenByte(c byte) bool {
	return isLetterOrDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// A corsWriter adds the CORS headers to the final response header, when the names
// to expose are known. Set earlier, they could be lost to a 1xx response
// (golang/go#81207).
type corsWriter struct {
	http.ResponseWriter
	allowed string
	wrote   bool
}

// Unwrap lets [http.ResponseController] reach the server's writer.
func (w *corsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *corsWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote = true
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", w.allowed)
		h.Set("Access-Control-Expose-Headers", exposed(h))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *corsWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// exposed returns the names in h that a page could not read otherwise, as a list.
func exposed(h http.Header) string {
	names := make([]string, 0, len(h))
	for name, values := range h {
		if len(values) > 0 && !strings.HasPrefix(name, "Access-Control-") && !safelisted[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// safelisted are the response headers that any page may read (Fetch standard,
// CORS-safelisted response-header name), and those of no use to a page.
var safelisted = set(nil,
	"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified", "Pragma",
	"Content-Security-Policy", "Vary", "X-Content-Type-Options",
)
