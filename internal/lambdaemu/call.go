package lambdaemu

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxEvent is the largest event, including what base64 adds.
const maxEvent = 6 << 20

var errRequestTooLarge = errors.New("the request is larger than Lambda accepts")

// call is one request as the service sees it.
type call struct {
	function Function
	req      *http.Request
	header   http.Header // as the function gets it, with canonical names
	body     []byte
	id       string // of the request, and of the invocation
	trace    string
	domain   string
	client   string // its address, without the port
	at       time.Time
}

// object is a JSON object.
type object = map[string]any

func (s *Server) newCall(req *http.Request) (*call, error) {
	c := &call{
		function: s.function,
		req:      req,
		id:       newRequestID(),
		trace:    newTraceID(),
		domain:   req.Host,
		at:       time.Now().UTC(),
	}
	if s.front.domain != nil {
		c.domain = s.front.domain(s)
	}
	c.client, _, _ = net.SplitHostPort(req.RemoteAddr)
	if c.client == "" {
		c.client = "127.0.0.1"
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, int64(s.front.maxRequest)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > s.front.maxRequest {
		// A client that is still writing would not read the response.
		_, _ = io.Copy(io.Discard, req.Body)
		return nil, errRequestTooLarge
	}
	c.body = body
	c.setHeader()
	return c, nil
}

// setHeader removes the hop-by-hop headers, and adds those that a proxy adds.
func (c *call) setHeader() {
	h := c.req.Header.Clone()
	for _, listed := range h.Values("Connection") {
		for name := range strings.SplitSeq(listed, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	} {
		h.Del(name)
	}
	if len(c.body) > 0 || h.Get("Content-Length") != "" {
		h.Set("Content-Length", strconv.Itoa(len(c.body)))
	}
	if client := h.Get("X-Amzn-Trace-Id"); strings.HasPrefix(client, "Root=") {
		c.trace = client
	}
	h.Set("Host", c.domain)
	h.Set("X-Amzn-Trace-Id", c.trace)
	h.Set("X-Forwarded-For", strings.Join(append(h.Values("X-Forwarded-For"), c.client), ", "))
	h.Set("X-Forwarded-Port", "443")
	h.Set("X-Forwarded-Proto", "https")
	c.header = h
}

// lower returns the header with lower-case names and joined values.
func (c *call) lower(join func([]string) any) object {
	o := object{}
	for name, values := range c.header {
		o[strings.ToLower(name)] = join(values)
	}
	return o
}

// The ways to join several values.
func joined(values []string) any { return strings.Join(values, ",") }
func last(values []string) any   { return values[len(values)-1] }
func all(values []string) any    { return values }

// rawPath returns the path as written in the request line.
func (c *call) rawPath() string {
	path, _, _ := strings.Cut(c.req.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // absolute form, or *
		path = c.req.URL.EscapedPath()
	}
	if path == "" {
		return "/"
	}
	return path
}

// setBody sets the fields that every kind of event has for the body.
func (c *call) setBody(event object, binary bool) {
	event["isBase64Encoded"] = binary
	if binary {
		event["body"] = base64.StdEncoding.EncodeToString(c.body)
	} else {
		event["body"] = string(c.body)
	}
}

// isBinary reports whether the services encode the body as base64. They decide by
// the headers, not by the bytes.
func (c *call) isBinary() bool {
	return len(c.body) > 0 && (c.header.Get("Content-Encoding") != "" || !isText(c.header.Get("Content-Type")))
}

func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && media == "" {
		return false
	}
	return strings.HasPrefix(media, "text/") ||
		strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") ||
		slices.Contains([]string{"application/json", "application/javascript", "application/xml"}, media)
}

// encode encodes v as the services do, without escaping HTML. Bytes that are not
// UTF-8 become U+FFFD.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // v is always one of our own maps
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// query holds the parameters of a query string.
type query map[string][]string

// parseQuery accepts every query: what cannot be decoded stays as it is.
func parseQuery(raw string, decode func(string) (string, error)) query {
	q := query{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = decoded(name, decode), decoded(value, decode)
		q[name] = append(q[name], value)
	}
	return q
}

// object returns one field per name, or null if there are none.
func (q query) object(join func([]string) any) object {
	if len(q) == 0 {
		return nil
	}
	return fields(q, join)
}

// fields returns an object with one field per name.
func fields(values map[string][]string, join func([]string) any) object {
	o := object{}
	for name, v := range values {
		o[name] = join(v)
	}
	return o
}

func decoded(s string, decode func(string) (string, error)) string {
	if d, err := decode(s); err == nil {
		return d
	}
	return s
}

// verbatim decodes nothing.
func verbatim(s string) (string, error) { return s, nil }
