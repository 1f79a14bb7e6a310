package main

import (
	"encoding/json"
	"errors"
	"net/http"

	proxy "github.com/awslabs/aws-lambda-go-api-proxy/core"
)

// Max sizes of buffered responses, in bytes of JSON. Above them the platform ends
// the process, so the bridge stays a little below.
const (
	maxResponse    = 6<<20 - 4<<10
	maxALBResponse = 1<<20 - 4<<10
)

// errBufferFull ends the handler of a response that cannot be delivered.
var errBufferFull = errors.New("the response is too large for the platform")

// buffered serves req and returns the whole response as JSON, in the shape for a
// kind of event.
func buffered(h http.Handler, req *http.Request, kind kind) json.RawMessage {
	limit := maxResponse
	if kind == kindALB {
		limit = maxALBResponse
	}
	w := newBufferWriter(kind, limit)
	if v := w.serve(h, req); v != nil {
		// Nothing has been sent yet, so a truncated response becomes an error.
		logPanic(v)
		w = newBufferWriter(kind, limit)
		panicError(v).ServeHTTP(w, req)
	}
	if response, err := w.json(); err == nil && len(response) <= limit && !w.full {
		return response
	}
	w = newBufferWriter(kind, limit)
	errTooLarge.ServeHTTP(w, req)
	response, _ := w.json() // cannot fail: a status and a short text
	return response
}

// A bufferWriter is the ResponseWriter of a buffered response. api-proxy collects
// the response; the rest works around api-proxy, which takes a 1xx status for the
// final one and a missing status for an error, and has no max size.
type bufferWriter struct {
	http.ResponseWriter
	wrote bool                            // the header
	left  int                             // bytes of the body that still fit
	full  bool                            // more was written than fits
	json  func() (json.RawMessage, error) // the response so far
}

func newBufferWriter(kind kind, limit int) *bufferWriter {
	switch kind {
	case kindALB:
		w := proxy.NewProxyResponseWriterALB()
		return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
			response, err := w.GetProxyResponse()
			// A target group reads either Headers or MultiValueHeaders, as configured.
			response.Headers, _ = platformHeaders(w.Header())
			return marshal(response, response.Body, limit, err)
		}}
	case kindREST:
		w := proxy.NewProxyResponseWriter()
		return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
			response, err := w.GetProxyResponse()
			return marshal(response, response.Body, limit, err)
		}}
	}
	w := proxy.NewProxyResponseWriterV2()
	return &bufferWriter{ResponseWriter: w, left: limit, json: func() (json.RawMessage, error) {
		response, err := w.GetProxyResponse()
		response.Headers, response.Cookies = platformHeaders(w.Header())
		return marshal(response, response.Body, limit, err)
	}}
}

// marshal returns a response as JSON, or err if there is one. It does not encode a
// body that would exceed limit: the JSON may be six times as long, more than the
// function's memory.
func marshal(response any, body string, limit int, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	if quotedLen(body) > limit {
		return nil, errBufferFull
	}
	return json.Marshal(response)
}

// quotedLen returns the min number of bytes that s takes in JSON, without quotes.
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

// serve runs the handler until it returns or panics. It returns the value of the
// panic, or nil.
func (w *bufferWriter) serve(h http.Handler, req *http.Request) (v any) {
	defer func() {
		if v = recover(); v == nil {
			w.WriteHeader(http.StatusOK)
		} else if w.full {
			v = nil // Write's error led to the panic: the caller responds with errTooLarge
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
		return 0, errBufferFull
	}
	return w.ResponseWriter.Write(p)
}

// FlushError does nothing: the response is sent as a whole.
func (w *bufferWriter) FlushError() error { return nil }
