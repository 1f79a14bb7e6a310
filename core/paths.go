package core

import (
	"net/http"
	"slices"
	"strings"

	"example.com/relay/core/protocol"
)

// routes sends requests to what answers them, by their path.
type routes struct {
	health http.Handler
	page   http.Handler // nil: none
	api    http.Handler
	toAPI  paths
}

func (r *routes) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.URL.EscapedPath() == protocol.HealthPath:
		r.health.ServeHTTP(w, req)
	case r.page != nil && isPage(req):
		r.page.ServeHTTP(w, req)
	case r.toAPI.include(req):
		r.api.ServeHTTP(w, req)
	default:
		writeError(w, req, errUnknownPath)
	}
}

// isPage reports whether req is for the page, which everyone may link to.
func isPage(req *http.Request) bool {
	return req.URL.EscapedPath() == "/" && (req.Method == http.MethodGet || req.Method == http.MethodHead)
}

// paths is the stage that lets only the relayed paths pass, by their prefixes.
// It stands behind access, which may have taken a token out of the path.
type paths []string

func (p paths) include(req *http.Request) bool {
	path := req.URL.EscapedPath()
	return slices.ContainsFunc(p, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

func (p paths) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !p.include(req) {
			writeError(w, req, errUnknownPath)
			return
		}
		next.ServeHTTP(w, req)
	})
}
