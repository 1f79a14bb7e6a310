package gcf

import (
	"log"
	"net/http"
	"runtime/debug"

	"example.com/relay/core"
)

// bridge returns h as a function that lets no panic out. It knows nothing of
// relays but the shape of their errors.
//
// It exists because the functions framework recovers every panic, aborts
// included, writes a sentence into the response and ends it properly: a truncated
// response would look complete.
func bridge(h http.Handler) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, req *http.Request) {
		bw := &bridgeWriter{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			logPanic(v)
			if v == http.ErrAbortHandler || bw.begun {
				hangUp(w)
				return
			}
			clear(w.Header())
			core.ErrInternal.ServeHTTP(w, req)
		}()
		h.ServeHTTP(bw, req)
	}
}

// logPanic logs where a handler panicked, but for aborts, which are meant. The
// value may hold anything and is not logged.
func logPanic(v any) {
	if v != http.ErrAbortHandler {
		log.Printf("panic in a handler\n%s", debug.Stack())
	}
}

// hangUp closes the client's connection: a chunked response lacks its last chunk,
// any other is shorter than its Content-Length.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // somebody has the connection already, and closes it
	}
	conn.Close()
}

// A bridgeWriter records whether the response has begun.
type bridgeWriter struct {
	http.ResponseWriter
	begun bool
}

// Unwrap lets [http.ResponseController] reach the server's writer.
func (w *bridgeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *bridgeWriter) WriteHeader(status int) {
	w.begun = w.begun || status >= 200 // 1xx responses are not the response
	w.ResponseWriter.WriteHeader(status)
}

func (w *bridgeWriter) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// FlushError sends the header too, if nothing has yet.
func (w *bridgeWriter) FlushError() error {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}
