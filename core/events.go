package core

import (
	"bytes"
	"strings"
)

// An eventShape is how an API writes the error event of its streams.
type eventShape string

const (
	chatEvents      eventShape = ""          // OpenAI's chats and completions
	responsesEvents eventShape = "responses" // OpenAI's Responses API
	messagesEvents  eventShape = "messages"  // Anthropic's Messages API
)

// shapeOfPath returns the shape of the event streams of a path. Threads have messages
// too, which are not streamed.
func shapeOfPath(path string) eventShape {
	switch {
	case strings.HasSuffix(path, "/responses") || strings.Contains(path, "/responses/"):
		return responsesEvents
	case strings.HasSuffix(path, "/v1/messages"):
		return messagesEvents
	}
	return chatEvents
}

// shapeOfType returns the shape of the event streams that have events of a type which
// begins so, or chatEvents.
func shapeOfType(beginning string) eventShape {
	switch {
	case strings.HasPrefix(beginning, "response."):
		return responsesEvents
	case strings.HasPrefix(beginning, "message_start"):
		return messagesEvents
	}
	return chatEvents
}

// eventLines tracks the lines of an event stream (HTML standard, section 9.2.5) as
// they are written to the client, in pieces of any size. The zero value is the state
// at the beginning of a stream.
type eventLines struct {
	head [32]byte // beginning of the current line
	size int      // of the current line so far

	open bool // fields were written since the last blank line: an event is incomplete
	cr   bool // the last byte was a CR, whose LF may follow
	lf   bool // there was an LF, so a CR at the end may be half of a line break
	done bool // the last data was [DONE]

	shape eventShape // of the error event, by the path or, with precedence, by the events so far
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
		l.noteType(value)
	case "data":
		l.noteType(typeOfData(value))
		l.done = l.size <= len(l.head) && strings.TrimRight(value, " ") == "[DONE]"
	}
}

// typeOfData returns the type of an event and what follows, if the event's data begins
// with it, or "".
func typeOfData(data string) string {
	for _, token := range [...]string{"{", `"type"`, ":", `"`} {
		rest, ok := strings.CutPrefix(strings.TrimLeft(data, " "), token)
		if !ok {
			return ""
		}
		data = rest
	}
	return data
}

// noteType records the API of an event's type.
func (l *eventLines) noteType(beginning string) {
	if shape := shapeOfType(beginning); shape != chatEvents {
		l.shape = shape
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
