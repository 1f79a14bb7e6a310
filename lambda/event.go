package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// An event is any event that Lambda delivers, decoded once: the fields of
// function URLs and HTTP APIs (payload 2.0), REST APIs (payload 1.0) and ALBs
// together. Fields that an event does not have stay empty.
type event struct {
	RawPath                         string              `json:"rawPath"`
	RawQueryString                  string              `json:"rawQueryString"`
	HTTPMethod                      string              `json:"httpMethod"`
	Path                            string              `json:"path"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	Body                            string              `json:"body"`
	IsBase64Encoded                 bool                `json:"isBase64Encoded"`
	RequestContext                  struct {
		ELB        *struct{} `json:"elb"`
		DomainName string    `json:"domainName"`
		Stage      string    `json:"stage"`
		Identity   struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
		HTTP *struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`

	err error // why the event could not be decoded in full
}

// UnmarshalJSON decodes what it can and keeps the error: a malformed event
// gets a response rather than an error of the function. Bytes that are not UTF-8, which
// come from header values, are characters of ISO 8859-1, as in responses.
func (e *event) UnmarshalJSON(data []byte) error {
	type plain event
	if !utf8.Valid(data) {
		data = []byte(fromLatin1(string(data)))
	}
	e.err = json.Unmarshal(data, (*plain)(e))
	return nil
}

// A kind is the source of an event, which decides the form of the response.
type kind int

const (
	kindOther kind = iota // not an HTTP request: a schedule, a test
	kindFunctionURL
	kindHTTPAPI
	kindREST
	kindALB
)

// kind returns the kind of the event, judged by its shape: no field names it.
func (e *event) kind() kind {
	switch {
	case e.RequestContext.ELB != nil:
		return kindALB
	case e.RequestContext.HTTP != nil && strings.Contains(e.RequestContext.DomainName, ".lambda-url."):
		return kindFunctionURL
	case e.RequestContext.HTTP != nil || e.RawPath != "":
		return kindHTTPAPI
	case e.HTTPMethod != "":
		return kindREST
	}
	return kindOther
}

// request returns the HTTP request in the event, as close to what the client sent
// as the event allows.
func (e *event) request(ctx context.Context) (*http.Request, error) {
	if e.err != nil {
		return nil, e.err
	}
	header, err := e.header()
	if err != nil {
		return nil, err
	}
	u, err := e.url()
	if err != nil {
		return nil, err
	}
	body, length, err := e.body()
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method:        e.method(),
		URL:           u,
		RequestURI:    u.RequestURI(),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Host:          e.host(header),
		RemoteAddr:    e.sourceIP(),
		Body:          body,
		ContentLength: length, // without it, a proxy would send no body
	}
	if req.Method == "" {
		return nil, errors.New("no method")
	}
	return req.WithContext(ctx), nil
}

// body returns the request's body and its length. It frees the encoded body, so
// that memory holds only one copy.
func (e *event) body() (io.ReadCloser, int64, error) {
	if e.Body == "" {
		return http.NoBody, 0, nil
	}
	if !e.IsBase64Encoded {
		return io.NopCloser(strings.NewReader(e.Body)), int64(len(e.Body)), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, 0, errors.New("bad base64")
	}
	e.Body = ""
	return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
}

// host returns the host name that the client called. ALBs pass it in the header
// only.
func (e *event) host(header http.Header) string {
	if hosts := header["Host"]; e.kind() == kindALB && len(hosts) == 1 {
		return hosts[0]
	}
	return e.RequestContext.DomainName
}

func (e *event) method() string {
	if e.RequestContext.HTTP != nil {
		return e.RequestContext.HTTP.Method
	}
	return e.HTTPMethod
}

func (e *event) sourceIP() string {
	if e.RequestContext.HTTP != nil {
		return e.RequestContext.HTTP.SourceIP
	}
	return e.RequestContext.Identity.SourceIP
}

// header returns the request's header. A value that the platform joined with
// commas stays joined: a comma may as well be the client's. Function URLs deliver
// cookies twice; those of the header are enough.
func (e *event) header() (http.Header, error) {
	h := make(http.Header, len(e.Headers)+len(e.MultiValueHeaders))
	for name, values := range e.MultiValueHeaders {
		for _, value := range values {
			h.Add(name, value)
		}
	}
	if len(h) == 0 {
		for name, value := range e.Headers {
			h.Add(name, value)
		}
	}
	for name, values := range h {
		if !isHeaderName(name) || slices.ContainsFunc(values, func(v string) bool { return !isHeaderValue(v) }) {
			return nil, errors.New("bad header")
		}
	}
	h.Del("Expect") // the body is here already
	return h, nil
}

// url returns the request's target. It sets the URL's fields rather than parsing
// host and path joined, as lambdaurl does: a path such as @host/ would become the
// host.
func (e *event) url() (*url.URL, error) {
	raw := e.RawPath
	if raw == "" {
		raw = e.Path
	}
	// HTTP APIs prefix the path with their stage, unless it is the default one or
	// the API has a custom domain.
	if e.kind() == kindHTTPAPI && strings.Contains(e.RequestContext.DomainName, ".execute-api.") {
		if rest, ok := strings.CutPrefix(raw, "/"+e.RequestContext.Stage+"/"); ok {
			raw = "/" + rest
		}
	}
	if !strings.HasPrefix(raw, "/") {
		return nil, errors.New("path is not absolute")
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil, errors.New("bad escape in the path")
	}
	query := e.query()
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, errors.New("bad character in the query")
	}
	return &url.URL{Path: path, RawPath: raw, RawQuery: query}, nil
}

// query returns the raw query. REST APIs deliver decoded parameters and ALBs
// encoded ones, both without their order.
func (e *event) query() string {
	if e.RawQueryString != "" || e.RequestContext.HTTP != nil {
		return e.RawQueryString
	}
	parameters := url.Values(e.MultiValueQueryStringParameters)
	if len(parameters) == 0 {
		parameters = make(url.Values, len(e.QueryStringParameters))
		for name, value := range e.QueryStringParameters {
			parameters.Set(name, value)
		}
	}
	if e.kind() != kindALB {
		return parameters.Encode()
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		for _, value := range parameters[name] {
			pairs = append(pairs, name+"="+value)
		}
	}
	return strings.Join(pairs, "&")
}

// isHeaderName reports whether s is a token of RFC 9110, section 5.6.2.
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isHeaderValue reports whether s has no control characters.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
