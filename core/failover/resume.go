package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/relay/core/internal/memory"
	"example.com/relay/core/internal/replay"
)

const (
	// maxResumes is how often one stream may be resumed, as long as each time
	// brings new events, and maxBarren how often in a row it may bring none.
	maxResumes = 20
	maxBarren  = 3

	// maxPending is the largest event that is held back until it is complete.
	maxPending = 4 << 20

	// resumeWait is the first pause before a resume that follows a barren one.
	resumeWait = 200 * time.Millisecond
)

// mayResume reports whether req's response could be a stream that can be resumed
// through another upstream. Its body must be read to know.
func mayResume(req *http.Request) bool {
	return req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/responses") &&
		req.Header.Get("Content-Encoding") == "" && req.Body != nil && req.Body != http.NoBody
}

// readAhead reads the body to see whether it asks for a background response as a
// stream. The body is still sent from its beginning. A process that keeps as much
// as it may for other requests does not look.
func (s *call) readAhead() {
	size := int64(replay.MaxBytes)
	if length := s.req.ContentLength; length > 0 {
		size = min(size, length)
	}
	if !s.ahead.Grow(int(size)) {
		return
	}
	head, err := io.ReadAll(io.LimitReader(s.first, replay.MaxBytes))
	if err == nil && len(head) < replay.MaxBytes {
		s.size = int64(len(head))
		var wants struct{ Background, Stream bool }
		s.resumable = json.Unmarshal(head, &wants) == nil && wants.Background && wants.Stream
	}
	s.first = peeked{io.MultiReader(bytes.NewReader(head), s.first), s.first}
}

// makeResumable lets res continue through another upstream if it is cut. The
// Responses API keeps the events of background responses and sends them again
// from any sequence number on (GET /v1/responses/{id}?starting_after=N).
func (s *call) makeResumable(res *http.Response) {
	if s.resumable && isPlainEventStream(res) {
		route := s.route
		route.account, route.Hold = s.result.from, nil
		res.Body = &resuming{
			pool: s.pool, req: s.req, route: route, from: s.result.Upstream, current: res.Body, last: -1,
		}
	}
}

// isPlainEventStream reports whether res is an event stream that can be parsed.
func isPlainEventStream(res *http.Response) bool {
	contentType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return res.StatusCode == http.StatusOK && contentType == "text/event-stream" &&
		len(encodings(res.Header)) == 0
}

// A resuming is a background response's event stream. It yields complete events
// and, when the stream is cut, continues with the next one from another upstream.
// Reads must not overlap.
type resuming struct {
	pool    *Pool
	req     *http.Request // created the response
	route   Route         // of req, to upstreams that have the response
	from    string        // upstream of current
	current io.ReadCloser

	pending []byte // read, not a complete event yet
	scan    scan   // of pending
	ready   []byte // complete events, to be read
	err     error  // after ready

	id       string // of the response
	last     int64  // sequence number of the last event; -1 if none
	ended    bool   // the last event says that it is the last
	resumes  int
	resumed  int  // resumes that another upstream took
	barren   int  // resumes in a row without a new event
	rejoined bool // the next event must be the one after last
	raw      bool // an event was too large: bytes pass as they are read

	mu     sync.Mutex   // guards what follows: Close may come during a Read
	share  memory.Share // of pending
	closed bool
}

func (r *resuming) Read(p []byte) (int, error) {
	var buffer [8 << 10]byte
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.current.Read(buffer[:])
		r.pending = append(r.pending, buffer[:n]...)
		if broken := r.takeEvents(); broken != nil {
			r.broken(io.ErrUnexpectedEOF, broken)
		} else if err != nil {
			r.broken(err, nil)
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// Resumed returns how often the stream was resumed. It must not be called during a
// Read.
func (r *resuming) Resumed() int { return r.resumed }

// Close closes the stream.
func (r *resuming) Close() error {
	r.mu.Lock()
	r.closed = true
	r.share.Release()
	r.mu.Unlock()
	return r.current.Close()
}

// mayHold reports whether n bytes of an event may be held back until it is
// complete.
func (r *resuming) mayHold(n int) bool {
	if n <= memory.Free {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return n <= maxPending && !r.closed && r.share.Grow(n)
}

// takeEvents moves complete events from pending to ready. It returns the event
// by which a relay says that the stream was cut after it, or nil.
func (r *resuming) takeEvents() (broken []byte) {
	for {
		n := r.scan.eventEnd(r.pending)
		if n == 0 && !r.mayHold(len(r.pending)) {
			// It cannot be held, so later events can no longer be told apart.
			r.raw, r.id = true, ""
		}
		if r.raw {
			r.ready, r.pending, r.scan = append(r.ready, r.pending...), nil, scan{}
		}
		if n == 0 || r.raw {
			return nil
		}
		raw := r.pending[:n:n]
		r.pending = r.pending[n:]
		e := parseEvent(raw)
		switch {
		case e.Error.Type == "relay_error":
			return raw
		case e.Sequence != nil && *e.Sequence <= r.last && !r.ended:
			continue // a repetition
		case e.Sequence != nil && r.rejoined && *e.Sequence > r.last+1:
			r.err = errGap
			return nil
		}
		r.note(e)
		r.ready = append(r.ready, raw...)
	}
}

// errGap says that the resumed stream does not continue where the first one
// ended.
var errGap = errors.New("the resumed stream left events out")

// note records what an event says about the stream.
func (r *resuming) note(e event) {
	if e.Sequence != nil {
		r.last, r.rejoined, r.barren = *e.Sequence, false, 0
	}
	if id := e.Response.ID; r.id == "" && !r.raw && isID(id) {
		r.id = id // the first one: a stream is that of one response
	}
	switch e.Type {
	case "response.completed", "response.failed", "response.incomplete", "response.cancelled", "error":
		r.ended = true
	}
}

// isID reports whether id can be a response's. It becomes a segment of a path,
// which must not lead anywhere else.
func isID(id string) bool {
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// maxID is longer than the API's ids are.
const maxID = 128

// broken resumes the stream or, failing that, ends it as it ended: with frame and
// err. One that was cut after its last event is complete.
func (r *resuming) broken(err error, frame []byte) {
	if r.err != nil {
		return
	}
	if r.ended {
		// The client has all of it: an error would say otherwise.
		r.ready = append(r.ready, r.pending...)
		r.pending, r.err = nil, io.EOF
		return
	}
	if r.resume() {
		return
	}
	r.err = err
	if frame != nil {
		r.ready = append(r.ready, frame...) // it says why
		return
	}
	r.ready = append(r.ready, r.pending...)
	r.pending = nil
}

// resume reports whether the stream continues.
func (r *resuming) resume() bool {
	ctx := r.req.Context()
	for r.id != "" && r.resumes < maxResumes && r.barren < maxBarren && ctx.Err() == nil {
		if r.barren > 0 && !pause(ctx, resumeWait<<(r.barren-1)) {
			return false
		}
		r.resumes++
		r.barren++
		s := r.pool.newCall(r.next(), r.route)
		s.queue.avoid(r.from)
		res, err := s.send()
		s.end()
		if err != nil {
			continue
		}
		if !isPlainEventStream(res) {
			res.Body.Close()
			continue
		}
		r.current.Close()
		r.current, r.from, r.pending, r.rejoined = res.Body, s.result.Upstream, nil, true
		r.scan = scan{}
		r.resumed++
		r.pool.logger.Info("stream resumed", "upstream", r.from)
		return true
	}
	return false
}

// next returns the request for the events that are missing.
func (r *resuming) next() *http.Request {
	req := r.req.Clone(r.req.Context())
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Expect"} {
		req.Header.Del(name)
	}
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	req.URL.Path += "/" + r.id // which needs no escaping, see isID
	if req.URL.RawPath != "" {
		req.URL.RawPath += "/" + r.id
	}
	query := url.Values{"stream": {"true"}}
	if r.last >= 0 {
		query.Set("starting_after", strconv.FormatInt(r.last, 10))
	}
	req.URL.RawQuery = query.Encode()
	return req
}

// pause waits and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// An event is what a resuming needs to know of an event of the Responses API.
type event struct {
	Type     string `json:"type"`
	Sequence *int64 `json:"sequence_number"`
	Response struct {
		ID string `json:"id"`
	} `json:"response"`
	Error struct {
		Type string `json:"type"`
	} `json:"error"`
}

// parseEvent parses an event. Data that is not JSON yields the zero event.
func parseEvent(raw []byte) (e event) {
	var data []byte
	for line := range bytes.Lines(raw) {
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, value...)
		}
	}
	if json.Unmarshal(data, &e) != nil {
		return event{}
	}
	return e
}

// A scan searches for the end of an event in a growing buffer. It looks at each
// byte once.
type scan struct {
	front  int // line breaks in front of the event
	looked int // bytes in which no event ends
}

// eventEnd returns the length of the first event in b with the blank line that
// ends it, or 0 if there is none yet (HTML standard, section 9.2.6). Blank lines
// in front of an event go with it. Until it finds one, b may only grow.
func (s *scan) eventEnd(b []byte) int {
	for s.front < len(b) && (b[s.front] == '\n' || b[s.front] == '\r') {
		s.front++
	}
	from := max(s.front, s.looked-len("\r\n\r"))
	end := 0
	for _, blank := range []string{"\n\n", "\r\n\r\n", "\r\r"} {
		if i := bytes.Index(b[from:], []byte(blank)); i >= 0 && (end == 0 || from+i+len(blank) < end) {
			end = from + i + len(blank)
		}
	}
	if s.looked = len(b); end > 0 {
		*s = scan{}
	}
	return end
}
