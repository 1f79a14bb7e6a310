package core

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A Usage is what a response says it took, in tokens; -1 if it does not say so.
type Usage struct {
	Model                                   string // "unknown" if it cannot be told
	Input, Cached, Output, Reasoning, Total int64  // Cached is part of Input, Reasoning of Output
}

const (
	// usageTail is how much of a body's end is kept, and that of the Responses API
	// may have 10 KiB of metadata behind its usage.
	usageTail = 16 << 10
	// usageBuffer is the size of the buffer for it, which also holds a body's
	// beginning, since the model may stand there only.
	usageBuffer = 2 * usageTail

	maxModel     = 100
	unknownModel = "unknown"
)

var usageBuffers = sync.Pool{New: func() any { b := make([]byte, 0, usageBuffer); return &b }}

// A usageCopy is a bounded copy of a response's body as it passes: all of a short
// one, the end of a long one. Nothing of the response is changed or waits for it.
type usageCopy struct {
	buffer *[]byte
	events bool  // it is an event stream
	length int64 // of the body, or -1
	size   int64 // of the body so far
	long   bool  // the buffer has the end only
	model  string
}

// newUsageCopy returns the copy of a response of a length, or -1.
func newUsageCopy(events bool, length int64) *usageCopy {
	buffer := usageBuffers.Get().(*[]byte)
	*buffer = (*buffer)[:0]
	return &usageCopy{buffer: buffer, events: events, length: length}
}

// note copies p, the next bytes of the body.
func (u *usageCopy) note(p []byte) {
	kept := *u.buffer
	u.size += int64(len(p))
	if !u.long {
		n := min(len(p), usageBuffer-len(kept))
		if kept = append(kept, p[:n]...); n < len(p) {
			u.long, u.model = true, u.firstModel(kept)
		}
		p = p[n:]
	}
	switch {
	case u.long && u.length-u.size >= usageTail: // not the end
		kept = kept[:0]
	case len(p) >= usageTail:
		kept = append(kept[:0], p[len(p)-usageTail:]...)
	case len(kept)+len(p) > usageBuffer:
		kept = append(kept[:copy(kept, kept[len(kept)-usageTail:])], p...)
	default:
		kept = append(kept, p...)
	}
	*u.buffer = kept
}

// firstModel returns the model that the beginning of a body names, or "".
func (u *usageCopy) firstModel(text []byte) string {
	if u.events {
		_, text, _ = bytes.Cut(text, []byte("data:"))
	}
	return findModel(text)
}

// end returns what the body says, or nil, and frees the copy. responses says that an
// event stream is of the Responses API.
func (u *usageCopy) end(responses bool) *Usage {
	defer usageBuffers.Put(u.buffer)
	text := *u.buffer
	if !u.events {
		return u.find(text, u.long, 1)
	}
	depth := 1
	if responses {
		depth = 2 // {"type": "response.completed", "response": {"usage": …}}
	}
	for len(text) > 0 {
		i := bytes.LastIndexAny(text, "\r\n") + 1
		line, cut := text[i:], i == 0 && u.long
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok || cut {
			if found := u.find(data, cut, depth); found != nil {
				return found
			}
		}
		text = text[:max(i-1, 0)]
	}
	return nil
}

// find returns the usage in JSON text, of which the beginning may be cut, or nil.
func (u *usageCopy) find(text []byte, cut bool, depth int) *Usage {
	value := lastMember(text, `"usage"`, depth)
	if value == nil {
		return nil
	}
	found := parseUsage(value)
	if found == nil {
		return nil
	}
	if found.Model = u.model; !cut {
		found.Model = findModel(text)
	}
	if found.Model == "" && cut {
		found.Model = modelName(lastMember(text, `"model"`, depth))
	}
	if found.Model == "" {
		found.Model = unknownModel
	}
	return found
}

// parseUsage returns the counts in a usage object, or nil if it has none.
func parseUsage(text []byte) *Usage {
	u := &Usage{Input: -1, Cached: -1, Output: -1, Reasoning: -1, Total: -1}
	(&jsonText{b: text}).members(func(name, value []byte) {
		switch string(name) {
		case "prompt_tokens", "input_tokens":
			u.Input = count(value)
		case "completion_tokens", "output_tokens":
			u.Output = count(value)
		case "total_tokens":
			u.Total = count(value)
		case "prompt_tokens_details", "input_tokens_details":
			u.Cached = countOf(value, "cached_tokens")
		case "completion_tokens_details", "output_tokens_details":
			u.Reasoning = countOf(value, "reasoning_tokens")
		}
	})
	if u.Input < 0 && u.Output < 0 && u.Total < 0 {
		return nil
	}
	return u
}

// countOf returns the count that an object has by a name, or -1.
func countOf(object []byte, name string) int64 {
	n := int64(-1)
	(&jsonText{b: object}).members(func(member, value []byte) {
		if string(member) == name {
			n = count(value)
		}
	})
	return n
}

// count returns a whole number from 0 on, or -1 for anything else.
func count(value []byte) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// findModel returns the model in a JSON object that may be cut at its end: that of
// the object, or else that of its member response. It returns "" if there is none.
func findModel(text []byte) string {
	s := &jsonText{b: text}
	for s.next('{', ','); s.i < len(s.b); s.next(',', ',') {
		name := s.name()
		switch {
		case name == nil:
			return ""
		case string(name) == "model":
			from := s.i
			if !s.skip() {
				return ""
			}
			return modelName(s.b[from:s.i])
		case string(name) == "response" && s.i < len(s.b) && s.b[s.i] == '{':
			return findModel(s.b[s.i:])
		case !s.skip():
			return ""
		}
	}
	return ""
}

// modelName returns the name in a JSON string, "unknown" if it does not look like
// one of a model, which must not be logged, and "" for no string.
func modelName(value []byte) string {
	var name string
	switch {
	case len(value) < 2 || value[0] != '"':
		return ""
	case bytes.IndexByte(value, '\\') < 0:
		name = string(value[1 : len(value)-1])
	case json.Unmarshal(value, &name) != nil:
		return unknownModel
	}
	odd := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("._:/@+-", r)
	}
	if name == "" || len(name) > maxModel || strings.ContainsFunc(name, odd) {
		return unknownModel
	}
	return name
}

// takesTokens reports whether usage is logged and the request takes tokens: reading a
// stored response again does not.
func (x *exchange) takesTokens() bool {
	route, path := recordOf(x.req).route, x.req.URL.Path
	switch {
	case !x.logUsage || x.req.Method != http.MethodPost:
		return false
	case route == "chat" || route == "completions":
		return strings.HasSuffix(path, "/completions")
	case route == "responses":
		return strings.HasSuffix(path, "/responses") || strings.HasSuffix(path, "/responses/compact")
	}
	return tokenRoutes[route]
}

// tokenRoutes are the other routes whose requests may take tokens.
var tokenRoutes = map[string]bool{"audio": true, "embeddings": true, "images": true, "threads": true, "other": true}

// usageCopy returns a copy to fill as the response passes, or nil if nothing can be
// read from it.
func (x *exchange) usageCopy(events bool) *usageCopy {
	switch {
	case !recordOf(x.req).usageUnknown:
		return nil
	case events:
		return newUsageCopy(true, -1)
	case isEncoded(x.res.Header) || !isJSON(x.res):
		return nil
	}
	return newUsageCopy(false, x.res.ContentLength)
}

// endUsage records what a response says it took; complete says that it was not cut.
func (rec *record) endUsage(s *stream, complete bool) {
	if s.usage == nil {
		return
	}
	found := s.usage.end(s.lines.shape == responsesEvents)
	if complete && found != nil {
		rec.usage, rec.usageUnknown = found, false
	}
}

// usageAttrs returns what is logged of the usage.
func (rec *record) usageAttrs() []slog.Attr {
	if rec.usageUnknown {
		return []slog.Attr{slog.String("usage", "unknown")}
	}
	u := rec.usage
	if u == nil {
		return nil
	}
	attrs := append(make([]slog.Attr, 0, 6), slog.String("model", u.Model))
	for _, c := range []struct {
		name  string
		count int64
	}{
		{"input_tokens", u.Input}, {"cached_tokens", u.Cached}, {"output_tokens", u.Output},
		{"reasoning_tokens", u.Reasoning}, {"total_tokens", u.Total},
	} {
		if c.count >= 0 {
			attrs = append(attrs, slog.Int64(c.name, c.count))
		}
	}
	return attrs
}
