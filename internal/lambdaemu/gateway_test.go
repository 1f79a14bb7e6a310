package lambdaemu

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

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
		"version":                      "2.0",
		"rawPath":                      "/a b/c", // decoded, and cut at the ? that was %3F
		"rawQueryString":               "x=1&x=2",
		"cookies":                      []any{"a=1", "b=2"},
		"headers.cookie":               nil,
		"headers.x-amzn-tls-version":   nil,
		"requestContext.accountId":     "123456789012",
		"requestContext.stage":         "$default",
		"requestContext.domainName":    fmt.Sprint(at(e, "requestContext.apiId"), ".execute-api.us-east-1.amazonaws.com"),
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
	f := stream(t, `{"statusCode":201,"headers":{"X-A":"0"},"multiValueHeaders":{"X-A":["1","2"]},"cookies":["a=1"]}`, text("body"))
	f.Front = RESTAPI
	res, body := get(t, Start(t, f).URL)
	if got := res.Header.Values("X-A"); res.StatusCode != 201 || body != "body" || len(got) != 2 || res.Header.Get("Set-Cookie") != "a=1" {
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
	if arn := fmt.Sprint(at(e, "requestContext.elb.targetGroupArn")); !strings.HasPrefix(arn, "arn:aws:elasticloadbalancing:us-east-1:") {
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
