package fakeopenai

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// chatRequest is what matters here of a request for a chat completion or, with
// Prompt, for a completion.
type chatRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Prompt        json.RawMessage `json:"prompt"`
	Stream        bool            `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// lastMessage returns the text of the last message of the user.
func (r chatRequest) lastMessage() string {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return contentText(m.Content)
		}
	}
	return ""
}

// contentText returns the text of content that is a string, a list of strings,
// or a list of parts with a text each.
func contentText(content json.RawMessage) string {
	var s string
	if json.Unmarshal(content, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(content, &list) == nil {
		return strings.Join(list, " ")
	}
	var parts []struct {
		Text string `json:"text"`
	}
	json.Unmarshal(content, &parts) //nolint:errcheck // then there is no text
	var text []string
	for _, part := range parts {
		text = append(text, part.Text)
	}
	return strings.Join(text, " ")
}

func (c *call) chatCompletion() response {
	var r chatRequest
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	said := r.lastMessage()
	deltas := c.deltas(said)
	if r.Stream {
		return eventStream(c.chatEvents(r, said, deltas))
	}
	return jsonResponse(200, object{
		"id":      c.newID("chatcmpl-"),
		"object":  "chat.completion",
		"created": created,
		"model":   cmp.Or(r.Model, "gpt-fake"),
		"choices": []object{{
			"index": 0,
			"message": object{"role": "assistant", "content": strings.Join(deltas, ""), "refusal": nil,
				"annotations": []any{}},
			"logprobs":      nil,
			"finish_reason": "stop",
		}},
		"usage":              chatUsage(said, deltas),
		"service_tier":       "default",
		"system_fingerprint": "fp_fake",
	})
}

func (c *call) chatEvents(r chatRequest, said string, deltas []string) [][]byte {
	chunk := func(choices []object, usage any) []byte {
		o := object{
			"id":                 c.newID("chatcmpl-"),
			"object":             "chat.completion.chunk",
			"created":            created,
			"model":              cmp.Or(r.Model, "gpt-fake"),
			"system_fingerprint": "fp_fake",
			"choices":            choices,
		}
		if r.StreamOptions.IncludeUsage {
			o["usage"] = usage
		}
		return dataEvent(o)
	}
	choice := func(delta object, finish any) []object {
		return []object{{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish}}
	}
	events := [][]byte{chunk(choice(object{"role": "assistant", "content": "", "refusal": nil}, nil), nil)}
	for _, delta := range deltas {
		events = append(events, chunk(choice(object{"content": delta}, nil), nil))
	}
	events = append(events, chunk(choice(object{}, "stop"), nil))
	if r.StreamOptions.IncludeUsage {
		events = append(events, chunk([]object{}, chatUsage(said, deltas)))
	}
	return append(events, []byte("data: [DONE]\n\n"))
}

func (c *call) completion() response {
	var r chatRequest
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	said := contentText(r.Prompt)
	deltas := c.deltas(said)
	part := func(text string, finish any) object {
		return object{
			"id":      c.newID("cmpl-"),
			"object":  "text_completion",
			"created": created,
			"model":   cmp.Or(r.Model, "gpt-fake"),
			"choices": []object{{"index": 0, "text": text, "logprobs": nil, "finish_reason": finish}},
		}
	}
	if !r.Stream {
		whole := part(strings.Join(deltas, ""), "stop")
		whole["usage"] = chatUsage(said, deltas)
		return jsonResponse(200, whole)
	}
	var events [][]byte
	for _, delta := range deltas {
		events = append(events, dataEvent(part(delta, nil)))
	}
	events = append(events, dataEvent(part("", "stop")), []byte("data: [DONE]\n\n"))
	return eventStream(events)
}

// Reply returns the text that the upstream writes to a user who said said,
// if no fault changes it.
func Reply(said string) string {
	runes := []rune(said)
	slices.Reverse(runes)
	return "Backwards → " + string(runes)
}

// deltas returns the reply in as many parts as the stream is to have events of
// text, and repeats it if it is shorter than that. A big event comes in between.
func (c *call) deltas(said string) []string {
	n := cmp.Or(c.fault.events, defaultEvents)
	reply := Reply(said)
	if c.fault.bytes != nil {
		reply = repeatTo(reply, *c.fault.bytes)[:*c.fault.bytes]
		reply = strings.ToValidUTF8(reply, "")
	}
	for c.fault.bytes == nil && utf8.RuneCountInString(reply) < n {
		reply += " " + reply
	}
	parts := cutText(reply, n)
	if c.fault.bigEvent > 0 {
		parts = slices.Insert(parts, len(parts)/2, repeatTo("big ", c.fault.bigEvent)[:c.fault.bigEvent])
	}
	return parts
}

func repeatTo(s string, n int) string {
	return strings.Repeat(s, n/len(s)+1)
}

// cutText cuts text into n parts, between characters. Parts are empty if there
// are too few characters.
func cutText(text string, n int) []string {
	runes := []rune(text)
	parts := make([]string, n)
	for i := range parts {
		parts[i] = string(runes[i*len(runes)/n : (i+1)*len(runes)/n])
	}
	return parts
}

func dataEvent(v any) []byte {
	return append(append([]byte("data: "), encodeJSON(v)...), "\n\n"...)
}

// chatUsage counts an event as a token and a word as another, of which half is cached.
func chatUsage(said string, deltas []string) object {
	in, out := len(strings.Fields(said)), len(deltas)
	return object{
		"prompt_tokens":             in,
		"completion_tokens":         out,
		"total_tokens":              in + out,
		"prompt_tokens_details":     object{"cached_tokens": in / 2, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0},
	}
}
