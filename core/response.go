package core

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"example.com/relay/core/protocol"
)

// respond copies the response to the client. Its error, an *Error or
// errClientGone, means that the response has begun and is truncated.
func (x *exchange) respond() error {
	h := x.w.Header()
	copyAnswer(h, x.res.Header)
	x.mark(h)
	rewriteLocation(h, x.res.StatusCode, x.sent.Base.Host)
	events := isEventStream(x.res.Header)
	if events {
		prepareStream(h)
	}
	s := x.stream(events)
	s.begin(x.res.StatusCode)
	panicked := true
	defer func() {
		if panicked && events {
			s.writeFrame(ErrInternal) // a broken end alone may look like a clean one
		}
	}()
	err := s.copy(x.res.Body)
	panicked = false
	if err == nil {
		recordOf(x.req).missingDone = events && !s.isDone()
		return nil
	}
	err = x.interruption(err)
	if e, ok := errors.AsType[*Error](err); ok && events {
		s.writeFrame(e)
	}
	return err
}

// stream returns the stream that copies the response's body.
func (x *exchange) stream(events bool) *stream {
	s := &stream{
		w:            x.w,
		rc:           controller(x.w),
		cancel:       x.cancel,
		events:       events,
		buffered:     isBuffered(x.res),
		idleTimeout:  x.idleTimeout,
		writeTimeout: x.writeTimeout,
		buffers:      &bodyBuffers,
	}
	if events {
		s.buffers, s.keepalive = &eventBuffers, x.keepalive
		return s
	}
	s.coalesce = x.res.ContentLength >= 0 && x.res.ContentLength <= bodyBufferSize
	return s
}

// isBuffered reports whether the whole body is already in memory, as it usually
// is for short responses.
func isBuffered(res *http.Response) bool {
	body, ok := res.Body.(interface{ IsBuffered(length int64) bool })
	return ok && body.IsBuffered(res.ContentLength)
}

// describe sets on the response how the request was sent, if there was a choice.
func (x *exchange) describe() {
	if x.sent.Several && x.sent.Attempts > 0 {
		h := x.w.Header()
		h[protocol.Attempts] = []string{strconv.Itoa(x.sent.Attempts)}
		h[protocol.Upstream] = []string{x.sent.Upstream}
	}
}

// mark says on h who made the response: the upstream or, if it is the error of a
// relay that is known to be one, a relay, whose code is kept. Anything else that
// an upstream says in a relay's headers is dropped.
func (x *exchange) mark(h http.Header) {
	if !x.sent.Relay {
		h[protocol.Marker] = x.upstreamMarker
		return
	}
	h[protocol.Marker], h[protocol.ErrorCode] = x.relayMarker, x.res.Header[protocol.ErrorCode]
}

// rewriteLocation makes a redirect within the upstream's host lead to the
// relay's, and drops one that leads elsewhere: a client that follows it would
// take its access token along.
func rewriteLocation(h http.Header, status int, host string) {
	locations := h["Location"]
	if len(locations) == 0 || status < 300 || status > 399 {
		return
	}
	h.Del("Location")
	u, err := url.Parse(locations[0])
	if err != nil || len(locations) > 1 || u.Opaque != "" {
		return
	}
	if u.Scheme != "" && u.Host == "" || u.Host != "" && !strings.EqualFold(u.Host, host) {
		return
	}
	u.Scheme, u.Host, u.User = "", "", nil
	// What is left must be a path in the eyes of every client.
	if checkPath("/"+strings.TrimPrefix(u.EscapedPath(), "/")) == nil {
		h.Set("Location", u.String())
	}
}

// isEventStream reports whether h begins an event stream that the relay can
// write into, which it cannot if it is compressed.
func isEventStream(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	return mediaType(h) == "text/event-stream"
}

// mediaType returns the media type in h, or "" if there is none or it cannot be
// parsed.
func mediaType(h http.Header) string {
	value := h.Get("Content-Type")
	switch value {
	case "application/json", "text/event-stream": // nearly all
		return value
	}
	mediaType, _, err := mime.ParseMediaType(value)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return mediaType
}
