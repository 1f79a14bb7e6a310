package gcf

import (
	"log"
	"net/http"
	"runtime/debug"

	"example.com/relay/core"
)

// bridge returns h as a function that never panics. All it knows of relays is the
// shape of their errors.
//
// It exists because the functions framework recovers every panic, including
// http.ErrAbortHandler, and then writes an error text and ends the response
// properly, so that a truncated response looks complete.
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

// logPanic logs the stack of a panic, unless it is http.ErrAbortHandler, which is
// intended. The value may hold secrets and is not logged.
func logPanic(v any) {
	if v != http.ErrAbortHandler {
		log.Printf("panic in a handler\n%s", debug.Stack())
	}
}

// hangUp closes the client's connection, so that the response is recognizably
// truncated: it lacks its last chunk, or is shorter than its Content-Length.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the handler hijacked the connection, and closes it
	}
	conn.Close()
}

// A bridgeWriter records whether the response has begun. Only the handler's
// goroutine uses it.
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

// FlushError also sends the header if it has not been sent.
func (w *bridgeWriter) FlushError() error {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}
