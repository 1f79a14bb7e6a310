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

// streamed serves req and returns as soon as the answer's header is there. What
// the handler writes from then on leaves at once, piece by piece. The runtime
// closes the answer before it takes the next event.
func streamed(h http.Handler, req *http.Request) *events.LambdaFunctionURLStreamingResponse {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(req.Context())
	req = req.WithContext(ctx)
	s := &streamWriter{
		header: make(http.Header),
		body:   w,
		answer: make(chan *events.LambdaFunctionURLStreamingResponse, 1),
		reader: &streamReader{PipeReader: r, cancel: cancel, done: make(chan struct{})},
	}
	go s.serve(h, req)
	return <-s.answer
}

// A streamWriter is the ResponseWriter of a streamed answer.
type streamWriter struct {
	header http.Header
	body   *io.PipeWriter
	answer chan *events.LambdaFunctionURLStreamingResponse // gets one
	reader *streamReader
	wrote  bool // the header
}

// A streamReader is the body of a streamed answer. Close waits for the handler:
// nothing of one event may run on into the next, or into a freeze.
type streamReader struct {
	*io.PipeReader
	cancel context.CancelFunc // the request's context
	done   chan struct{}
}

// Close ends the handler, whether it writes or waits, and returns when it has
// ended.
func (r *streamReader) Close() error {
	r.cancel()
	err := r.PipeReader.Close()
	<-r.done
	return err
}

// serve runs the handler to its end, whatever that is.
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
			lastWord(v).ServeHTTP(s, req)
			s.body.Close()
		default:
			logPanic(v)
			s.body.CloseWithError(errAborted)
		}
	}()
	h.ServeHTTP(s, req)
}

// logPanic logs where a handler panicked, but for aborts, which are meant. The
// value may hold anything and is not logged.
func logPanic(v any) {
	if v != http.ErrAbortHandler {
		log.Printf("panic in a handler\n%s", debug.Stack())
	}
}

// lastWord returns the answer to a request whose handler panicked with v before
// it wrote anything.
func lastWord(v any) http.Handler {
	if v == http.ErrAbortHandler {
		return core.ErrInterrupted
	}
	return core.ErrInternal
}

func (s *streamWriter) Header() http.Header { return s.header }

// WriteHeader sends the header. 1xx responses are not the response.
func (s *streamWriter) WriteHeader(status int) {
	if s.wrote || status < 200 {
		return
	}
	s.wrote = true
	toUTF8(s.header)
	headers, cookies := platformHeaders(s.header)
	s.answer <- &events.LambdaFunctionURLStreamingResponse{
		StatusCode: status, Headers: headers, Cookies: cookies, Body: s.reader,
	}
}

func (s *streamWriter) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}

// FlushError does nothing: what was written has left.
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
			runes := make([]rune, len(value))
			for j := range len(value) {
				runes[j] = rune(value[j])
			}
			h[name] = slices.Clone(h[name]) // the upstream's response has the same values
			h[name][i] = string(runes)
		}
	}
}

// platformHeaders returns h as the platform takes it: one value for each name,
// without what concerns the connection, which the platform would rename, and
// without names that make the URL answer 500.
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

var connectionHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}
