package lambdaemu

import (
	"errors"
	"fmt"
	"net/http"
)

// maxALB is how large the body of a request and an answer may be.
const maxALB = 1 << 20

// albEvent is the event of a target group that has no multi-value headers: of
// several values it keeps the last. It decodes nothing.
func albEvent(c *call) object {
	event := c.albEvent()
	event["headers"] = c.lower(last)
	event["queryStringParameters"] = parseQuery(c.req.URL.RawQuery, verbatim).object(last)
	return event
}

// albMultiValueEvent is that of one that has them, and then no others.
func albMultiValueEvent(c *call) object {
	event := c.albEvent()
	event["multiValueHeaders"] = c.lower(all)
	event["multiValueQueryStringParameters"] = parseQuery(c.req.URL.RawQuery, verbatim).object(all)
	return event
}

func (c *call) albEvent() object {
	group := "arn:aws:elasticloadbalancing:" + c.function.Region + ":" + account + ":targetgroup/" + c.function.Name +
		"/6d0ecf831eec9f09"
	event := object{
		"requestContext": object{"elb": object{"targetGroupArn": group}},
		"httpMethod":     c.req.Method,
		"path":           c.rawPath(),
	}
	c.setBody(event, c.isBinary())
	return event
}

func readALB(payload []byte) (*reply, error) {
	a, r, err := parseALB(payload)
	if err != nil {
		return nil, err
	}
	r.setSingle(a)
	return r, nil
}

func readALBMultiValue(payload []byte) (*reply, error) {
	a, r, err := parseALB(payload)
	if err != nil {
		return nil, err
	}
	r.setMulti(a)
	return r, nil
}

func parseALB(payload []byte) (*proxyAnswer, *reply, error) {
	if len(payload) > maxALB {
		return nil, nil, fmt.Errorf("%w: %d bytes", errMalformed, len(payload))
	}
	a, r, err := parseReply(payload)
	if err == nil && a.StatusCode == nil {
		err = fmt.Errorf("%w: no statusCode", errMalformed)
	}
	return a, r, err
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
