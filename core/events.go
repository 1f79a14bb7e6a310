package core

import (
	"bytes"
	"strings"
)

// eventLines tracks the lines of an event stream (HTML standard, section 9.2.5) as
// they are written to the client, in pieces of any size. The zero value is the state
// at the beginning of a stream.
type eventLines struct {
	head [32]byte // beginning of the current line
	size int      // of the current line so far

	open      bool // fields were written since the last blank line: an event is incomplete
	cr        bool // the last byte was a CR, whose LF may follow
	lf        bool // there was an LF, so a CR at the end may be half of a line break
	done      bool // the last data was [DONE]
	responses bool // there was an event of the Responses API
}

// note records p, which was written.
func (l *eventLines) note(p []byte) {
	for len(p) > 0 {
		if l.cr && p[0] == '\n' {
			l.cr, l.lf, p = false, true, p[1:]
			continue
		}
		l.cr = false
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end]
		}
		if i := bytes.IndexByte(line, '\r'); i >= 0 {
			end, line = i, p[:i]
		}
		if l.size < len(l.head) {
			copy(l.head[l.size:], line)
		}
		l.size += len(line)
		if end < 0 {
			return
		}
		l.endLine()
		l.cr, l.lf = p[end] == '\r', l.lf || p[end] == '\n'
		p = p[end+1:]
	}
}

// endLine records that the current line is complete.
func (l *eventLines) endLine() {
	switch {
	case l.size == 0:
		l.open = false
	case l.head[0] != ':': // not a comment
		l.open = true
		l.noteField()
	}
	l.size = 0
}

// noteField records the field in the current line.
func (l *eventLines) noteField() {
	line := string(l.head[:min(l.size, len(l.head))])
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimLeft(value, " ")
	switch name {
	case "event":
		l.responses = l.responses || strings.HasPrefix(value, "response.")
	case "data":
		l.responses = l.responses || strings.HasPrefix(value, `{"type":"response.`)
		l.done = l.size <= len(l.head) && strings.TrimRight(value, " ") == "[DONE]"
	}
}

// isDone reports whether the last data was [DONE], even if its line is incomplete.
func (l *eventLines) isDone() bool {
	last := *l
	if last.size > 0 {
		last.endLine()
	}
	return last.done
}

// between reports whether a comment can be written: neither an event nor a line is
// incomplete.
func (l *eventLines) between() bool { return l.size == 0 && !l.open && !(l.cr && l.lf) }

// separator returns the line breaks that end an incomplete event. It returns none if
// no event is incomplete, since older SDKs take another blank line for an event.
func (l *eventLines) separator() string {
	switch {
	case l.between():
		return ""
	case l.open && l.size == 0 && !l.cr, !l.open && l.size == 0, !l.open && l.head[0] == ':':
		return "\n"
	}
	return "\n\n"
}
