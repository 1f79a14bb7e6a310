package core

import (
	"net/http"
	"slices"
)

// navigation is the stage that keeps upstream responses from becoming a document or
// a script on the relay's own origin, where the page and its keys are.
// responsePolicy, on every response, is the second line of defense.
type navigation struct{}

// inertDestinations are the request destinations (Fetch standard) for which a
// browser does not run the response. That of WebSockets is websocket or, by the
// Fetch standard, empty.
var inertDestinations = set(nil, "", "audio", "empty", "font", "image", "track", "video", "websocket")

// check returns why req is refused, or nil. Programs send none of these headers.
func (navigation) check(req *http.Request) error {
	_, worker := req.Header["Service-Worker"] // set when a browser fetches its script, or an update of it
	if worker ||
		slices.ContainsFunc(req.Header["Sec-Fetch-Dest"], func(dest string) bool { return !inertDestinations[dest] }) ||
		slices.ContainsFunc(req.Header["Sec-Fetch-Mode"], isNavigation) {
		return errNavigation
	}
	return nil
}

// isNavigation reports whether a Sec-Fetch-Mode loads a document. Chrome 76 to 79
// sent it without Sec-Fetch-Dest.
func isNavigation(mode string) bool { return mode == "navigate" || mode == "nested-navigate" }

func (n navigation) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := n.check(req); err != nil {
			writeError(w, req, err)
			return
		}
		next.ServeHTTP(w, req)
	})
}
