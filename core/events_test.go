package core

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var lineBreak = regexp.MustCompile(`\r\n|\n|\r`)

// parseEvents returns the data of the events in a stream that is complete (HTML
// standard, section 9.2.6), and how many blank lines dispatched none.
func parseEvents(stream string) (events []string, empty int) {
	var data []string
	fields := false
	lines := lineBreak.Split(stream, -1)
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "":
			if data != nil {
				events = append(events, strings.Join(data, "\n"))
			} else if !fields {
				empty++
			}
			data, fields = nil, false
		case name == "":
		case name == "data":
			data, fields = append(data, strings.TrimPrefix(value, " ")), true
		default:
			fields = true
		}
	}
	return events, empty
}

// FuzzEventLines: whatever was written, in whatever pieces, the error event is the last
// event, whole, and no blank line is added where no event is open.
func FuzzEventLines(f *testing.F) {
	for _, seed := range []string{
		"", event, event + "data: x", "data: 1\r\n\r", "data: 1\r\r", ": c", ": c\n", "data\n", "\n", "\r", "\r\n",
		"x\r\ny\rz\n", "data: 1\r: c", event + ": c\r\n", "data: 1\n\r", "data: 1\r\n\n\r\r\n",
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, written string, size int) {
		if strings.HasPrefix(written, "\ufeff") {
			t.Skip("a byte order mark belongs to no line")
		}
		var whole, pieces eventLines
		whole.note([]byte(written))
		for piece := range slices.Chunk([]byte(written), max(size, 1)) {
			pieces.note(piece)
		}
		whole.head, pieces.head = [32]byte{}, [32]byte{} // which keep more than the current line
		if whole != pieces {
			t.Fatalf("%q in pieces of %d: %+v, at once %+v", written, size, pieces, whole)
		}
		var lines eventLines
		lines.note([]byte(written))
		const frame = "data: {error}\n\n"
		events, empty := parseEvents(written + lines.separator() + frame)
		if len(events) == 0 || events[len(events)-1] != "{error}" {
			t.Errorf("after %q: the last event is not the error: %q", written, events)
		}
		if _, before := parseEvents(written + "\n"); !lines.open && lines.size == 0 && empty > before {
			t.Errorf("after %q: %d blank lines, %d before", written, empty, before)
		}
		if lines.between() {
			comment, _ := parseEvents(written + ": keepalive\n" + frame)
			if !slices.Equal(comment, events) {
				t.Errorf("after %q: a comment changes %q to %q", written, events, comment)
			}
		}
	})
}
