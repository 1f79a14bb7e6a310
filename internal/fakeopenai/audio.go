package fakeopenai

import (
	"fmt"
)

// transcription hears how many bytes a file has, and their SHA-256.
func (c *call) transcription() response {
	up, bad := c.upload()
	if bad != nil {
		return *bad
	}
	text := fmt.Sprintf("%d bytes, sha256 %s", up.size, up.sum)
	if up.fields["response_format"] == "text" {
		return bodyResponse(200, "text/plain; charset=utf-8", []byte(text+"\n"))
	}
	return jsonResponse(200, object{
		"text":  text,
		"usage": object{"type": "duration", "seconds": 1},
	})
}

// speech streams the Pattern, eight parts of 2 KiB if the fault does not want
// another size.
func (c *call) speech() response {
	var r struct {
		Input string `json:"input"`
	}
	if bad := c.decode(&r); bad != nil {
		return *bad
	}
	a := patternResponse("audio/mpeg", c.fault.size(16<<10))
	a.length = -1
	return a
}
