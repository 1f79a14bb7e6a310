package lambdaemu

import "net/http"

// serveRegister is the half of the Extensions API that a runtime needs which
// wants a SIGTERM: Lambda sends it only where an extension is registered.
func (r *Runtime) serveRegister(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.extensions++
	r.mu.Unlock()
	w.Header().Set("Lambda-Extension-Identifier", newRequestID())
	writeJSON(w, http.StatusOK, map[string]string{
		"functionName":    r.function.Name,
		"functionVersion": "$LATEST",
		"handler":         "bootstrap",
	})
}

// serveExtensionNext has no events for those who registered for none.
func (r *Runtime) serveExtensionNext(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Lambda-Extension-Identifier") == "" {
		writeStatus(w, http.StatusForbidden, "Extension.InvalidExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
		return
	}
	select {
	case <-req.Context().Done():
	case <-r.gone:
		panic(http.ErrAbortHandler)
	}
}

// wantsSIGTERM reports whether an extension has been registered.
func (r *Runtime) wantsSIGTERM() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.extensions > 0
}
