package fakeopenai

import (
	"cmp"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errClientGone ends a response that nobody waits for any more.
var errClientGone = errors.New("client gone")

// write lets the fault have its way with a and writes the rest.
// It panics with http.ErrAbortHandler if the response is not complete.
func (c *call) write(a response) {
	x := &wire{call: c}
	defer x.release()
	if c.fault.before != "" {
		x.insteadOfResponse(c.fault.before)
		return
	}
	a = c.fault.apply(a)
	setHeaders(a.header, c.rec.number)
	for name, values := range c.fault.header {
		a.header[name] = values
	}
	if c.fault.isRaw() {
		x.writeRawHead(a, c.fault)
	} else {
		x.writeHead(&a, c.fault)
	}
	if err := x.deliver(a); err != nil {
		c.rec.cancel()
		panic(http.ErrAbortHandler)
	}
}

// pause waits d and reports whether the client is still there.
func (c *call) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// replacesResponse reports whether the endpoint is not to be asked at all.
func (f Fault) replacesResponse() bool {
	return f.before != "" || f.code() != "" || f.regionRefused
}

// isRaw reports whether net/http would refuse to write the head.
func (f Fault) isRaw() bool {
	return f.head != "" || f.oddStatus() != ""
}

// oddStatus returns the status as it was given if it is none of 200 to 599.
func (f Fault) oddStatus() string {
	s := f.code()
	n, _ := strconv.Atoi(s)
	if s == "" || len(s) == 3 && n >= 200 && n <= 599 {
		return ""
	}
	return s
}

// code returns the status that the fault wants, as it was given, or "".
func (f Fault) code() string {
	return cmp.Or(f.early, f.status)
}

// apply returns a with another status, other pieces or another encoding.
func (f Fault) apply(a response) response {
	if status := f.code(); status != "" {
		n, _ := strconv.Atoi(status)
		a = f.withStatus(a, n)
	}
	if f.regionRefused {
		a = regionRefused()
	}
	if f.noDone && a.length < 0 {
		a.pieces = withoutLast(a.pieces)
	}
	if f.comments && isEventStream(a) {
		a.pieces = commented(a.pieces)
	}
	if f.encoding != "" {
		a = encoded(a, f.encoding)
	}
	if f.stop != "" && a.length >= 0 {
		a.pieces = split(a.pieces, cmp.Or(f.events, defaultEvents))
	}
	if f.chunked {
		a.length = -1
	}
	return a
}

// withStatus keeps a body where the status is no error.
func (f Fault) withStatus(a response, status int) response {
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		return response{status: status, header: a.header, pieces: noPieces, length: -1}
	case status >= 200 && status < 400:
		a.status = status
		return a
	}
	return statusResponse(status)
}

// writeHead has net/http write status and header, and 103s before them.
func (x *wire) writeHead(a *response, f Fault) {
	h := x.call.w.Header()
	if f.informational > 0 {
		h.Set("Link", "</style.css>; rel=preload; as=style")
		h.Set("Connection", "X-Hop")
		h.Set("Set-Cookie", "early=hint")
		for range f.informational {
			x.call.w.WriteHeader(http.StatusEarlyHints)
		}
		clear(h)
	}
	for name, values := range a.header {
		h[name] = values
	}
	if a.length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(a.length, 10))
	}
	if f.headerKB > 0 {
		h.Set("X-Huge", strings.Repeat("h", f.headerKB<<10))
	}
	if f.trailers {
		h.Set("Trailer", "X-Announced")
	}
	x.call.w.WriteHeader(a.status)
	if f.trailers {
		h.Set("X-Announced", "trailer")
		h.Set(http.TrailerPrefix+"X-Unannounced", "trailer")
	}
}

// deliver sends the pieces one by one and breaks off where the fault says so.
// An error means that the response is incomplete, and has not been cut on purpose.
func (x *wire) deliver(a response) error {
	f := x.call.fault
	if x.call.req.Method == http.MethodHead {
		return x.end()
	}
	if a.length < 0 || f.stop != "" {
		if err := x.flush(); err != nil {
			return err
		}
	}
	sent := 0
	for piece := range a.pieces {
		if f.stop != "" && sent == f.after {
			return x.breakOff(f.stop, piece)
		}
		if sent > 0 && a.length < 0 && f.gap > 0 && !x.call.pause(f.gap) {
			return errClientGone
		}
		if err := x.send(piece); err != nil {
			return err
		}
		sent++
	}
	if f.stop != "" {
		return x.breakOff(f.stop, nil)
	}
	return x.end()
}

func isEventStream(a response) bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
}

func withoutLast(pieces iter.Seq[[]byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var held []byte
		for piece := range pieces {
			if held != nil && !yield(held) {
				return
			}
			held = piece
		}
	}
}

// split makes n pieces of a body that is one.
func split(pieces iter.Seq[[]byte], n int) iter.Seq[[]byte] {
	all := slices.Collect(pieces)
	if len(all) != 1 || len(all[0]) < n {
		return slices.Values(all)
	}
	return slices.Chunk(all[0], (len(all[0])+n-1)/n)
}
