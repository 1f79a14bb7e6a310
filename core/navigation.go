package core

import (
	"net/http"
	"slices"
)

// navigation is the stage that keeps what the upstream answers from becoming a
// document or a script on the relay's own origin, where the page and its keys
// are. The policy on every answer (answerPolicy) is the second lock on that door.
type navigation struct{}

// inertDestinations are the uses to which a browser may put an answer (Fetch
// standard, request destination) without running it. WebSockets are websocket
// or, by fetch's own account, empty.
var inertDestinations = set(nil, "", "audio", "empty", "font", "image", "track", "video", "websocket")

// check reports why req may not pass, or nil if it may. Programs send none of
// these headers.
func (navigation) check(req *http.Request) error {
	_, worker := req.Header["Service-Worker"] // as browsers ask for its script, and for updates of it
	if worker ||
		slices.ContainsFunc(req.Header["Sec-Fetch-Dest"], func(dest string) bool { return !inertDestinations[dest] }) ||
		slices.ContainsFunc(req.Header["Sec-Fetch-Mode"], isNavigation) {
		return errNavigation
	}
	return nil
}

// isNavigation reports whether a Sec-Fetch-Mode loads a document; Chrome 76 to 79
// said it without the destination.
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
