package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

// statusClientGone is what the log calls a request whose client left before
// its answer began. It is never sent.
const statusClientGone = 499

// A record is what the log will say of one request: an allow-list, without
// any header, query, body or key. It is the request's context as well, so that
// stages find it.
type record struct {
	context.Context

	id          string
	method      string
	route       string
	caller      int // which access token was shown, from 1 on; not logged
	start       time.Time
	attempts    int
	upstream    string // name of the one that responded, or was tried last
	status      int
	firstByte   time.Time
	bytesIn     atomic.Int64 // counted by other goroutines
	bytesOut    atomic.Int64
	err         error // why the request failed, if it did
	missingDone bool  // the stream ended cleanly without a [DONE] event
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

// sent notes how the request was sent.
func (rec *record) sent(result failover.Result) {
	rec.attempts += result.Attempts
	if result.Several {
		rec.upstream = result.Upstream
	}
}

// fail notes why the request failed; the first reason counts.
func (rec *record) fail(err error) {
	if rec.err == nil {
		rec.err = err
	}
}

// recordStage writes one line for each request, marks every answer as the
// relay's, turns panics into answers, and gives clients their time, so that
// nobody holds a connection by sending or taking nothing, token or not.
type recordStage struct {
	logger       *slog.Logger
	marker       string // X-Relay of the relay's own answers
	region       string
	bodyTimeout  time.Duration // 0: none
	writeTimeout time.Duration // 0: none
}

func (s *recordStage) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		one := &struct {
			rec record
			rw  recordWriter
		}{} // in one piece: each request has both
		rec, rw := &one.rec, &one.rw
		*rec = record{Context: req.Context(), id: requestID(), method: methodClass(req.Method), route: routeClass(req.URL.Path), start: time.Now()}
		*rw = recordWriter{ResponseWriter: w, rc: http.NewResponseController(w), rec: rec, timeout: s.writeTimeout}
		if hasBody(req) && s.bodyTimeout > 0 {
			// net/http reads bodies that nobody wants before it answers. Who reads
			// one in earnest sets deadlines anew.
			_ = rw.rc.SetReadDeadline(rec.start.Add(s.bodyTimeout))
		}
		// From here on the request is the relay's own, which stages change; not so
		// its header.
		req = req.WithContext(rec)
		w.Header()["X-Relay"] = []string{s.marker}
		defer func() {
			v := recover()
			if v != nil && v != http.ErrAbortHandler {
				v = s.answerPanic(rw, req)
			}
			s.log(req.Context(), rec)
			if v != nil {
				panic(v)
			}
		}()
		next.ServeHTTP(rw, req)
	})
}

// answerPanic logs where the handler panicked and answers 500, or returns
// [http.ErrAbortHandler] if an answer has begun. It does not log the panic's
// value, which may hold anything.
func (s *recordStage) answerPanic(w *recordWriter, req *http.Request) any {
	rec := w.rec
	s.logger.Error("panic", "request_id", rec.id, "stack", string(debug.Stack()))
	if rec.status != 0 {
		rec.fail(ErrInternal)
		return http.ErrAbortHandler
	}
	writeError(w, req, ErrInternal)
	return nil
}

// log writes the record line.
func (s *recordStage) log(ctx context.Context, rec *record) {
	level := slog.LevelInfo
	status := rec.status
	switch {
	case errors.Is(rec.err, errClientGone):
		status = statusClientGone
	case rec.err != nil:
		level = slog.LevelWarn
	}
	if !s.logger.Enabled(ctx, level) {
		return
	}
	end := time.Now()
	line := slog.NewRecord(end, level, "request", 0) // no PC: records carry no source location
	line.AddAttrs(
		slog.String("request_id", rec.id),
		slog.String("method", rec.method),
		slog.String("route", rec.route),
		slog.Int("status", status),
		slog.Int64("bytes_in", rec.bytesIn.Load()),
		slog.Int64("bytes_out", rec.bytesOut.Load()),
		slog.Float64("first_byte_ms", sinceMS(rec.start, rec.firstByte)),
		slog.Float64("duration_ms", sinceMS(rec.start, end)),
		slog.String("region", s.region),
		slog.Int("attempts", rec.attempts),
	)
	if rec.upstream != "" {
		line.AddAttrs(slog.String("upstream", rec.upstream))
	}
	if rec.err != nil {
		line.AddAttrs(slog.String("error", errorClass(rec.err)))
	}
	if rec.missingDone && (rec.route == "chat" || rec.route == "completions") {
		line.AddAttrs(slog.Bool("done", false)) // other streams end by other events
	}
	_ = s.logger.Handler().Handle(ctx, line) // like slog, drop the handler's error
	s.logCause(rec)
}

// logCause says why no connection was to be had, on a line of its own for each
// upstream. Names, addresses and certificates are the upstream's; of no other
// error may the log hold the text, which can quote what somebody sent.
func (s *recordStage) logCause(rec *record) {
	failed, ok := errors.AsType[*failover.Error](rec.err)
	if !ok {
		return
	}
	for _, f := range failed.Failures {
		if f.Connecting() {
			s.logger.Warn("no connection to the upstream", "request_id", rec.id, "upstream", f.Upstream, "cause", f.Err.Error())
		}
	}
}

// errorClass returns the code of err. What the error says beyond it may quote
// what somebody sent, so it does not get into the log.
func errorClass(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, errClientGone) {
		return errClientGone.Error()
	}
	return ErrInternal.Code
}

// sinceMS returns the milliseconds from start to end, or 0 for no end.
func sinceMS(start, end time.Time) float64 {
	if end.IsZero() {
		return 0
	}
	return float64(end.Sub(start).Microseconds()) / 1000
}

// requestID returns a new random id.
func requestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return "relay_" + hex.EncodeToString(b[:])
}

// methodClass returns method if the relay knows it, so that the log holds no
// invented ones.
func methodClass(method string) string {
	if isRelayedMethod(method) {
		return method
	}
	return "other"
}

// families are the parts of the API, the first path segment below /v1/, by
// which the log classes requests.
var families = map[string]bool{
	"assistants": true, "audio": true, "batches": true, "chat": true, "chatkit": true, "completions": true,
	"containers": true, "conversations": true, "embeddings": true, "evals": true, "files": true,
	"fine_tuning": true, "images": true, "models": true, "moderations": true, "organization": true,
	"projects": true, "realtime": true, "responses": true, "skills": true, "threads": true, "uploads": true,
	"vector_stores": true, "videos": true,
}

// routeClass returns what kind of path it is; never the path itself, which may
// hold ids and tokens.
func routeClass(path string) string {
	switch {
	case path == protocol.HealthPath:
		return "health"
	case path == "/":
		return "page"
	case strings.HasPrefix(path, "/dashboard/"):
		return "dashboard"
	}
	_, rest, ok := strings.Cut(path, "/v1/")
	if family, _, _ := strings.Cut(rest, "/"); ok && families[family] {
		return family
	}
	return "other"
}

// A recordWriter notes an answer's status, size and time of its first byte, and
// gives the client its time to take the header.
type recordWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	rec     *record
	timeout time.Duration // for the client to take the header; 0: none
}

// controller returns a controller of w.
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

// note keeps the first final status: 1xx responses are not the response.
func (w *recordWriter) note(status int) {
	if w.rec.status == 0 && status >= 200 {
		w.rec.status = status
		w.rec.firstByte = time.Now()
		if w.timeout > 0 {
			_ = w.rc.SetWriteDeadline(w.rec.firstByte.Add(w.timeout)) // where the platform has one
		}
	}
}
