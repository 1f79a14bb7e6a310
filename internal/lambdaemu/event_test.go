package lambdaemu

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// echo starts a function that responds to every event with the event itself, and
// returns a function that sends requests to it and returns the events.
func echo(t *testing.T, front Front) func(*http.Request) object {
	t.Helper()
	s := Start(t, Function{Front: front, Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respondJSON(ctx, e.id, map[string]any{
			"statusCode": 200, "body": string(e.payload), "headers": map[string]string{"invocation": e.id},
			"multiValueHeaders": map[string][]string{"invocation": {e.id}},
		})
	})})
	return func(req *http.Request) object {
		t.Helper()
		req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(s.URL, "http://")
		res, body := complete(t, req)
		got := object{}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%d %s: %v", res.StatusCode, body, err)
		}
		got["invocation"] = res.Header.Get("Invocation")
		return got
	}
}

// at returns the member of o at a path such as "requestContext.http.method".
func at(o object, path string) any {
	first, rest, more := strings.Cut(path, ".")
	inner, ok := o[first].(object)
	if !more || !ok {
		return o[first]
	}
	return at(inner, rest)
}

func check(t *testing.T, o object, want map[string]any) {
	t.Helper()
	for path, want := range want {
		if got := at(o, path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, want %#v", path, got, want)
		}
	}
}

func TestFunctionURLEvent(t *testing.T) {
	send := echo(t, FunctionURL)
	req := request(t, "POST", "/a%20b/%2e%2e/c?x=1&x=2&y=%20+&z=%zz&&=&q", strings.NewReader(`{"a":"<ü>"}`))
	req.Header = http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "X-Many": {"1", "2,3"}, "Cookie": {"a=1; b=2"},
		"User-Agent": {"me"},
		"Connection": {"x-hop"}, "X-Hop": {"1"}, "Te": {"trailers"}, "X-Forwarded-For": {"203.0.113.9"},
		"Accept-Encoding": {"br"},
	}
	before := time.Now().UnixMilli()
	e := send(req)
	check(t, e, map[string]any{
		"version":                         "2.0",
		"routeKey":                        "$default",
		"rawPath":                         "/a%20b/%2e%2e/c",
		"rawQueryString":                  "x=1&x=2&y=%20+&z=%zz&&=&q",
		"queryStringParameters":           object{"x": "1,2", "y": "  ", "z": "%zz", "": "", "q": ""},
		"cookies":                         []any{"a=1", "b=2"},
		"headers.cookie":                  "a=1; b=2",
		"headers.x-many":                  "1,2,3",
		"headers.content-type":            "application/json; charset=utf-8",
		"headers.content-length":          "12",
		"headers.accept-encoding":         "br",
		"headers.x-forwarded-for":         "203.0.113.9, 127.0.0.1",
		"headers.x-forwarded-proto":       "https",
		"headers.x-forwarded-port":        "443",
		"headers.x-amzn-tls-version":      "TLSv1.3",
		"headers.x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256",
		"headers.connection":              nil,
		"headers.x-hop":                   nil,
		"headers.te":                      nil,
		"body":                            `{"a":"<ü>"}`,
		"isBase64Encoded":                 false,
		"requestContext.accountId":        "anonymous",
		"requestContext.routeKey":         "$default",
		"requestContext.stage":            "$default",
		"requestContext.http.method":      "POST",
		"requestContext.http.path":        "/a%20b/%2e%2e/c",
		"requestContext.http.protocol":    "HTTP/1.1",
		"requestContext.http.sourceIp":    "127.0.0.1",
		"requestContext.http.userAgent":   "me",
		"requestContext.requestId":        e["invocation"],
		"requestContext.domainPrefix":     at(e, "requestContext.apiId"),
		"requestContext.domainName":       fmt.Sprint(at(e, "requestContext.apiId"), ".lambda-url.us-east-1.on.aws"),
		"headers.host":                    at(e, "requestContext.domainName"),
		"requestContext.authorizer":       nil,
	})
	if epoch := int64(at(e, "requestContext.timeEpoch").(float64)); epoch < before || epoch > time.Now().UnixMilli() {
		t.Errorf("timeEpoch = %d", epoch)
	}
	for path, want := range map[string]string{
		"requestContext.time":     `^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$`,
		"headers.x-amzn-trace-id": `^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$`,
		"invocation":              `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
	} {
		if got := fmt.Sprint(at(e, path)); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s = %s, want %s", path, got, want)
		}
	}
}

func TestFunctionURLEventOfNothing(t *testing.T) {
	e := echo(t, FunctionURL)(request(t, "GET", "/", nil))
	for _, absent := range []string{"body", "cookies", "queryStringParameters"} {
		if got, ok := e[absent]; ok {
			t.Errorf("%s = %#v, want none", absent, got)
		}
	}
	check(t, e, map[string]any{"rawPath": "/", "rawQueryString": "", "isBase64Encoded": false,
		"headers.content-length": nil})
}

func TestBase64Rule(t *testing.T) {
	binary := "\x00\xff\n"
	for _, test := range []struct {
		contentType, encoding string
		base64                bool
	}{
		{"text/plain", "", false},
		{"text/event-stream", "", false},
		{"application/json", "", false},
		{"Application/JSON; charset=utf-8", "", false},
		{"application/problem+json", "", false},
		{"application/javascript", "", false},
		{"application/xml", "", false},
		{"image/svg+xml", "", false},
		{"application/json", "gzip", true},
		{"application/x-www-form-urlencoded", "", true},
		{"multipart/form-data; boundary=a", "", true},
		{"application/octet-stream", "", true},
		{"audio/mpeg", "", true},
		{"", "", true},
	} {
		for _, front := range []Front{FunctionURL, HTTPAPI, ALB} {
			send := echo(t, front)
			req := request(t, "POST", "/", strings.NewReader(binary))
			req.Header["Content-Type"] = []string{test.contentType}
			if test.encoding != "" {
				req.Header.Set("Content-Encoding", test.encoding)
			}
			want := "\x00\ufffd\n"
			if test.base64 {
				want = base64.StdEncoding.EncodeToString([]byte(binary))
			}
			e := send(req)
			if e["isBase64Encoded"] != test.base64 || e["body"] != want {
				t.Errorf("%s, %q %s: %v %q, want %t %q", front, test.contentType, test.encoding, e["isBase64Encoded"],
					e["body"], test.base64, want)
			}
		}
	}
}

func TestRequestLimit(t *testing.T) {
	lengths := func(ctx context.Context, c *client, e *event) {
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 200, "body": fmt.Sprint(len(e.fields.Body))})
	}
	for _, test := range []struct {
		front       Front
		contentType string
		size        int
		status      int
	}{
		{FunctionURL, "text/plain", 6<<20 - 4<<10, 200},
		{FunctionURL, "text/plain", 6 << 20, 413},
		{FunctionURL, "text/plain", 12 << 20, 413},
		{FunctionURL, "audio/mpeg", 4 << 20, 200},
		{FunctionURL, "audio/mpeg", 5 << 20, 413},
		{HTTPAPI, "text/plain", 7 << 20, 413},
		{RESTAPI, "text/plain", 11 << 20, 413},
		{ALB, "text/plain", 1 << 20, 200},
		{ALB, "text/plain", 1<<20 + 1, 413},
	} {
		s := Start(t, Function{Front: test.front, Run: handle(lengths)})
		req := request(t, "POST", s.URL, strings.NewReader(strings.Repeat("a", test.size)))
		req.Header.Set("Content-Type", test.contentType)
		res, body := complete(t, req)
		if res.StatusCode != test.status {
			t.Errorf("%s, %d bytes of %s: %d %s, want %d", test.front, test.size, test.contentType, res.StatusCode,
				body, test.status)
		}
		if test.front == FunctionURL && test.status == 413 && body != `{"Message":"Request Entity Too Large"}` {
			t.Errorf("413 says %s", body)
		}
	}
}

func TestRawPathOfOddRequests(t *testing.T) {
	s := Start(t, Function{Run: handle(func(ctx context.Context, c *client, e *event) {
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 200, "body": e.fields.RawPath})
	})})
	for target, want := range map[string]string{
		"/":                      "/",
		"//double//slash/":       "//double//slash/",
		"/a;b=c":                 "/a;b=c",
		"/%E4%B8%AD":             "/%E4%B8%AD",
		"http://h/absolute?x":    "/absolute",
		"http://h":               "/",
		"/v1/chat/completions?":  "/v1/chat/completions",
		"/what?where=/else?here": "/what",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", target)
		raw := readAll(t, conn)
		if _, body, _ := strings.Cut(raw, "\r\n\r\n"); body != want {
			t.Errorf("%s: rawPath = %q, want %q", target, body, want)
		}
		conn.Close()
	}
}
