package load

import (
	"io"
	"testing"
)

func TestEnding(t *testing.T) {
	const events = "data: {\"n\":1}\n\n: comment\n\n"
	for _, test := range []struct {
		status int
		body   string
		err    error
		want   string
	}{
		{200, events, nil, "**a complete response**"},
		{200, events + "A panic occurred. Please see logs.", nil, "**a complete response** with a sentence in it"},
		{200, events, io.ErrUnexpectedEOF, "the connection breaks"},
		{200, events + "data: {\"error\":{}}\n\n", nil, "error event"},
		{200, events + "data: {\"error\":{}}\n\n", io.ErrUnexpectedEOF, "error event, then the connection breaks"},
		{502, `{"error":{}}`, nil, "error 502"},
	} {
		if got := Ending(test.status, test.body, test.err); got != test.want {
			t.Errorf("Ending(%d, %q, %v) = %q, want %q", test.status, test.body, test.err, got, test.want)
		}
	}
}
