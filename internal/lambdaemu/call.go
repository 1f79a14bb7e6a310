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

// maxEvent is how large an event may be, base64 and all.
const maxEvent = 6 << 20

var errRequestTooLarge = errors.New("the request is larger than Lambda takes")

// call is one request as the service sees it.
type call struct {
	function Function
	req      *http.Request
	header   http.Header // what the function gets of it, with canonical names
	body     []byte
	id       string // of the request; a function URL's is the invocation's, too
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
		// A client that is still writing would not read the answer.
		_, _ = io.Copy(io.Discard, req.Body)
		return nil, errRequestTooLarge
	}
	c.body = body
	c.setHeader()
	return c, nil
}

// setHeader takes from the request what ends at a proxy, and adds what one knows.
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

// canonical returns the header with canonical names and joined values.
func (c *call) canonical(join func([]string) any) object {
	o := object{}
	for name, values := range c.header {
		o[name] = join(values)
	}
	return o
}

// lower returns the header with lower-case names and joined values.
func (c *call) lower(join func([]string) any) object {
	o := object{}
	for name, values := range c.header {
		o[strings.ToLower(name)] = join(values)
	}
	return o
}

// The ways to make one of several values.
func joined(values []string) any { return strings.Join(values, ",") }
func last(values []string) any   { return values[len(values)-1] }
func all(values []string) any    { return values }

// rawPath returns the path as it stands in the request line.
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

// setBody sets the members that every kind of event has for the body.
func (c *call) setBody(event object, binary bool) {
	event["isBase64Encoded"] = binary
	if binary {
		event["body"] = base64.StdEncoding.EncodeToString(c.body)
	} else {
		event["body"] = string(c.body)
	}
}

// isBinary reports whether the services put the body into base64. They go by
// what the headers say, not by what the bytes are.
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

// encode writes v as the services do: characters as they are. Bytes that are
// no characters become U+FFFD.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only ever our own maps
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// query is the parameters of a query.
type query map[string][]string

// parseQuery takes every query: what cannot be decoded stays as it is.
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

// object returns one member per name; without names it is null.
func (q query) object(join func([]string) any) object {
	if len(q) == 0 {
		return nil
	}
	o := object{}
	for name, values := range q {
		o[name] = join(values)
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
