package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"example.com/relay/core"
)

// errAborted tells the platform that a response was truncated. It is sent in the
// trailers of the Runtime API.
var errAborted = errors.New("the response was truncated")

// streamed serves req and returns as soon as the response's header is written.
// What the handler writes from then on is sent at once. The runtime closes the
// response before it takes the next event.
func streamed(h http.Handler, req *http.Request) *events.LambdaFunctionURLStreamingResponse {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(req.Context())
	req = req.WithContext(ctx)
	s := &streamWriter{
		header:   make(http.Header),
		body:     w,
		response: make(chan *events.LambdaFunctionURLStreamingResponse, 1),
		reader:   &streamReader{PipeReader: r, cancel: cancel, done: make(chan struct{})},
	}
	go s.serve(h, req)
	return <-s.response
}

// A streamWriter is the ResponseWriter of a streamed response. Only the handler's
// goroutine uses it.
type streamWriter struct {
	header   http.Header
	body     *io.PipeWriter
	response chan *events.LambdaFunctionURLStreamingResponse // receives exactly one
	reader   *streamReader
	wrote    bool // the header
}

// A streamReader is the body of a streamed response. The runtime reads and closes
// it. Close waits for the handler, which must not run on into the next event or a
// freeze.
type streamReader struct {
	*io.PipeReader
	cancel context.CancelFunc // the request's context
	done   chan struct{}      // closed when the handler has returned
}

// Close cancels the request, makes further writes fail, and returns when the
// handler has.
func (r *streamReader) Close() error {
	r.cancel()
	err := r.PipeReader.Close()
	<-r.done
	return err
}

// serve runs the handler until it returns or panics, and ends the response
// accordingly.
func (s *streamWriter) serve(h http.Handler, req *http.Request) {
	defer close(s.reader.done)
	defer func() {
		switch v := recover(); {
		case v == nil:
			s.WriteHeader(http.StatusOK)
			s.body.Close()
		case !s.wrote:
			logPanic(v)
			clear(s.header)
			panicError(v).ServeHTTP(s, req)
			s.body.Close()
		default:
			logPanic(v)
			s.body.CloseWithError(errAborted)
		}
	}()
	h.ServeHTTP(s, req)
}

// logPanic logs the stack of a panic, unless it is http.ErrAbortHandler, which is
// intended. The value may hold secrets and is not logged.
func logPanic(v any) {
	if v != http.ErrAbortHandler {
		log.Printf("panic in a handler\n%s", debug.Stack())
	}
}

// panicError returns the response to a request whose handler panicked with v
// before any of its response was sent.
func panicError(v any) http.Handler {
	if v == http.ErrAbortHandler {
		return core.ErrInterrupted
	}
	return core.ErrInternal
}

func (s *streamWriter) Header() http.Header { return s.header }

// WriteHeader sends the header. It ignores 1xx statuses, which Lambda cannot send.
func (s *streamWriter) WriteHeader(status int) {
	if s.wrote || status < 200 {
		return
	}
	s.wrote = true
	toUTF8(s.header)
	headers, cookies := platformHeaders(s.header)
	s.response <- &events.LambdaFunctionURLStreamingResponse{
		StatusCode: status, Headers: headers, Cookies: cookies, Body: s.reader,
	}
}

func (s *streamWriter) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}

// FlushError does nothing: Write sends at once.
func (s *streamWriter) FlushError() error { return nil }

// toUTF8 makes the values in h text, as the platform takes them: bytes that are not
// UTF-8 are characters of ISO 8859-1, as header values once were (RFC 9110, section
// 5.5). JSON would have replacement characters in their place.
func toUTF8(h http.Header) {
	for name, values := range h {
		for i, value := range values {
			if utf8.ValidString(value) {
				continue
			}
			h[name] = slices.Clone(h[name]) // the upstream's response has the same values
			h[name][i] = fromLatin1(value)
		}
	}
}

// fromLatin1 returns s with each byte that is not UTF-8 as a character of ISO 8859-1.
func fromLatin1(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r = rune(s[0])
		}
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String()
}

// platformHeaders returns h in the form that the platform takes: one value per
// name, and cookies apart. It drops headers of the connection, which the platform
// would rename, and X-Amzn-Remapped- ones, for which function URLs return 500.
func platformHeaders(h http.Header) (headers map[string]string, cookies []string) {
	headers = make(map[string]string, len(h))
	for name, values := range h {
		switch {
		case name == "Set-Cookie":
			cookies = values
		case len(values) == 0, connectionHeaders[name], strings.HasPrefix(name, "X-Amzn-Remapped-"):
		default:
			headers[name] = strings.Join(values, ", ")
		}
	}
	return headers, cookies
}

// connectionHeaders are the headers that concern one connection only.
var connectionHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}
