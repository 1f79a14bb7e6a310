package lambdaemu

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const (
	account = "123456789012"
	stage   = "prod" // of a REST API; an HTTP API has its $default
)

// urlEvent is payload format 2.0 as function URLs write it.
func urlEvent(c *call) object {
	c.header.Set("X-Amzn-Tls-Cipher-Suite", "TLS_AES_128_GCM_SHA256")
	c.header.Set("X-Amzn-Tls-Version", "TLSv1.3")
	return c.eventV2(c.rawPath(), "anonymous")
}

// eventV2 is what function URLs and HTTP APIs have in common.
func (c *call) eventV2(path, account string) object {
	event := object{
		"version":        "2.0",
		"routeKey":       "$default",
		"rawPath":        path,
		"rawQueryString": c.req.URL.RawQuery,
		"headers":        c.lower(joined),
		"requestContext": c.contextV2(path, account),
	}
	if q := parseQuery(c.req.URL.RawQuery, url.QueryUnescape); len(q) > 0 {
		event["queryStringParameters"] = q.object(joined)
	}
	if cookies := c.cookies(); cookies != nil {
		event["cookies"] = cookies
	}
	c.setBody(event, c.isBinary())
	if len(c.body) == 0 {
		delete(event, "body")
	}
	return event
}

func (c *call) contextV2(path, account string) object {
	prefix, _, _ := strings.Cut(c.domain, ".")
	return object{
		"accountId":    account,
		"apiId":        prefix,
		"domainName":   c.domain,
		"domainPrefix": prefix,
		"http": object{
			"method":    c.req.Method,
			"path":      path,
			"protocol":  c.req.Proto,
			"sourceIp":  c.client,
			"userAgent": c.req.UserAgent(),
		},
		"requestId": c.id,
		"routeKey":  "$default",
		"stage":     "$default",
		"time":      c.at.Format(clfTime),
		"timeEpoch": c.at.UnixMilli(),
	}
}

// clfTime is the layout of times in events, that of the Common Log Format.
const clfTime = "02/Jan/2006:15:04:05 -0700"

func (c *call) cookies() []string {
	var cookies []string
	for _, line := range c.header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			cookies = append(cookies, strings.TrimSpace(cookie))
		}
	}
	return cookies
}

// readV2 reads a response of payload format 2.0, which has no multiValueHeaders.
// A payload without a statusCode is itself the body.
func readV2(payload []byte) (*reply, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil || members["statusCode"] == nil {
		return &reply{
			status: http.StatusOK,
			header: http.Header{"Content-Type": {"application/json"}},
			body:   payload,
		}, nil
	}
	a, r, err := parseReply(payload)
	if err != nil {
		return nil, err
	}
	r.setSingle(a)
	r.setCookies(a)
	return r, nil
}

// refuseURL returns a function URL's own response to err.
func refuseURL(err error) refusal {
	switch {
	case errors.Is(err, ErrThrottled):
		return refusal{http.StatusTooManyRequests, "TooManyRequestsException", `{"Message":"Rate Exceeded."}`}
	case errors.Is(err, errRequestTooLarge):
		return refusal{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
			`{"Message":"Request Entity Too Large"}`}
	case errors.Is(err, errRemapped):
		return refusal{http.StatusInternalServerError, "", "Internal Server Error"}
	}
	return refusal{http.StatusBadGateway, "", "Internal Server Error"}
}

// httpAPIEvent is payload format 2.0 as an HTTP API writes it: unlike a
// function URL it decodes the path, loses what follows a decoded "?", and
// moves the cookies out of the headers.
func httpAPIEvent(c *call) object {
	path, _, _ := strings.Cut(decoded(c.rawPath(), url.PathUnescape), "?")
	event := c.eventV2(path, account)
	delete(event["headers"].(object), "cookie")
	return event
}

// restEvent is payload format 1.0, of an API whose binary media type is */*.
func restEvent(c *call) object {
	q := parseQuery(c.req.URL.RawQuery, url.QueryUnescape)
	path := c.rawPath()
	event := object{
		"resource":                        "/{proxy+}",
		"path":                            path,
		"httpMethod":                      c.req.Method,
		"headers":                         fields(c.header, last),
		"multiValueHeaders":               fields(c.header, all),
		"queryStringParameters":           q.object(last),
		"multiValueQueryStringParameters": q.object(all),
		"pathParameters":                  object{"proxy": strings.TrimPrefix(path, "/")},
		"stageVariables":                  nil,
		"requestContext":                  c.contextV1(path),
	}
	c.setBody(event, len(c.body) > 0)
	if len(c.body) == 0 {
		event["body"] = nil
	}
	return event
}

func (c *call) contextV1(path string) object {
	prefix, _, _ := strings.Cut(c.domain, ".")
	return object{
		"resourceId":        "lambdaemu",
		"resourcePath":      "/{proxy+}",
		"httpMethod":        c.req.Method,
		"extendedRequestId": "lambdaemu=",
		"requestTime":       c.at.Format(clfTime),
		"requestTimeEpoch":  c.at.UnixMilli(),
		"path":              "/" + stage + path,
		"accountId":         account,
		"protocol":          c.req.Proto,
		"stage":             stage,
		"domainName":        c.domain,
		"domainPrefix":      prefix,
		"apiId":             prefix,
		"requestId":         c.id,
		"identity":          object{"sourceIp": c.client, "userAgent": c.req.UserAgent()},
	}
}

// readV1 reads a response of payload format 1.0, which must have a statusCode.
func readV1(payload []byte) (*reply, error) {
	return parseStrict(payload, (*reply).setSingle, (*reply).setMulti)
}

func refuseHTTPAPI(err error) refusal {
	switch {
	case errors.Is(err, ErrThrottled), errors.Is(err, ErrTimeout):
		return refusal{http.StatusServiceUnavailable, "", `{"message":"Service Unavailable"}`}
	case errors.Is(err, errRequestTooLarge):
		return refusal{http.StatusRequestEntityTooLarge, "", `{"message":"Request Entity Too Large"}`}
	}
	return refusal{http.StatusInternalServerError, "", `{"message":"Internal Server Error"}`}
}

func refuseREST(err error) refusal {
	switch {
	case errors.Is(err, ErrThrottled):
		return refusal{http.StatusInternalServerError, "InternalServerErrorException",
			`{"message": "Internal server error"}`}
	case errors.Is(err, errRequestTooLarge):
		return refusal{http.StatusRequestEntityTooLarge, "RequestTooLargeException", `{"message":"Request Too Long"}`}
	}
	return refusal{http.StatusBadGateway, "InternalServerErrorException", `{"message": "Internal server error"}`}
}
