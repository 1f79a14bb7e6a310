package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

// statusClientGone is the status that is logged when the client left before the
// response was complete. It is never sent.
const statusClientGone = 499

// A record is what is logged of one request: an allow-list, without any header,
// query, body or key. It is the request's context as well, so that stages find it.
// It belongs to the goroutine that serves the request, except for bytesIn and
// bytesOut.
type record struct {
	context.Context

	id          string
	method      string
	route       string
	family      string // to log in place of route "other", if the request succeeds
	caller      int    // which access token was presented, from 1 on; not logged
	grant       *grant // of the access token, if it has a name, which is logged
	pathToken   string // /t/<token>, if the path had it; not logged
	start       time.Time
	attempts    int
	upstream    string // name of the one that responded, or was tried last
	status      int
	firstByte   time.Time
	bytesIn     atomic.Int64 // counted by other goroutines
	bytesOut    atomic.Int64
	err         error // why the request failed, if it did
	cut         bool  // it failed after the response had begun
	missingDone bool  // the stream ended cleanly without a [DONE] event
	resumed     int   // how often the stream was resumed
	usage       *Usage
	// usageUnknown says that the request may have taken tokens that are not known.
	usageUnknown bool

	detached *detached // the response, if it goes on after its handler; nil: it does not
}

type recordKey struct{}

// Value returns the record itself for its key.
func (rec *record) Value(key any) any {
	if key == (recordKey{}) {
		return rec
	}
	return rec.Context.Value(key)
}

// recordOf returns the record of req. Without one, as in tests of a single
// stage, it returns one that nobody reads.
func recordOf(req *http.Request) *record {
	if rec, ok := req.Context().Value(recordKey{}).(*record); ok {
		return rec
	}
	return new(record)
}

// sent records how the request was sent.
func (rec *record) sent(result failover.Result) {
	rec.attempts += result.Attempts
	if result.Several {
		rec.upstream = result.Upstream
	}
}

// fail records why the request failed. The first reason counts.
func (rec *record) fail(err error) {
	if rec.err == nil {
		rec.err, rec.cut = err, rec.status != 0
	}
}

// recordStage logs one line for each request, sets X-Relay on every response,
// responds to panics, and sets deadlines, so that no client, with or without a
// token, holds a connection by sending or taking nothing.
type recordStage struct {
	relay        *Relay // counts detached responses as in flight
	logger       *slog.Logger
	observe      func(Request) // nil: nobody does
	marker       string        // X-Relay of the relay's own responses
	region       string
	bodyTimeout  time.Duration // 0: none
	writeTimeout time.Duration // 0: none
	sample       int           // requests at level info for each that is logged; 0: all are
}

func newRecordStage(cfg Config) *recordStage {
	return &recordStage{
		logger: cfg.logger(), observe: cfg.Observe, marker: protocol.RelayMarker(cfg.Name), region: cfg.Region,
		bodyTimeout: cfg.BodyTimeout, writeTimeout: cfg.WriteTimeout, sample: cfg.LogSample,
	}
}

func (s *recordStage) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		both := &struct { // one allocation: each request has both
			rec record
			rw  recordWriter
		}{}
		rec, rw := &both.rec, &both.rw
		*rec = record{
			Context: req.Context(),
			id:      requestID(),
			method:  methodClass(req.Method),
			route:   routeClass(req.URL.Path),
			family:  unknownFamily(req.URL.Path),
			start:   time.Now(),
		}
		*rw = recordWriter{ResponseWriter: w, rc: http.NewResponseController(w), rec: rec, timeout: s.writeTimeout}
		if hasBody(req) && s.bodyTimeout > 0 {
			// net/http reads an unread body before it responds. limits sets its own
			// deadlines for bodies that are read.
			_ = rw.rc.SetReadDeadline(rec.start.Add(s.bodyTimeout))
		}
		// From here on the request is the relay's own copy, which stages may change,
		// but for its header.
		req = req.WithContext(rec)
		w.Header()[protocol.Marker] = []string{s.marker}
		defer func() {
			v := recover()
			if v != nil && v != http.ErrAbortHandler {
				v = s.respondToPanic(rw, req)
			}
			if rec.detached != nil {
				rec.detached.start(s, rec)
				return
			}
			s.end(req.Context(), rec)
			if v != nil {
				panic(v)
			}
		}()
		next.ServeHTTP(rw, req)
	})
}

// respondToPanic logs where the handler panicked and responds with 500, or returns
// [http.ErrAbortHandler] if a response has begun. It does not log the panic's
// value, which may quote anything.
func (s *recordStage) respondToPanic(w *recordWriter, req *http.Request) any {
	rec := w.rec
	s.logPanic(rec)
	if rec.status != 0 {
		rec.fail(ErrInternal)
		return http.ErrAbortHandler
	}
	writeError(w, req, ErrInternal)
	return nil
}

// logPanic logs the stack of a panic, which is being handled.
func (s *recordStage) logPanic(rec *record) {
	s.logger.Error("panic", "request_id", rec.id, "stack", string(debug.Stack()))
}

// requestID returns a new random id.
func requestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return "relay_" + hex.EncodeToString(b[:])
}

// methodClass returns method, or "other" if the relay does not know it: clients can
// send any.
func methodClass(method string) string {
	if isRelayedMethod(method) {
		return method
	}
	return "other"
}

// families are the first path segments after /v1/ that are logged as the route of a
// request.
var families = map[string]bool{
	"assistants": true, "audio": true, "batches": true, "chat": true, "chatkit": true, "completions": true,
	"containers": true, "conversations": true, "embeddings": true, "evals": true, "files": true,
	"fine_tuning": true, "images": true, "models": true, "moderations": true, "organization": true,
	"projects": true, "realtime": true, "responses": true, "skills": true, "threads": true, "uploads": true,
	"vector_stores": true, "videos": true,
}

// routeClass returns the route that is logged for a path: never the path itself,
// which may hold ids and tokens.
func routeClass(path string) string {
	switch {
	case path == protocol.HealthPath:
		return "health"
	case path == "/":
		return "page"
	case strings.HasPrefix(path, "/dashboard/"):
		return "dashboard"
	}
	if family := familyOf(path); families[family] {
		return family
	}
	return "other"
}

// familyOf returns the path segment after /v1/, or "".
func familyOf(path string) string {
	_, rest, _ := strings.Cut(path, "/v1/")
	family, _, _ := strings.Cut(rest, "/")
	return family
}

// unknownFamily returns the path segment after /v1/ if it is not one of families but
// looks like one, or "". Ids and secrets do not: they have digits, capitals or hyphens,
// or are longer. One that does is a path which the API has not, so a family is logged
// only once the API has responded with success.
func unknownFamily(path string) string {
	family := familyOf(path)
	if families[family] || !plainWords.MatchString(family) || len(family) > maxFamily {
		return ""
	}
	return family
}

// maxFamily is the max length of an unknown family.
const maxFamily = 20

// plainWords are words joined by underscores.
var plainWords = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// loggedRoute returns the route to log.
func (rec *record) loggedRoute() string {
	succeeded := rec.status == http.StatusSwitchingProtocols || rec.status >= 200 && rec.status <= 299
	if rec.route == "other" && rec.family != "" && succeeded {
		return rec.family
	}
	return rec.route
}

// A recordWriter records a response's status, its size and the time of its first
// byte, and sets the deadline for the client to take the header.
type recordWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	rec     *record
	timeout time.Duration // for the client to take the header; 0: none
}

// controller returns a controller of w without allocating one, if it can.
func controller(w http.ResponseWriter) *http.ResponseController {
	if rw, ok := w.(*recordWriter); ok {
		return rw.rc // of the server's own writer
	}
	return http.NewResponseController(w)
}

// Unwrap lets [http.ResponseController] reach the server's writer.
func (w *recordWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recordWriter) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *recordWriter) Write(p []byte) (int, error) {
	w.note(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.rec.bytesOut.Add(int64(n))
	return n, err
}

// note records the first final status, which a 1xx is not.
func (w *recordWriter) note(status int) {
	if w.rec.status == 0 && status >= 200 {
		w.rec.status = status
		w.rec.firstByte = time.Now()
		if w.timeout > 0 {
			_ = w.rc.SetWriteDeadline(w.rec.firstByte.Add(w.timeout)) // where the platform has one
		}
	}
}
