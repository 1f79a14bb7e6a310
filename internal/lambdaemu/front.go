package lambdaemu

import (
	"net/http"
	"strconv"
	"strings"
)

// front is how a service writes events, reads answers, and refuses.
type front struct {
	domain     func(s *Server) string // if nil, the client's Host is kept
	event      func(c *call) object
	read       func(payload []byte) (*reply, error) // a buffered answer
	refuse     func(err error) refusal
	maxRequest int
	idHeader   string // of the answer; may be ""
	multiValue bool   // whether a prelude may have multiValueHeaders
	remaps     bool   // whether it renames the headers that are its own, or drops them
}

// refusal is what a service says itself.
type refusal struct {
	status int
	kind   string // for X-Amzn-Errortype; may be ""
	body   string // HTML if it begins so, else JSON or what is said to be
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
