package lambdaemu

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// front is how a service writes events, reads responses, and reports errors.
type front struct {
	domain     func(s *Server) string // if nil, the client's Host is kept
	event      func(c *call) object
	read       func(payload []byte) (*reply, error) // a buffered response
	refuse     func(err error) refusal
	maxRequest int
	idHeader   string // response header with the request's id; may be ""
	multiValue bool   // whether a prelude may have multiValueHeaders
	remaps     bool   // whether it renames the function's reserved headers; else it drops them
}

// refusal is a service's own error response.
type refusal struct {
	status int
	kind   string // for X-Amzn-Errortype; may be ""
	body   string // sent as HTML if it begins with "<", else as JSON, which it need not be
}

var fronts = map[Front]*front{
	FunctionURL: {
		domain:     func(s *Server) string { return s.id + ".lambda-url." + s.function.Region + ".on.aws" },
		event:      urlEvent,
		read:       readV2,
		refuse:     refuseURL,
		maxRequest: maxEvent,
		idHeader:   "X-Amzn-Requestid",
		remaps:     true,
	},
	HTTPAPI: {
		domain:     gatewayDomain,
		event:      httpAPIEvent,
		read:       readV2,
		refuse:     refuseHTTPAPI,
		maxRequest: 10 << 20,
		idHeader:   "Apigw-Requestid",
	},
	RESTAPI: {
		domain:     gatewayDomain,
		event:      restEvent,
		read:       readV1,
		refuse:     refuseREST,
		maxRequest: 10 << 20,
		idHeader:   "X-Amzn-Requestid",
		multiValue: true,
		remaps:     true,
	},
	ALB: {
		event:      albEvent,
		read:       readALB,
		refuse:     refuseALB,
		maxRequest: maxALB,
	},
	ALBMultiValue: {
		event:      albMultiValueEvent,
		read:       readALBMultiValue,
		refuse:     refuseALB,
		maxRequest: maxALB,
	},
}

func gatewayDomain(s *Server) string {
	return s.id + ".execute-api." + s.function.Region + ".amazonaws.com"
}

func (r refusal) writeTo(w http.ResponseWriter) {
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(r.body, "<") {
		w.Header().Set("Content-Type", "text/html")
	}
	if r.kind != "" {
		w.Header().Set("X-Amzn-Errortype", r.kind)
	}
	w.WriteHeader(r.status)
	_, _ = w.Write([]byte(r.body))
}

// maxALB is the largest body of a request or a response.
const maxALB = 1 << 20

// albEvent is the event of a target group without multi-value headers: of several
// values it keeps the last. It decodes nothing.
func albEvent(c *call) object { return c.albEvent("headers", "queryStringParameters", last) }

// albMultiValueEvent is the event of a target group with multi-value headers.
func albMultiValueEvent(c *call) object {
	return c.albEvent("multiValueHeaders", "multiValueQueryStringParameters", all)
}

func (c *call) albEvent(headers, query string, join func([]string) any) object {
	group := "arn:aws:elasticloadbalancing:" + c.function.Region + ":" + account + ":targetgroup/" + c.function.Name +
		"/6d0ecf831eec9f09"
	event := object{
		"requestContext": object{"elb": object{"targetGroupArn": group}},
		"httpMethod":     c.req.Method,
		"path":           c.rawPath(),
		headers:          c.lower(join),
		query:            parseQuery(c.req.URL.RawQuery, verbatim).object(join),
	}
	c.setBody(event, c.isBinary())
	return event
}

func readALB(payload []byte) (*reply, error) { return parseALB(payload, (*reply).setSingle) }

func readALBMultiValue(payload []byte) (*reply, error) { return parseALB(payload, (*reply).setMulti) }

// parseALB parses a response, which must have a statusCode, and sets its headers
// with set.
func parseALB(payload []byte, set func(*reply, *proxyResponse)) (*reply, error) {
	if len(payload) > maxALB {
		return nil, fmt.Errorf("%w: %d bytes", errMalformed, len(payload))
	}
	return parseStrict(payload, set)
}

func refuseALB(err error) refusal {
	status := http.StatusBadGateway
	if errors.Is(err, errRequestTooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return refusal{status, "", "<html>\r\n<head><title>" + text + "</title></head>\r\n" +
		"<body>\r\n<center><h1>" + text + "</h1></center>\r\n</body>\r\n</html>\r\n"}
}
