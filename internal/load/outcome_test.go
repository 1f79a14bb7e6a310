package load

import (
	"io"
	"net/http"
	"testing"
)

func TestJudge(t *testing.T) {
	const (
		half  = "data: {\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\n"
		other = "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n"
		done  = "data: [DONE]\n\n"
		fault = "data: {\"error\":{\"code\":\"upstream_interrupted\"}}\n\n"
		whole = `{"choices":[{"message":{"content":"hello"}}]}`
	)
	again := http.Header{"Retry-After-Ms": {"50"}}
	for _, test := range []struct {
		name   string
		stream bool
		status int
		header http.Header
		body   string
		err    error
		want   Outcome
	}{
		{"a stream", true, 200, nil, half + other + done, nil, Complete},
		{"a stream of CR", true, 200, nil, half + "\n\n" + other + done, nil, Complete},
		{"without its end", true, 200, nil, half + other, nil, Truncated},
		{"without anything", true, 200, nil, "", nil, Truncated},
		{"without an event", true, 200, nil, half + done, nil, Truncated},
		{"with an event twice", true, 200, nil, half + half + other + done, nil, Truncated},
		{"of another", true, 200, nil, half + done, nil, Truncated},
		{"cut in an event", true, 200, nil, half + other[:20], nil, Truncated},
		{"cut in the last event", true, 200, nil, half + other + done[:len(done)-1], nil, Truncated},
		{"with prose after it", true, 200, nil, half + other + done + "A panic occurred.\n\n", nil, Truncated},
		{"with prose in place of its end", true, 200, nil, half + other + "A panic occurred.", nil, Truncated},
		{"with an error event", true, 200, nil, half + fault, nil, Cut},
		{"with an error event in an event", true, 200, nil, half + other[:20] + "\n\n" + fault, nil, Cut},
		{"with an error event, and then its end", true, 200, nil, half + fault + done, nil, Truncated},
		{"of a connection that broke", true, 200, nil, half, io.ErrUnexpectedEOF, Cut},
		{"whole", false, 200, nil, whole, nil, Complete},
		{"whole, of another", false, 200, nil, `{"choices":[{"message":{"content":"bye"}}]}`, nil, Truncated},
		{"half", false, 200, nil, whole[:20], nil, Truncated},
		{"none", false, 200, nil, "", nil, Truncated},
		{"half, and broken", false, 200, nil, whole[:20], io.ErrUnexpectedEOF, Cut},
		{"an error in place of it", false, 200, nil, `{"error":{}}`, nil, Cut},
		{"ambiguous", true, 502, again, `{"error":{}}`, nil, Ambiguous},
		{"a platform's 502", true, 502, nil, "oops", nil, Failed},
		{"a 503", false, 503, again, `{"error":{}}`, nil, Failed},
	} {
		if test.header == nil {
			test.header = http.Header{}
		}
		res := &http.Response{StatusCode: test.status, Header: test.header}
		if got := judge(test.stream, res, []byte(test.body), test.err, "hello"); got != test.want {
			t.Errorf("judge(%s) = %v, want %v", test.name, got, test.want)
		}
	}
}
