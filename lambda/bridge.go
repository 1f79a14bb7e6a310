package main

import (
	"context"
	"net/http"
	"net/url"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// A bridge serves Lambda's events with a handler. All it knows of relays is the
// shape of their errors.
//
// It exists because lambdaurl.Wrap loses what a relay needs: the length of base64
// bodies, final statuses after 1xx ones, truncated responses, and the process when
// a handler panics; and because api-proxy splits header values at commas,
// duplicates cookies and reorders the query string.
type bridge struct {
	handler http.Handler
	stream  bool // the function URL's invoke mode is RESPONSE_STREAM
}

var (
	errEvent = &core.Error{Status: http.StatusBadRequest, Code: "invalid_event", NoRetry: true,
		Msg: "The platform delivered a malformed event: its method, path, header or body encoding is invalid."}
	errTooLarge = &core.Error{Status: http.StatusBadGateway, Code: "response_too_large", NoRetry: true,
		Msg: "The API's response is larger than this platform's max for buffered responses. Use a function URL in " +
			"the invoke mode RESPONSE_STREAM, which allows up to 200 MB."}
)

// invoke returns the response to one event. Its error is always nil: the platform
// would turn an error of the function into a page of its own.
func (b *bridge) invoke(ctx context.Context, e event) (any, error) {
	kind := e.kind()
	if kind == kindOther && e.err == nil {
		// Not a request: a schedule that keeps the function warm, or a test.
		return buffered(b.handler, newRequest(ctx, protocol.HealthPath), kindHTTPAPI), nil
	}
	h := b.handler
	req, err := e.request(ctx)
	if err != nil {
		req, h = newRequest(ctx, "/"), errEvent
	}
	if b.streams(kind) {
		return streamed(h, req), nil
	}
	return buffered(h, req, kind), nil
}

// streams reports whether responses to a kind of event are streamed. ALBs and HTTP
// APIs cannot stream.
func (b *bridge) streams(kind kind) bool {
	return b.stream && kind != kindHTTPAPI && kind != kindALB
}

// newRequest returns a GET request for a path, on behalf of no client.
func newRequest(ctx context.Context, path string) *http.Request {
	return (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody,
	}).WithContext(ctx)
}
