package fakeopenai

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
)

// What matters of a request to Anthropic's API stands where OpenAI's chats have it.

func (c *call) createMessage() response {
	var r chatRequest
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	deltas := c.deltas(r.lastMessage())
	if r.Stream {
		return eventStream(c.messageEvents(r, deltas))
	}
	message := c.message(r, object{"input_tokens": len(strings.Fields(r.lastMessage())), "output_tokens": len(deltas)})
	message["content"] = []object{{"type": "text", "text": strings.Join(deltas, "")}}
	message["stop_reason"] = "end_turn"
	return jsonResponse(http.StatusOK, message)
}

// message returns a message without content, as it stands at the beginning of a
// stream.
func (c *call) message(r chatRequest, usage object) object {
	return object{
		"id":            c.newID("msg_"),
		"type":          "message",
		"role":          "assistant",
		"model":         cmp.Or(r.Model, "claude-fake"),
		"content":       []object{},
		"stop_reason":   nil,
		"stop_sequence": nil,
		"usage":         usage,
	}
}

func (c *call) messageEvents(r chatRequest, deltas []string) [][]byte {
	var events [][]byte
	add := func(kind string, fields object) {
		fields["type"] = kind
		event := fmt.Appendf(nil, "event: %s\n", kind)
		events = append(events, append(event, dataEvent(fields)...))
	}
	in := len(strings.Fields(r.lastMessage()))
	add("message_start", object{"message": c.message(r, object{"input_tokens": in, "output_tokens": 1})})
	add("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}})
	add("ping", object{})
	for _, delta := range deltas {
		add("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": delta}})
	}
	add("content_block_stop", object{"index": 0})
	add("message_delta", object{
		"delta": object{"stop_reason": "end_turn", "stop_sequence": nil},
		"usage": object{"output_tokens": len(deltas)},
	})
	add("message_stop", object{})
	return events
}

// countTokens counts a word as a token.
func (c *call) countTokens() response {
	var r chatRequest
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	return jsonResponse(http.StatusOK, object{"input_tokens": len(strings.Fields(r.lastMessage()))})
}
