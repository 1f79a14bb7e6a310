package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Sizes of copy buffers. An event stream keeps its buffer while it waits for the
// next event: it has a small one, as most events are, and a larger one for as long
// as reads fill that.
const (
	eventBufferSize = 1 << 10
	burstBufferSize = 8 << 10
	bodyBufferSize  = 32 << 10
)

var (
	eventBuffers = sync.Pool{New: func() any { b := make([]byte, eventBufferSize); return &b }}
	burstBuffers = sync.Pool{New: func() any { b := make([]byte, burstBufferSize); return &b }}
	bodyBuffers  = sync.Pool{New: func() any { b := make([]byte, bodyBufferSize); return &b }}
)

// keepaliveComment is an event stream's comment, which clients ignore (HTML standard,
// section 9.2.6). No blank line follows: some take it for an empty event, and fail.
var keepaliveComment = []byte(": keepalive\n")

// A stream copies a response's body to the client: what each read returns is written
// and flushed before the next read, unless the response is buffered or coalesced.
// Its methods are for the exchange's goroutine, except for those that timers call:
// writeComment and flushPending.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	cancel  context.CancelCauseFunc // ends the exchange
	buffers *sync.Pool              // of the buffer in use
	detach  func() bool             // called when a read waits, until it reports true; may be nil

	usage  *usageCopy // of the body; nil: none
	events bool       // it is an event stream

	// buffered says that the whole body is in memory: the server then writes it
	// together with the header when the handler returns, which is at once.
	buffered bool

	// coalesce says that the body is short enough to wait coalesceDelay for it, so
	// that header and body are sent in one piece.
	coalesce bool

	idleTimeout  time.Duration // 0: none
	writeTimeout time.Duration // 0: none
	deadlineSet  time.Time     // when the write deadline was last set
	keepalive    time.Duration // 0: none

	// mu guards what follows, deadlineSet and, once begin has returned, all use of w
	// and rc, since timers write comments and flush.
	mu            sync.Mutex
	lines         eventLines // of an event stream
	commentsEnded bool
	comment       *time.Timer
	// Of a response that is coalesced:
	flushTimer *time.Timer // flushes what was written so far; nil if nothing waits
	flushErr   error       // of that flush
}

// coalesceDelay is how long the header of a short response waits for its body, which
// over HTTP/2, or by chance, is read later.
const coalesceDelay = 2 * time.Millisecond

// begin sends the header, or starts coalesceDelay. It does not wait for the body: a
// model may think for minutes before the first byte, and if the body fails, the
// client must have the status.
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
	_ = s.rc.Flush() // some platforms cannot; if the client is gone, the first write fails
}

// errDetached says that the rest of the body is copied elsewhere.
var errDetached = errors.New("response was detached")

// copy copies body to the client until EOF. It returns the read error, wraps
// errClientGone if a write failed, or returns errDetached.
func (s *stream) copy(body io.Reader) error {
	buf := s.buffers.Get().(*[]byte)
	defer func() { s.buffers.Put(buf) }()
	if s.buffered {
		return s.copyBuffered(body, *buf)
	}
	defer func() { _ = s.flushPending() }()
	stopComments := s.startComments()
	defer stopComments()
	idle := startIdleTimer(s.idleTimeout, s.cancel)
	defer idle.Stop()
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if s.usage != nil {
				s.usage.note((*buf)[:n])
			}
			idle.pause() // a slow client is not the upstream's silence
			if err := s.write((*buf)[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
			idle.hear()
			if waits := n < len(*buf) && err == nil; waits && s.detach != nil && s.detach() {
				return errDetached
			}
			buf = s.resize(buf, n)
		}
		if err == io.EOF {
			if err := s.flushPending(); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.extendDeadline() // for the end of the body, which the server writes
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// resize returns the buffer for the next read of an event stream, after one that
// brought n bytes into buf.
func (s *stream) resize(buf *[]byte, n int) *[]byte {
	pool := s.buffers
	switch {
	case !s.events:
	case n == len(*buf):
		pool = &burstBuffers
	case n < eventBufferSize:
		pool = &eventBuffers
	}
	if pool == s.buffers {
		return buf
	}
	s.buffers.Put(buf)
	s.buffers = pool
	return pool.Get().(*[]byte)
}

// copyBuffered copies a body that is in memory.
func (s *stream) copyBuffered(body io.Reader, buf []byte) error {
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if s.usage != nil {
				s.usage.note(buf[:n])
			}
			if s.events {
				s.lines.note(buf[:n])
			}
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

// writeFrame writes e as the last event. Its error is ignored: the stream has
// failed anyway.
func (s *stream) writeFrame(e *Error) {
	s.mu.Lock()
	frame := s.lines.separator() + e.frame(s.lines.shape)
	s.mu.Unlock()
	_ = s.write([]byte(frame))
}

// write writes and flushes p.
func (s *stream) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.comment != nil {
		s.comment.Reset(s.keepalive)
	}
	if s.events {
		s.lines.note(p)
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

// flushPending flushes what was coalesced. Its error, or that of an earlier call,
// says that the client is gone.
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

// extendDeadline sets the deadline for the next write. It is called with mu held.
func (s *stream) extendDeadline() {
	if s.writeTimeout <= 0 {
		return
	}
	if now := time.Now(); now.Sub(s.deadlineSet) > min(deadlineSlack, s.writeTimeout/4) {
		s.deadlineSet = now
		_ = s.rc.SetWriteDeadline(now.Add(s.writeTimeout)) // where the platform has one
	}
}

// startComments starts the keepalive comments, if there are any. stop ends them;
// once it has returned, none is being written.
func (s *stream) startComments() (stop func()) {
	if s.keepalive <= 0 {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commentsEnded = false // they did when the stream was detached
	s.comment = time.AfterFunc(s.keepalive, s.writeComment)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.commentsEnded = true
		s.comment.Stop()
		s.comment = nil
	}
}

// writeComment writes a comment, unless an event is incomplete.
func (s *stream) writeComment() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commentsEnded {
		return
	}
	s.comment.Reset(s.keepalive)
	if !s.lines.between() {
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

// ignoreUnsupported returns err, or nil if the platform does not support the call.
func ignoreUnsupported(err error) error {
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
