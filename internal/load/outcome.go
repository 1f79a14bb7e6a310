package load

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// An Outcome is how a request ended for its client.
type Outcome int

const (
	Complete  Outcome = iota // the whole response
	Ambiguous                // a 502 with Retry-After-Ms: the request may have been processed, and may be retried
	Failed                   // any other error before a response began, or no response
	Cut                      // a truncated response, with an error event or a broken connection
	Truncated                // a truncated response that looks complete
)

func (o Outcome) String() string {
	return [...]string{"complete", "ambiguous", "failed", "cut", "truncated"}[o]
}

// judge returns the outcome of a response that should have the text reply. err is
// the error of reading its body.
func judge(stream bool, res *http.Response, body []byte, err error, reply string) Outcome {
	switch {
	case res.StatusCode == http.StatusBadGateway && res.Header.Get("Retry-After-Ms") != "":
		return Ambiguous
	case res.StatusCode != http.StatusOK:
		return Failed
	case err != nil:
		return Cut
	}
	text, end := wholeText(body)
	if stream {
		text, end = streamedText(body)
	}
	switch {
	case end == endError:
		return Cut
	case end != endGood || text != reply:
		return Truncated
	}
	return Complete
}

// How a body ends.
type ending int

const (
	endNone  ending = iota // without either: truncated
	endError               // with an error
	endGood
)

// chunk has the fields that are read of a response, streamed or whole.
type chunk struct {
	Error   any `json:"error"`
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"`
}

// wholeText returns the text of a response in one piece.
func wholeText(body []byte) (string, ending) {
	var c chunk
	switch err := json.Unmarshal(body, &c); {
	case err == nil && c.Error != nil:
		return "", endError
	case err != nil || len(c.Choices) != 1:
		return "", endNone
	}
	return c.Choices[0].Message.Content, endGood
}

// streamedText returns the text of an event stream. As for an SDK, an event
// without the empty line after it does not count; and nothing may follow [DONE].
func streamedText(body []byte) (string, ending) {
	var text strings.Builder
	end := endNone
	for len(body) > 0 {
		event, rest, whole := bytes.Cut(body, []byte("\n\n"))
		body = rest
		data, isData := bytes.CutPrefix(event, []byte("data: "))
		switch {
		case whole && len(event) == 0:
			continue
		case !whole, !isData, end == endGood:
			return text.String(), endNone
		case string(data) == "[DONE]":
			if end == endError {
				return text.String(), endNone // [DONE] claims success after an error
			}
			end = endGood
			continue
		}
		var c chunk
		if json.Unmarshal(data, &c) != nil || c.Error != nil {
			end = endError // an SDK also raises an error if it is not JSON
			continue
		}
		for _, choice := range c.Choices {
			text.WriteString(choice.Delta.Content)
		}
	}
	return text.String(), end
}
