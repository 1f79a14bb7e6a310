package lambdaemu

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	account = "123456789012"
	stage   = "prod" // of a REST API; an HTTP API has its $default
)

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
		"headers":                         c.canonical(last),
		"multiValueHeaders":               c.canonical(all),
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

// readV1 reads an answer of payload format 1.0, which must have a statusCode.
func readV1(payload []byte) (*reply, error) {
	a, r, err := parseReply(payload)
	if err != nil {
		return nil, err
	}
	if a.StatusCode == nil {
		return nil, fmt.Errorf("%w: no statusCode", errMalformed)
	}
	r.setSingle(a)
	r.setMulti(a)
	return r, nil
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
		return refusal{http.StatusInternalServerError, "InternalServerErrorException", `{"message": "Internal server error"}`}
	case errors.Is(err, errRequestTooLarge):
		return refusal{http.StatusRequestEntityTooLarge, "RequestTooLargeException", `{"message":"Request Too Long"}`}
	}
	return refusal{http.StatusBadGateway, "InternalServerErrorException", `{"message": "Internal server error"}`}
}
