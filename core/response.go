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
	copyResponseHeader(h, x.res.Header)
	x.setMarker(h)
	x.rewriteLocation(h)
	events := isEventStream(x.res.Header)
	if events {
		prepareStream(h)
	}
	s := x.stream(events)
	s.begin(x.res.StatusCode)
	if conn := x.detachable(); conn != nil && events {
		s.detach = func() bool { return x.detach(s, conn) }
	}
	if err := x.copyBody(s, events); err != errDetached {
		return err
	}
	return nil
}

// copyBody copies the body to the client.
func (x *exchange) copyBody(s *stream, events bool) error {
	panicked := true
	defer func() {
		if panicked && events {
			s.writeFrame(ErrInternal) // without it, the truncated stream may look complete
		}
	}()
	err := s.copy(x.res.Body)
	panicked = false
	if err == errDetached {
		return err
	}
	if body, ok := x.res.Body.(interface{ Resumed() int }); ok {
		recordOf(x.req).resumed = body.Resumed()
	}
	recordOf(x.req).endUsage(s, err == nil)
	if err == nil {
		recordOf(x.req).missingDone = events && !s.lines.isDone()
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
		usage:        x.usageCopy(events),
	}
	if events {
		s.buffers, s.keepalive = &eventBuffers, x.keepalive
		s.lines.shape = shapeOfPath(x.req.URL.Path)
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

// setUpstreamHeaders sets the headers that say which of several upstreams responded,
// after how many attempts.
func (x *exchange) setUpstreamHeaders() {
	if x.sent.Several && x.sent.Attempts > 0 {
		h := x.w.Header()
		h[protocol.Attempts] = []string{strconv.Itoa(x.sent.Attempts)}
		h[protocol.Upstream] = []string{x.sent.Upstream}
	}
}

// setMarker sets on h who made the response: a relay, whose error code is kept, if
// it is the error of an upstream that is known to be one, and the upstream
// otherwise. copyResponseHeader has dropped what the upstream said itself.
func (x *exchange) setMarker(h http.Header) {
	if x.refused {
		h[protocol.Refusal] = []string{protocol.RegionRefused}
	}
	if !x.sent.Relay {
		h[protocol.Marker] = x.upstreamMarker
		return
	}
	h[protocol.Marker], h[protocol.ErrorCode] = x.relayMarker, x.res.Header[protocol.ErrorCode]
}

// rewriteLocation makes a redirect within the upstream's host lead to the relay's, with
// the client's path token and without the upstream's base path, and drops any other: a
// client that followed it would send its access token there.
func (x *exchange) rewriteLocation(h http.Header) {
	locations := h["Location"]
	if len(locations) == 0 || x.res.StatusCode < 300 || x.res.StatusCode > 399 {
		return
	}
	h.Del("Location")
	u, err := url.Parse(locations[0])
	if err != nil || len(locations) > 1 || u.Opaque != "" {
		return
	}
	if u.Scheme != "" && u.Host == "" || u.Host != "" && !strings.EqualFold(u.Host, x.sent.Base.Host) {
		return
	}
	path := u.EscapedPath()
	if path == "" && u.Host != "" {
		path = "/"
	}
	// What is left must be a path to every client.
	if checkPath("/"+strings.TrimPrefix(path, "/")) != nil {
		return
	}
	rest := url.URL{RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	if strings.HasPrefix(path, "/") {
		path = recordOf(x.req).pathToken + withoutBase(path, x.sent.Base.EscapedPath())
	}
	h.Set("Location", path+rest.String())
}

// withoutBase returns a path of the upstream without its base path, if it has it: an
// API that does not know of its base path does not send it.
func withoutBase(path, base string) string {
	if rest, ok := strings.CutPrefix(path, base); ok && (rest == "" || rest[0] == '/') {
		return "/" + strings.TrimPrefix(rest, "/")
	}
	return path
}

// isEventStream reports whether h is that of an event stream into which the relay
// can write events, which takes an uncompressed one.
func isEventStream(h http.Header) bool {
	return !isEncoded(h) && mediaType(h) == "text/event-stream"
}

// isEncoded reports whether h is that of a compressed body.
func isEncoded(h http.Header) bool {
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return true
		}
	}
	return false
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
