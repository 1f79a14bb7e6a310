package main

import (
	"encoding/json"
	"errors"
	"net/http"

	proxy "github.com/awslabs/aws-lambda-go-api-proxy/core"
)

// Max sizes of buffered responses, as JSON. Above them the platform ends the
// process, so the bridge stays a little below.
const (
	maxAnswer    = 6<<20 - 4<<10
	maxALBAnswer = 1<<20 - 4<<10
)

// errAnswerFull ends the handler of an answer that cannot be delivered.
var errAnswerFull = errors.New("the response is too large for the platform")

// buffered serves req and returns the whole answer as JSON in the shape for a
// kind of event.
func buffered(h http.Handler, req *http.Request, kind kind) json.RawMessage {
	limit := maxAnswer
	if kind == kindALB {
		limit = maxALBAnswer
	}
	w := newBufferWriter(kind, limit)
	if v := w.serve(h, req); v != nil {
		// Nothing has left yet, so a broken answer becomes an error.
		logPanic(v)
		w = newBufferWriter(kind, limit)
		lastWord(v).ServeHTTP(w, req)
	}
	if answer, err := w.json(); err == nil && len(answer) <= limit && !w.full {
		return answer
	}
	w = newBufferWriter(kind, limit)
	errTooLarge.ServeHTTP(w, req)
	answer, _ := w.json() // a status and a little text
	return answer
}

// A bufferWriter is the ResponseWriter of an answer in one piece. api-proxy
// collects it; the rest is what api-proxy lacks: it takes a 1xx response for
// the answer, no answer for an error, and answers of any size.
type bufferWriter struct {
	http.ResponseWriter
	wrote bool
	left  int
	full  bool
	json  func() (json.RawMessage, error)
}

func newBufferWriter(kind kind, limit int) *bufferWriter {
	switch kind {
	case kindALB:
		w := proxy.NewProxyResponseWriterALB()
		return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
			answer, err := w.GetProxyResponse()
			// A target group has one of the two enabled, and ignores the other.
			answer.Headers, _ = platformHeaders(w.Header())
			return marshal(answer, answer.Body, limit, err)
		}}
	case kindREST:
		w := proxy.NewProxyResponseWriter()
		return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
			answer, err := w.GetProxyResponse()
			return marshal(answer, answer.Body, limit, err)
		}}
	}
	w := proxy.NewProxyResponseWriterV2()
	return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
		answer, err := w.GetProxyResponse()
		answer.Headers, answer.Cookies = platformHeaders(w.Header())
		return marshal(answer, answer.Body, limit, err)
	}}
}

// marshal returns an answer as JSON. What would be too long is not written
// first: it may be six times the body, more than the function has.
func marshal(answer any, body string, limit int, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	if quotedLen(body) > limit {
		return nil, errAnswerFull
	}
	return json.Marshal(answer)
}

// quotedLen returns how many bytes s takes in JSON, at least.
func quotedLen(s string) (n int) {
	for _, c := range []byte(s) {
		switch {
		case c == '"', c == '\\', c == '\b', c == '\f', c == '\n', c == '\r', c == '\t':
			n += len(`\n`)
		case c < ' ', c == '<', c == '>', c == '&':
			n += len(`\u0000`)
		default:
			n++
		}
	}
	return n
}

// serve runs the handler to its end and returns what it panicked with, or nil.
func (w *bufferWriter) serve(h http.Handler, req *http.Request) (v any) {
	defer func() {
		if v = recover(); v == nil {
			w.WriteHeader(http.StatusOK)
		} else if w.full {
			v = nil // the panic is our own doing: errTooLarge says it
		}
	}()
	h.ServeHTTP(w, req)
	return nil
}

func (w *bufferWriter) WriteHeader(status int) {
	if w.wrote || status < 200 {
		return
	}
	w.wrote = true
	for name := range connectionHeaders {
		w.Header().Del(name)
	}
	toUTF8(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

func (w *bufferWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.left -= len(p); w.left < 0 {
		w.full = true
		return 0, errAnswerFull
	}
	return w.ResponseWriter.Write(p)
}

// FlushError does nothing: nothing leaves before the end.
func (w *bufferWriter) FlushError() error { return nil }
