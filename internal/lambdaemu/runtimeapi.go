package lambdaemu

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strconv"
)

// The largest response of a function, in bytes.
const (
	maxBuffered = 6<<20 + 100
	maxStreamed = 200 << 20
)

// integrationResponse is the content type of a response that begins with a prelude.
const integrationResponse = "application/vnd.awslambda.http-integration-response"

// discard is the error log of servers whose clients misbehave on purpose.
var discard = log.New(io.Discard, "", 0)

func (r *Runtime) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", r.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", r.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", r.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", r.serveInitError)
	mux.HandleFunc("POST /2020-01-01/extension/register", r.serveRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", r.serveExtensionNext)
	return mux
}

func (r *Runtime) serveNext(w http.ResponseWriter, req *http.Request) {
	if !r.end() {
		writeStatus(w, http.StatusForbidden, "InvalidStateTransition", "State transition is not allowed")
		return
	}
	r.hooks.idle()
	select {
	case inv := <-r.events:
		r.deliver(w, inv)
	case <-req.Context().Done():
	case <-r.gone: // the caller will be killed
		panic(http.ErrAbortHandler)
	}
}

// maxAsleep is the largest event that can be written to a frozen process: what a
// socket's buffers hold.
const maxAsleep = 64 << 10

// deliver writes the event and only then has the runtime thawed, so that the
// event is there when it wakes up. A larger event must be read while it is written.
func (r *Runtime) deliver(w http.ResponseWriter, inv *invocation) {
	deadline := r.begin(inv)
	r.hooks.dispatched()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", r.function.arn())
	h.Set("Lambda-Runtime-Trace-Id", inv.trace)
	if len(inv.payload) > maxAsleep {
		r.hooks.delivered()
	}
	_, _ = w.Write(inv.payload)
	_ = http.NewResponseController(w).Flush()
	if len(inv.payload) <= maxAsleep {
		r.hooks.delivered()
	}
}

func (r *Runtime) serveResponse(w http.ResponseWriter, req *http.Request) {
	mode := req.Header.Get("Lambda-Runtime-Function-Response-Mode")
	if r.byID(req) != nil && mode != "" && mode != "streaming" {
		writeStatus(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	inv := r.enter(w, req, responding)
	if inv == nil {
		return
	}
	var err error
	if r.function.Mode == ResponseStream {
		err = r.receiveStream(inv, req)
	} else {
		err = r.receiveBuffered(inv, req, mode == "streaming")
	}
	switch {
	case errors.Is(err, ErrTooLarge):
		writeStatus(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			"Exceeded maximum allowed payload size ("+strconv.Itoa(r.limit())+" bytes).")
	case errors.Is(err, ErrTruncated):
		writeStatus(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default: // a function error is a response, too
		writeAccepted(w)
	}
}

func (r *Runtime) serveError(w http.ResponseWriter, req *http.Request) {
	inv := r.enter(w, req, over)
	if inv == nil {
		return
	}
	body, _ := io.ReadAll(io.LimitReader(req.Body, maxBuffered))
	r.hooks.over()
	inv.result <- result{err: functionError(req.Header.Get("Lambda-Runtime-Function-Error-Type"), body)}
	writeAccepted(w)
}

func (r *Runtime) serveInitError(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, maxBuffered))
	r.mu.Lock()
	ready := r.ready
	r.mu.Unlock()
	if ready {
		writeStatus(w, http.StatusForbidden, "InvalidStateTransition", "State transition is not allowed")
		return
	}
	writeAccepted(w)
	_ = http.NewResponseController(w).Flush()
	r.exited(functionError(req.Header.Get("Lambda-Runtime-Function-Error-Type"), body))
}

// byID returns the current invocation if req is about it.
func (r *Runtime) byID(req *http.Request) *invocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && r.current.id == req.PathValue("id") {
		return r.current
	}
	return nil
}

// enter moves the invocation of req from running to the next phase. If it cannot,
// it writes the error and returns nil.
func (r *Runtime) enter(w http.ResponseWriter, req *http.Request, next phase) *invocation {
	inv := r.byID(req)
	if inv == nil {
		writeStatus(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if inv.phase != running {
		writeStatus(w, http.StatusForbidden, "InvalidStateTransition", "State transition is not allowed")
		return nil
	}
	inv.phase = next
	return inv
}

func functionError(kind string, body []byte) *FunctionError {
	if kind == "" {
		kind = "Function.Unknown"
	}
	return &FunctionError{Type: kind, Body: body}
}

// trailerError returns the error that the trailers of req report, or nil.
func trailerError(req *http.Request) error {
	kind := req.Trailer.Get("Lambda-Runtime-Function-Error-Type")
	encoded := req.Trailer.Get("Lambda-Runtime-Function-Error-Body")
	if kind == "" && encoded == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		body = []byte(encoded)
	}
	return functionError(kind, body)
}

func writeAccepted(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func writeStatus(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]string{"errorMessage": message, "errorType": kind})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// serveRegister is the part of the Extensions API that a runtime needs to get a
// SIGTERM: Lambda sends it only if an extension is registered.
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

// serveExtensionNext never sends an event: extensions here register for none.
func (r *Runtime) serveExtensionNext(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Lambda-Extension-Identifier") == "" {
		writeStatus(w, http.StatusForbidden, "Extension.InvalidExtensionIdentifier",
			"Missing Lambda-Extension-Identifier header")
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
