// Package vectors runs requests on whose outcome two implementations of the relay
// must agree: core in Go and cloudflare/worker.js. Core's tests write core's
// decisions as JSON, and the Worker's tests compare theirs.
package vectors

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/core/protocol"
)

// A Vector is a request to a relay and the decision on it. In its strings {upstream}
// stands for the upstream's base URL and {host} for the relay's host and port.
type Vector struct {
	Name     string    `json:"name"`
	Settings []string  `json:"settings,omitempty"` // RELAY_*; RELAY_UPSTREAMS by default is {upstream}
	Request  Message   `json:"request"`
	Response *Message  `json:"response,omitempty"` // the upstream's; nil: 200
	Want     *Decision `json:"want"`
}

// A Message is a request or a response.
type Message struct {
	Method  string   `json:"method,omitempty"`
	Target  string   `json:"target,omitempty"`
	Status  int      `json:"status,omitempty"`
	Headers []string `json:"headers,omitempty"` // lines
	Body    string   `json:"body,omitempty"`
	Silence int      `json:"silence_ms,omitempty"` // after the body
	Cut     bool     `json:"cut,omitempty"`        // the connection ends before the message does
}

// A Decision is how a relay handled a request.
type Decision struct {
	Status   int      `json:"status"`
	Code     string   `json:"code,omitempty"`     // of the relay's own errors
	Headers  []string `json:"headers"`            // of the response, sorted
	Upstream *Message `json:"upstream,omitempty"` // what the upstream got; nil: nothing
	Body     string   `json:"body,omitempty"`     // of a response that the upstream cut
}

// Diff returns how got differs from want, line by line, or "".
func Diff(got, want *Decision) string {
	g, w := got.lines(), want.lines()
	var b strings.Builder
	for _, line := range g {
		if !slices.Contains(w, line) {
			b.WriteString("  got  " + line + "\n")
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) {
			b.WriteString("  want " + line + "\n")
		}
	}
	return b.String()
}

func (d *Decision) lines() []string {
	list := []string{fmt.Sprint("status ", d.Status), "code " + d.Code, fmt.Sprintf("body %q", d.Body)}
	list = append(list, d.Headers...)
	if d.Upstream == nil {
		return append(list, "nothing upstream")
	}
	list = append(list, "upstream: "+d.Upstream.Method+" "+d.Upstream.Target, "upstream body: "+d.Upstream.Body)
	for _, line := range d.Upstream.Headers {
		list = append(list, "upstream: "+line)
	}
	return list
}

const keepalive = ": keepalive\n"

// A Runner runs vectors against relays, which it starts when needed.
type Runner struct {
	serve  func(t *testing.T, settings []string) (url string)
	relays map[string]string // URLs by settings
	up     *httptest.Server

	mu       sync.Mutex
	response *Message // the upstream's next
	got      *Message // the upstream's last request
}

// NewRunner returns a Runner whose relays are started by serve.
func NewRunner(t *testing.T, serve func(t *testing.T, settings []string) (url string)) *Runner {
	r := &Runner{serve: serve, relays: make(map[string]string)}
	r.up = httptest.NewUnstartedServer(http.HandlerFunc(r.upstream))
	r.up.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.up.Start()
	t.Cleanup(r.up.Close)
	return r
}

// Run sends v's request to a relay and returns the decision.
func (r *Runner) Run(t *testing.T, v Vector) *Decision {
	t.Helper()
	settings := strings.ReplaceAll(strings.Join(v.Settings, "\n"), "{upstream}", r.up.URL)
	if !strings.Contains(settings, "RELAY_UPSTREAMS=") {
		settings += "\nRELAY_UPSTREAMS=" + r.up.URL
	}
	url, ok := r.relays[settings]
	if !ok {
		url = strings.TrimSuffix(r.serve(t, strings.Fields(settings)), "/")
		r.relays[settings] = url
	}
	r.mu.Lock()
	r.response, r.got = v.Response, nil
	r.mu.Unlock()
	d := r.send(t, strings.TrimPrefix(url, "http://"), v.Request, v.Response != nil && v.Response.Cut)
	r.mu.Lock()
	defer r.mu.Unlock()
	d.Upstream = r.got
	return d
}

// upstream records the request and sends the vector's response.
func (r *Runner) upstream(w http.ResponseWriter, req *http.Request) {
	if strings.HasSuffix(req.URL.Path, protocol.HealthPath) { // only core asks upstreams for it
		http.NotFound(w, req)
		return
	}
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = &Message{Method: req.Method, Target: req.RequestURI, Headers: lines(req.Header, "Connection"),
		Body: string(body)}
	if r.response == nil {
		r.response = &Message{Status: http.StatusOK, Headers: []string{"Content-Type: application/json"}, Body: "{}"}
	}
	for _, line := range r.response.Headers {
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Add(name, strings.ReplaceAll(value, "{upstream}", r.up.URL))
	}
	w.WriteHeader(r.response.Status)
	if req.Method != http.MethodHead {
		_, _ = io.WriteString(w, r.response.Body)
	}
	if r.response.Silence == 0 && !r.response.Cut {
		return
	}
	_ = http.NewResponseController(w).Flush()
	time.Sleep(time.Duration(r.response.Silence) * time.Millisecond)
	if r.response.Cut {
		panic(http.ErrAbortHandler)
	}
}

// send writes the request byte for byte.
func (r *Runner) send(t *testing.T, host string, m Message, cut bool) *Decision {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var raw strings.Builder
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\n", m.Method, m.Target)
	for _, line := range m.Headers {
		raw.WriteString(line + "\r\n")
	}
	if !slices.ContainsFunc(m.Headers, func(line string) bool { return strings.HasPrefix(line, "Host: ") }) {
		raw.WriteString("Host: " + host + "\r\n")
	}
	if m.Body != "" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(m.Body))
	}
	raw.WriteString("\r\n" + m.Body)
	_, _ = io.WriteString(conn, strings.ReplaceAll(raw.String(), "{host}", host))
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: m.Method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	d := &Decision{Status: res.StatusCode, Headers: lines(res.Header, "Date", "Connection", "Content-Length",
		"X-Request-Id")}
	if cut {
		if err == nil {
			t.Errorf("%s: the response looks complete", m.Target)
		}
		// Workerd needs a line break more behind the error event, and comments depend on
		// the clock.
		d.Body = strings.TrimRight(string(body), "\n")
		for strings.Contains(d.Body, keepalive+keepalive) {
			d.Body = strings.ReplaceAll(d.Body, keepalive+keepalive, keepalive)
		}
	}
	if protocol.IsByRelay(res.Header.Get(protocol.Marker)) {
		var e struct{ Error struct{ Code string } }
		_ = json.Unmarshal(body, &e)
		d.Code = e.Error.Code
	}
	return d
}

// lines returns h without some headers, sorted. Lists of header names are sorted
// too, and in lower case.
func lines(h http.Header, without ...string) []string {
	list := []string{}
	for name, values := range h {
		if slices.Contains(without, name) {
			continue
		}
		value := strings.Join(values, ", ")
		if name == "Access-Control-Expose-Headers" || name == "Vary" {
			// Whether a page may read these makes no difference.
			value = sorted(value, append(without, "Content-Security-Policy", "X-Content-Type-Options"))
		}
		if name == "Content-Length" && value == "0" {
			continue // net/http sends it for some methods without a body, workerd for more
		}
		value = value[:min(len(value), 500)]
		list = append(list, name+": "+value)
	}
	slices.Sort(list)
	return list
}

func sorted(names string, without []string) string {
	var list []string
	for name := range strings.SplitSeq(names, ",") {
		if name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)); !slices.Contains(without, name) {
			list = append(list, strings.ToLower(name))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
