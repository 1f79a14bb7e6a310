package load

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// An Outcome is what a client can make of an answer.
type Outcome int

const (
	Complete  Outcome = iota // all of the answer that was asked for
	Ambiguous                // a 502 that invites to ask again: nobody knows whether the request was processed
	Failed                   // any other error before an answer began, or none at all
	Cut                      // an answer that broke off, and says so by an error event or a broken connection
	Truncated                // an answer that looks complete and is not
)

func (o Outcome) String() string {
	return [...]string{"complete", "ambiguous", "failed", "cut", "truncated"}[o]
}

// judge returns the outcome of an answer that was to have the text reply. err
// is that of reading its body.
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
	endNone  ending = iota // as if it were complete, which it is not
	endError               // with an error
	endGood
)

// chunk is what is read of an answer, streamed or whole.
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

// wholeText returns the text of an answer in one piece.
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

// streamedText returns the text of an event stream. An event without the empty
// line behind it is none, as for an SDK; and nothing may follow the last.
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
				return text.String(), endNone // it says that all is well
			}
			end = endGood
			continue
		}
		var c chunk
		if json.Unmarshal(data, &c) != nil || c.Error != nil {
			end = endError // an SDK raises at what is no JSON as well
			continue
		}
		for _, choice := range c.Choices {
			text.WriteString(choice.Delta.Content)
		}
	}
	return text.String(), end
}
