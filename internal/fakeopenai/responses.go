package fakeopenai

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// responseRequest is what matters here of a request for a response.
type responseRequest struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions *string         `json:"instructions"`
	Stream       bool            `json:"stream"`
	Background   bool            `json:"background"`
}

// A stored response is one whose events may be had again.
type stored struct {
	request responseRequest
	deltas  []string
	events  [][]byte
}

// maxStored is how many responses are kept; older ones are forgotten.
const maxStored = 256

// store keeps a response. One of the same ID, which comes after a Reset, takes
// the place of the other.
func (u *Upstream) store(id string, s stored) {
	u.storedMu.Lock()
	defer u.storedMu.Unlock()
	if u.stored == nil {
		u.stored = make(map[string]stored)
	}
	if _, known := u.stored[id]; !known {
		u.storedIDs = append(u.storedIDs, id)
	}
	u.stored[id] = s
	if len(u.storedIDs) > maxStored {
		delete(u.stored, u.storedIDs[0])
		u.storedIDs = u.storedIDs[1:]
	}
}

func (u *Upstream) find(id string) (stored, bool) {
	u.storedMu.Lock()
	defer u.storedMu.Unlock()
	s, ok := u.stored[id]
	return s, ok
}

// said returns the text of the input, or of the last message in it.
func (r responseRequest) said() string {
	var messages []struct {
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(r.Input, &messages) != nil || len(messages) == 0 {
		return contentText(r.Input)
	}
	return contentText(messages[len(messages)-1].Content)
}

func (c *call) createResponse() response {
	var r responseRequest
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	deltas := c.deltas(r.said())
	if r.Stream {
		id := c.newID("resp_")
		events := c.responseEvents(id, r, deltas)
		if r.Background {
			c.u.store(id, stored{r, deltas, events})
		}
		return eventStream(events)
	}
	return jsonResponse(200, c.response(c.newID("resp_"), r, "completed", deltas))
}

// getResponse returns a response, and streams it again after the event that the
// query names, which is how a client resumes. Of a background response that was
// streamed these are the events of then, to the byte, whether or not anybody
// got them; any other is made up as if it had been stored.
func (c *call) getResponse() response {
	s, ok := c.u.find(c.id)
	if !ok {
		s.deltas = c.deltas("stored")
		s.events = c.responseEvents(c.id, s.request, s.deltas)
	}
	query := c.req.URL.Query()
	if query.Get("stream") != "true" {
		return jsonResponse(200, c.response(c.id, s.request, "completed", s.deltas))
	}
	events := s.events
	if n, err := strconv.Atoi(query.Get("starting_after")); err == nil && n >= 0 {
		events = events[min(n+1, len(events)):] // they are numbered from 0
	}
	return eventStream(events)
}

func (c *call) responseEvents(id string, r responseRequest, deltas []string) [][]byte {
	var events [][]byte
	add := func(kind string, fields object) {
		fields["type"] = kind
		fields["sequence_number"] = len(events)
		event := fmt.Appendf(nil, "event: %s\n", kind)
		events = append(events, append(event, dataEvent(fields)...))
	}
	item := c.newID("msg_")
	place := func(more object) object {
		more["item_id"], more["output_index"], more["content_index"] = item, 0, 0
		return more
	}
	text := strings.Join(deltas, "")

	add("response.created", object{"response": c.response(id, r, "in_progress", nil)})
	add("response.in_progress", object{"response": c.response(id, r, "in_progress", nil)})
	add("response.output_item.added", object{"output_index": 0, "item": outputMessage(item, "in_progress")})
	add("response.content_part.added", place(object{"part": outputText("")}))
	for _, delta := range deltas {
		add("response.output_text.delta", place(object{"delta": delta, "logprobs": []any{}}))
	}
	add("response.output_text.done", place(object{"text": text, "logprobs": []any{}}))
	add("response.content_part.done", place(object{"part": outputText(text)}))
	add("response.output_item.done",
		object{"output_index": 0, "item": outputMessage(item, "completed", outputText(text))})
	add("response.completed", object{"response": c.response(id, r, "completed", deltas)})
	return events
}

// response returns the Response object. Without deltas it has no output yet.
func (c *call) response(id string, r responseRequest, status string, deltas []string) object {
	output, usage := []object{}, any(nil)
	if deltas != nil {
		text := strings.Join(deltas, "")
		output = append(output, outputMessage(c.newID("msg_"), "completed", outputText(text)))
		usage = responseUsage(r.said(), deltas)
	}
	return object{
		"id":                   id,
		"object":               "response",
		"created_at":           created,
		"status":               status,
		"background":           r.Background,
		"error":                nil,
		"incomplete_details":   nil,
		"instructions":         r.Instructions,
		"max_output_tokens":    nil,
		"metadata":             object{},
		"model":                cmp.Or(r.Model, "gpt-fake"),
		"output":               output,
		"parallel_tool_calls":  true,
		"previous_response_id": nil,
		"reasoning":            object{"effort": nil, "summary": nil},
		"service_tier":         "default",
		"store":                true,
		"temperature":          1.0,
		"text":                 object{"format": object{"type": "text"}},
		"tool_choice":          "auto",
		"tools":                []any{},
		"top_p":                1.0,
		"truncation":           "disabled",
		"usage":                usage,
		"user":                 nil,
	}
}

func outputMessage(id, status string, content ...object) object {
	return object{
		"id":      id,
		"type":    "message",
		"role":    "assistant",
		"status":  status,
		"content": append([]object{}, content...), // [], not null
	}
}

func outputText(text string) object {
	return object{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

func responseUsage(said string, deltas []string) object {
	in, out := len(strings.Fields(said)), len(deltas)
	return object{
		"input_tokens":          in,
		"input_tokens_details":  object{"cached_tokens": in / 2},
		"output_tokens":         out,
		"output_tokens_details": object{"reasoning_tokens": 0},
		"total_tokens":          in + out,
	}
}
