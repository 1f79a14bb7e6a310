package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Sizes of copy buffers. A stream holds its buffer while it waits for the next
// event, and events are small.
const (
	eventBufferSize = 8 << 10
	bodyBufferSize  = 32 << 10
)

var (
	eventBuffers = sync.Pool{New: func() any { b := make([]byte, eventBufferSize); return &b }}
	bodyBuffers  = sync.Pool{New: func() any { b := make([]byte, bodyBufferSize); return &b }}
)

// keepaliveComment is an event stream's comment and a blank line, which end no
// event when none was begun (HTML standard, section 9.2.6).
var keepaliveComment = []byte(": keepalive\n\n")

// doneEvent ends the event streams of chat completions.
const doneEvent = "data: [DONE]\n\n"

// A stream hands an answer's body to the client as it comes: every read is
// written and flushed before the next, but for the first moments of a short one.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	cancel  context.CancelCauseFunc // ends the exchange
	buffers *sync.Pool

	events bool // it is an event stream

	// buffered says that the whole body is in memory: the server then writes it
	// together with the header when the handler returns, which is at once.
	buffered bool

	// coalesce says that the body is so short that header and body are worth a
	// moment's wait to go out in one piece, see coalesceDelay.
	coalesce bool

	idleTimeout  time.Duration // 0: none
	writeTimeout time.Duration // 0: none
	extended     time.Time     // when the client was last given it anew
	keepalive    time.Duration // 0: none

	// mu keeps comments out of events, and flushes out of writes. Without
	// keepalive, and of long answers, nobody competes.
	mu      sync.Mutex
	tail    [len(doneEvent)]byte // last bytes of an event stream
	written int64
	ended   bool
	comment *time.Timer
	// Of a response that is coalesced:
	flushTimer *time.Timer // flushes what was written so far; nil if nothing waits
	flushErr   error       // of that flush
}

// coalesceDelay is how long the header of a short answer is held back for its body,
// so that both go out in one piece: they came in two, for HTTP/2 or by chance.
const coalesceDelay = 2 * time.Millisecond

// begin sends the header at once, or soon if the answer is short: a model may
// think for minutes before the first byte, and a broken body must not take the
// status along.
func (s *stream) begin(status int) {
	s.w.WriteHeader(status)
	if s.buffered {
		return
	}
	if s.coalesce {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flushTimer = time.AfterFunc(coalesceDelay, func() { _ = s.flushPending() })
		return
	}
	_ = s.rc.Flush() // not every platform can; the first write tells if the client is gone
}

// copy hands body on until its end. Its error is body's, or wraps
// errClientGone if the client took no more.
func (s *stream) copy(body io.Reader) error {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	if s.buffered {
		return s.copyBuffered(body, *buf)
	}
	defer func() { _ = s.flushPending() }()
	defer s.startComments()()
	idle := startIdle(s.idleTimeout, s.cancel)
	defer idle.Stop()
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			idle.Stop() // the time that the client takes is not the upstream's
			if err := s.write((*buf)[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
			idle.Reset(s.idleTimeout)
		}
		if err == io.EOF {
			if err := s.flushPending(); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyBuffered hands on a body that has come already.
func (s *stream) copyBuffered(body io.Reader, buf []byte) error {
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := s.w.Write(buf[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writeFrame writes e as the last event. The client may be gone as well as the
// upstream, which then makes no difference.
func (s *stream) writeFrame(e *Error) { _ = s.write(e.frame()) }

// write writes and flushes p.
func (s *stream) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.comment != nil {
		s.comment.Reset(s.keepalive)
	}
	if s.events {
		s.noteTail(p)
	}
	s.extendDeadline()
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	if s.flushTimer != nil || s.flushErr != nil {
		return s.flushErr
	}
	return ignoreUnsupported(s.rc.Flush())
}

// flushPending flushes what was held back. Its error, or that of the flush before, says
// that the client is gone.
func (s *stream) flushPending() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushTimer != nil {
		s.flushTimer.Stop()
		s.flushTimer = nil
		s.flushErr = ignoreUnsupported(s.rc.Flush())
	}
	return s.flushErr
}

// extendDeadline gives the client a new time to take what is written next.
func (s *stream) extendDeadline() {
	if s.writeTimeout <= 0 {
		return
	}
	if now := time.Now(); now.Sub(s.extended) > min(deadlineSlack, s.writeTimeout/4) {
		s.extended = now
		_ = s.rc.SetWriteDeadline(now.Add(s.writeTimeout)) // where the platform has one
	}
}

// startComments begins to write keepalive comments, if they are wanted, and
// returns the function that ends them: after it, none is being written.
func (s *stream) startComments() (stop func()) {
	if s.keepalive <= 0 {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comment = time.AfterFunc(s.keepalive, s.writeComment)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
		s.comment.Stop()
		s.comment = nil
	}
}

// writeComment writes a comment if no event is under way.
func (s *stream) writeComment() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.comment.Reset(s.keepalive)
	if !s.betweenEvents() {
		return
	}
	s.extendDeadline()
	_, err := s.w.Write(keepaliveComment)
	if err == nil {
		err = ignoreUnsupported(s.rc.Flush())
	}
	if err != nil {
		s.cancel(errClientGone)
	}
}

// noteTail keeps the last bytes of what was written.
func (s *stream) noteTail(p []byte) {
	s.written += int64(len(p))
	if len(p) >= len(s.tail) {
		copy(s.tail[:], p[len(p)-len(s.tail):])
		return
	}
	copy(s.tail[:], s.tail[len(p):])
	copy(s.tail[len(s.tail)-len(p):], p)
}

// isDone reports whether the last event was [DONE].
func (s *stream) isDone() bool { return string(s.tail[:]) == doneEvent }

// betweenEvents reports whether a blank line was the last that was written, or
// nothing was.
func (s *stream) betweenEvents() bool {
	tail := s.tail[:]
	return s.written == 0 || bytes.HasSuffix(tail, []byte("\n\n")) ||
		bytes.HasSuffix(tail, []byte("\r\n\r\n")) || bytes.HasSuffix(tail, []byte("\r\r"))
}

// ignoreUnsupported returns err, or nil if the platform cannot do it at all.
func ignoreUnsupported(err error) error {
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
