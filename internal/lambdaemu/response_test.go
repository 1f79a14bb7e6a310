package lambdaemu

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// respondWith starts a buffered function that responds with payload.
func respondWith(t *testing.T, front Front, payload string) *Server {
	t.Helper()
	return Start(t, Function{Front: front, Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respond(ctx, e.id, strings.NewReader(payload), "Content-Type", "application/json")
	})})
}

func TestBufferedResponses(t *testing.T) {
	type headers map[string]string
	asJSON := headers{"Content-Type": "application/json"}
	for _, test := range []struct {
		front   Front
		payload string
		status  int
		body    string
		headers headers
	}{
		{FunctionURL, `{"statusCode":201,"body":"made","headers":{"Content-Type":"text/plain","X-N":1}}`, 201, "made",
			headers{"Content-Type": "text/plain", "X-N": "1"}},
		{FunctionURL, `{"statusCode":200}`, 200, "", asJSON},
		{FunctionURL, `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", asJSON},
		{FunctionURL, `{"statusCode":200,"body":"no base64","isBase64Encoded":true}`, 502, "Internal Server Error",
			nil},
		{FunctionURL, `{"statusCode":200,"body":{"an":"object"}}`, 502, "Internal Server Error", nil},
		{FunctionURL, `{"statusCode":"200"}`, 502, "Internal Server Error", nil},
		{FunctionURL, `{"hello":"world"}`, 200, `{"hello":"world"}`, asJSON},
		{FunctionURL, `"hello"`, 200, `"hello"`, asJSON},
		{FunctionURL, `[1]`, 200, `[1]`, asJSON},
		{FunctionURL, "{}\x00\x00\x00\x00\x00\x00\x00\x00body", 200, "{}\x00\x00\x00\x00\x00\x00\x00\x00body", asJSON},
		{FunctionURL, `{"statusCode":200,"multiValueHeaders":{"X-A":["1"]}}`, 200, "", headers{"X-A": ""}},
		{FunctionURL, `{"statusCode":200,"headers":{"connection":"close","Content-Length":"9"},"body":"four"}`, 200,
			"four", headers{"X-Amzn-Remapped-Connection": "close", "X-Amzn-Remapped-Content-Length": "9",
				"Content-Length": "4"}},
		{FunctionURL, `{"statusCode":200,"headers":{"x-amzn-remapped-connection":"close"}}`, 500,
			"Internal Server Error", nil},

		{HTTPAPI, `{"statusCode":201,"body":"made"}`, 201, "made", asJSON},
		{HTTPAPI, `{"hello":"world"}`, 200, `{"hello":"world"}`, asJSON},
		{HTTPAPI, `{"statusCode":200,"headers":{"Connection":"close"}}`, 200, "",
			headers{"Connection": "", "X-Amzn-Remapped-Connection": ""}},
		{HTTPAPI, `{"statusCode":0}`, 500, `{"message":"Internal Server Error"}`, nil},

		{RESTAPI, `{"statusCode":200,"headers":{"X-A":"0","X-B":"b"},"multiValueHeaders":{"X-A":["1"]}}`, 200, "",
			headers{"X-A": "1", "X-B": "b"}},
		{RESTAPI, `{"hello":"world"}`, 502, `{"message": "Internal server error"}`, nil},
		{RESTAPI, `{"statusCode":200,"headers":{"Date":"then"}}`, 200, "", headers{"X-Amzn-Remapped-Date": "then"}},

		{ALB, `{"statusCode":200,"headers":{"X-A":"1"},"multiValueHeaders":{"X-B":["1"]},"body":"b"}`, 200, "b",
			headers{"X-A": "1", "X-B": ""}},
		{ALBMultiValue, `{"statusCode":200,"headers":{"X-A":"1"},"multiValueHeaders":{"X-B":["1"]},"body":"b"}`, 200,
			"b", headers{"X-A": "", "X-B": "1"}},
		{ALB, `{"hello":"world"}`, 502, "", headers{"Content-Type": "text/html"}},
		{ALB, `{"statusCode":200,"body":"` + strings.Repeat("a", 1<<20) + `"}`, 502, "",
			headers{"Content-Type": "text/html"}},
	} {
		res, body := get(t, respondWith(t, test.front, test.payload).URL)
		if test.headers["Content-Type"] == "text/html" {
			body = ""
		}
		if res.StatusCode != test.status || body != test.body {
			t.Errorf("%s, %.80s: %d %q, want %d %q", test.front, test.payload, res.StatusCode, body, test.status,
				test.body)
		}
		for name, want := range test.headers {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s, %.80s: %s = %q, want %q", test.front, test.payload, name, got, want)
			}
		}
	}
}

func TestCookiesOfResponses(t *testing.T) {
	want := []string{"a=1", "b=2; Path=/"}
	for front, payload := range map[Front]string{
		FunctionURL:   `{"statusCode":200,"cookies":["a=1","b=2; Path=/"]}`,
		HTTPAPI:       `{"statusCode":200,"cookies":["a=1","b=2; Path=/"]}`,
		RESTAPI:       `{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a=1","b=2; Path=/"]}}`,
		ALBMultiValue: `{"statusCode":200,"multiValueHeaders":{"set-cookie":["a=1","b=2; Path=/"]}}`,
	} {
		if res, _ := get(t, respondWith(t, front, payload).URL); !slices.Equal(res.Header.Values("Set-Cookie"), want) {
			t.Errorf("%s: cookies %q, want %q", front, res.Header.Values("Set-Cookie"), want)
		}
	}
}

func TestBufferedResponseTooLarge(t *testing.T) {
	refused := make(chan said, 1)
	s := Start(t, Function{Run: handle(func(ctx context.Context, c *client, e *event) {
		s, _ := c.respondJSON(ctx, e.id, strings.Repeat("a", maxBuffered))
		refused <- s
	})})
	if res, body := get(t, s.URL); res.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d %s, want 502", res.StatusCode, body)
	}
	if got := await(t, refused, "the Runtime API"); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("the Runtime API responded %v, want 413", got)
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestHTTPAPIEvent(t *testing.T) {
	req := request(t, "GET", "/a%20b/c%3Fd/e?x=1&x=2", nil)
	req.Header.Set("Cookie", "a=1; b=2")
	e := echo(t, HTTPAPI)(req)
	check(t, e, map[string]any{
		"version":                    "2.0",
		"rawPath":                    "/a b/c", // decoded, and cut at the ? that was %3F
		"rawQueryString":             "x=1&x=2",
		"cookies":                    []any{"a=1", "b=2"},
		"headers.cookie":             nil,
		"headers.x-amzn-tls-version": nil,
		"requestContext.accountId":   "123456789012",
		"requestContext.stage":       "$default",
		"requestContext.domainName": fmt.Sprint(at(e, "requestContext.apiId"),
			".execute-api.us-east-1.amazonaws.com"),
		"requestContext.http.method":   "GET",
		"requestContext.http.sourceIp": "127.0.0.1",
	})
}

func TestRESTAPIEvent(t *testing.T) {
	req := request(t, "POST", "/a%20b?x=1&x=%20", strings.NewReader("{}"))
	req.Header["X-Many"] = []string{"1", "2"}
	req.Header.Set("Content-Type", "application/json")
	e := echo(t, RESTAPI)(req)
	check(t, e, map[string]any{
		"resource":                        "/{proxy+}",
		"path":                            "/a%20b",
		"httpMethod":                      "POST",
		"headers.X-Many":                  "2",
		"headers.Content-Type":            "application/json",
		"multiValueHeaders.X-Many":        []any{"1", "2"},
		"queryStringParameters":           object{"x": " "},
		"multiValueQueryStringParameters": object{"x": []any{"1", " "}},
		"pathParameters.proxy":            "a%20b",
		"body":                            "e30=",
		"isBase64Encoded":                 true,
		"requestContext.path":             "/prod/a%20b",
		"requestContext.stage":            "prod",
		"requestContext.httpMethod":       "POST",
		"requestContext.accountId":        "123456789012",
		"requestContext.identity":         object{"sourceIp": "127.0.0.1", "userAgent": "test"},
		"version":                         nil,
	})
	check(t, echo(t, RESTAPI)(request(t, "GET", "/", nil)), map[string]any{
		"body": nil, "isBase64Encoded": false, "queryStringParameters": nil,
	})
}

func TestRESTAPIStreams(t *testing.T) {
	f := stream(t, `{"statusCode":201,"headers":{"X-A":"0"},"multiValueHeaders":{"X-A":["1","2"]},"cookies":["a=1"]}`,
		text("body"))
	f.Front = RESTAPI
	res, body := get(t, Start(t, f).URL)
	if got := res.Header.Values("X-A"); res.StatusCode != 201 || body != "body" || len(got) != 2 ||
		res.Header.Get("Set-Cookie") != "a=1" {
		t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
	}
}

func TestALBEvents(t *testing.T) {
	send := func(front Front) object {
		req := request(t, "GET", "/a%20b?x=a%20b&x=c%2B", nil)
		req.Host = "api.example"
		req.Header["X-Many"] = []string{"1", "2"}
		return echo(t, front)(req)
	}
	check(t, send(ALB), map[string]any{
		"httpMethod":                      "GET",
		"path":                            "/a%20b",
		"queryStringParameters":           object{"x": "c%2B"},
		"multiValueQueryStringParameters": nil,
		"headers.x-many":                  "2",
		"headers.host":                    "api.example",
		"headers.x-forwarded-proto":       "https",
		"multiValueHeaders":               nil,
		"body":                            "",
		"isBase64Encoded":                 false,
	})
	e := send(ALBMultiValue)
	check(t, e, map[string]any{
		"queryStringParameters":           nil,
		"multiValueQueryStringParameters": object{"x": []any{"a%20b", "c%2B"}},
		"headers":                         nil,
		"multiValueHeaders.x-many":        []any{"1", "2"},
		"multiValueHeaders.host":          []any{"api.example"},
	})
	if arn := fmt.Sprint(at(e, "requestContext.elb.targetGroupArn")); !strings.HasPrefix(arn,
		"arn:aws:elasticloadbalancing:us-east-1:") {
		t.Errorf("targetGroupArn = %s", arn)
	}
}

func TestFrontsRefuse(t *testing.T) {
	for front, want := range map[Front]struct {
		status int
		body   string
	}{
		FunctionURL: {http.StatusBadGateway, "Internal Server Error"},
		HTTPAPI:     {http.StatusInternalServerError, `{"message":"Internal Server Error"}`},
		RESTAPI:     {http.StatusBadGateway, `{"message": "Internal server error"}`},
		ALB:         {http.StatusBadGateway, "<html>"},
	} {
		s := Start(t, Function{Front: front, Run: exits})
		if res, body := get(t, s.URL); res.StatusCode != want.status || !strings.HasPrefix(body, want.body) {
			t.Errorf("%s: %d %q, want %d %q", front, res.StatusCode, body, want.status, want.body)
		}
	}
}

func TestBadFunctions(t *testing.T) {
	for _, f := range []Function{
		{},
		{Run: exits, Bootstrap: "bootstrap"},
		{Run: exits, Freeze: true},
		{Run: exits, Front: "NGINX"},
		{Run: exits, Mode: "STREAM"},
		{Run: exits, Front: ALB, Mode: ResponseStream},
		{Run: exits, Front: HTTPAPI, Mode: ResponseStream},
		{Run: exits, Cut: "torn"},
	} {
		if s, err := New(f); err == nil {
			s.Close()
			t.Errorf("New(%+v) = nil, want an error", f)
		}
	}
}
