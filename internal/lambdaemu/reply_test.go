package lambdaemu

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// answering starts a buffered function that answers with payload.
func answering(t *testing.T, front Front, payload string) *Server {
	t.Helper()
	return Start(t, Function{Front: front, Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respond(ctx, e.id, strings.NewReader(payload), "Content-Type", "application/json")
	})})
}

func TestBufferedAnswers(t *testing.T) {
	type headers map[string]string
	asJSON := headers{"Content-Type": "application/json"}
	for _, test := range []struct {
		front   Front
		payload string
		status  int
		body    string
		headers headers
	}{
		{FunctionURL, `{"statusCode":201,"body":"made","headers":{"Content-Type":"text/plain","X-N":1}}`, 201, "made", headers{"Content-Type": "text/plain", "X-N": "1"}},
		{FunctionURL, `{"statusCode":200}`, 200, "", asJSON},
		{FunctionURL, `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", asJSON},
		{FunctionURL, `{"statusCode":200,"body":"no base64","isBase64Encoded":true}`, 502, "Internal Server Error", nil},
		{FunctionURL, `{"statusCode":200,"body":{"an":"object"}}`, 502, "Internal Server Error", nil},
		{FunctionURL, `{"statusCode":"200"}`, 502, "Internal Server Error", nil},
		{FunctionURL, `{"hello":"world"}`, 200, `{"hello":"world"}`, asJSON},
		{FunctionURL, `"hello"`, 200, `"hello"`, asJSON},
		{FunctionURL, `[1]`, 200, `[1]`, asJSON},
		{FunctionURL, "{}\x00\x00\x00\x00\x00\x00\x00\x00body", 200, "{}\x00\x00\x00\x00\x00\x00\x00\x00body", asJSON},
		{FunctionURL, `{"statusCode":200,"multiValueHeaders":{"X-A":["1"]}}`, 200, "", headers{"X-A": ""}},
		{FunctionURL, `{"statusCode":200,"headers":{"connection":"close","Content-Length":"9"},"body":"four"}`, 200, "four",
			headers{"X-Amzn-Remapped-Connection": "close", "X-Amzn-Remapped-Content-Length": "9", "Content-Length": "4"}},
		{FunctionURL, `{"statusCode":200,"headers":{"x-amzn-remapped-connection":"close"}}`, 500, "Internal Server Error", nil},

		{HTTPAPI, `{"statusCode":201,"body":"made"}`, 201, "made", asJSON},
		{HTTPAPI, `{"hello":"world"}`, 200, `{"hello":"world"}`, asJSON},
		{HTTPAPI, `{"statusCode":200,"headers":{"Connection":"close"}}`, 200, "", headers{"Connection": "", "X-Amzn-Remapped-Connection": ""}},
		{HTTPAPI, `{"statusCode":0}`, 500, `{"message":"Internal Server Error"}`, nil},

		{RESTAPI, `{"statusCode":200,"headers":{"X-A":"0","X-B":"b"},"multiValueHeaders":{"X-A":["1"]}}`, 200, "", headers{"X-A": "1", "X-B": "b"}},
		{RESTAPI, `{"hello":"world"}`, 502, `{"message": "Internal server error"}`, nil},
		{RESTAPI, `{"statusCode":200,"headers":{"Date":"then"}}`, 200, "", headers{"X-Amzn-Remapped-Date": "then"}},

		{ALB, `{"statusCode":200,"headers":{"X-A":"1"},"multiValueHeaders":{"X-B":["1"]},"body":"b"}`, 200, "b", headers{"X-A": "1", "X-B": ""}},
		{ALBMultiValue, `{"statusCode":200,"headers":{"X-A":"1"},"multiValueHeaders":{"X-B":["1"]},"body":"b"}`, 200, "b", headers{"X-A": "", "X-B": "1"}},
		{ALB, `{"hello":"world"}`, 502, "", headers{"Content-Type": "text/html"}},
		{ALB, `{"statusCode":200,"body":"` + strings.Repeat("a", 1<<20) + `"}`, 502, "", headers{"Content-Type": "text/html"}},
	} {
		res, body := get(t, answering(t, test.front, test.payload).URL)
		if test.headers["Content-Type"] == "text/html" {
			body = ""
		}
		if res.StatusCode != test.status || body != test.body {
			t.Errorf("%s, %.80s: %d %q, want %d %q", test.front, test.payload, res.StatusCode, body, test.status, test.body)
		}
		for name, want := range test.headers {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s, %.80s: %s = %q, want %q", test.front, test.payload, name, got, want)
			}
		}
	}
}

func TestCookiesOfAnswers(t *testing.T) {
	want := []string{"a=1", "b=2; Path=/"}
	for front, payload := range map[Front]string{
		FunctionURL:   `{"statusCode":200,"cookies":["a=1","b=2; Path=/"]}`,
		HTTPAPI:       `{"statusCode":200,"cookies":["a=1","b=2; Path=/"]}`,
		RESTAPI:       `{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2; Path=/"]}}`,
		ALBMultiValue: `{"statusCode":200,"multiValueHeaders":{"set-cookie":["a=1","b=2; Path=/"]}}`,
	} {
		if res, _ := get(t, answering(t, front, payload).URL); !slices.Equal(res.Header.Values("Set-Cookie"), want) {
			t.Errorf("%s: cookies %q, want %q", front, res.Header.Values("Set-Cookie"), want)
		}
	}
}

func TestBufferedAnswerTooLarge(t *testing.T) {
	refused := make(chan said, 1)
	s := Start(t, Function{Run: handle(func(ctx context.Context, c *client, e *event) {
		s, _ := c.respondJSON(ctx, e.id, strings.Repeat("a", maxBuffered))
		refused <- s
	})})
	if res, body := get(t, s.URL); res.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d %s, want 502", res.StatusCode, body)
	}
	if got := await(t, refused, "the Runtime API"); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("the Runtime API answered %v, want 413", got)
	}
}
