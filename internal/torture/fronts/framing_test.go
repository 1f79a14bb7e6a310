package fronts

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/torture"
)

// TestFraming has upstreams that make the relay take one message for another, or
// accept too much of one.
func TestFraming(t *testing.T) {
	runRows(t, []row{
		{"D31", "a request hidden in a body that an upstream refuses to read", all, nil, nil, hiddenRequest},
		{"D32", "31,000 header lines from the upstream", all, nil, nil, responseLines},
		{"D33", "a region that responds amid an upload", []string{gateway},
			excepting("there is one upstream, so nothing is retried", local, lambda, buffered, gcf, vercel), nil,
			amidUpload},
		{"D34", "errors that trickle forever", []string{gateway},
			excepting("there is one upstream, so nothing is read ahead of the client", local, lambda, buffered, gcf,
				vercel),
			nil, trickledErrors},
		{"D35", "a response id that is a path", []string{gateway},
			excepting("there is one upstream, so nothing is resumed", local, lambda, buffered, gcf, vercel), nil,
			foreignIDs},
	})
}

// hiddenRequest has an upstream that responds to requests with Expect: 100-continue
// without reading their bodies, and takes the body for the next request.
func hiddenRequest(r *rig) {
	up := scripted(r, func(c *turn) {
		for {
			req, err := http.ReadRequest(c.Reader)
			if err != nil {
				return
			}
			c.s.requests.Add(1)
			if req.Header.Get("Expect") == "" {
				_, _ = io.Copy(io.Discard, req.Body)
			} else {
				time.Sleep(1100 * time.Millisecond) // longer than clients wait for a 100
			}
			text := fmt.Sprintf("{%q:%q}", "path", req.URL.Path)
			c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				len(text), text))
		}
	})
	r.start(up.URL)
	hidden := "GET /v1/hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, expect := range []string{"100-continue", "100-continue, x", "x 100-continue"} {
		a := r.send("POST", chatPath, hidden, "Expect", expect)
		if a.status != 200 || !strings.Contains(a.body, chatPath) {
			r.Errorf("Expect %q: got %v", expect, a)
		}
		for range 3 {
			if a := r.send("GET", "/v1/models", ""); a.status != 200 || !strings.Contains(a.body, "/v1/models") {
				r.Fatalf("the client after Expect %q got %v", expect, a)
			}
		}
	}
}

func responseLines(r *rig) {
	for _, test := range []struct {
		lines int
		good  bool
	}{{400, true}, {600, false}, {31000, false}} {
		up := responding(r, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"+
			strings.Repeat("a:\r\n", test.lines)+"\r\n{}", false)
		r.start(up.URL)
		a := r.send("POST", chatPath, chat)
		if test.good && (a.status != 200 || a.body != "{}") {
			r.Errorf("%d lines: got %v", test.lines, a)
		}
		if r.is(worker) && a.status == 200 && a.body == "{}" {
			continue
		}
		if !test.good {
			r.wantError(a, http.StatusBadGateway, "upstream_reset")
		}
	}
}

// amidUpload sends bodies of which the first region reads a part before it
// responds. The next one must get all or nothing.
func amidUpload(r *rig) {
	whole := 0
	for run := range torture.Pick(8, 40) {
		size := []int{300 << 10, 1<<20 + 4042, 2 << 20}[run%3]
		var b strings.Builder
		for b.Len() < size {
			fmt.Fprintf(&b, "%08d", b.Len())
		}
		body := b.String()
		first := scripted(r, func(c *turn) {
			for {
				req, err := http.ReadRequest(c.Reader)
				if err != nil {
					return
				}
				_, _ = io.CopyN(io.Discard, req.Body, int64(run*7919%size))
				c.say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
				_, _ = io.Copy(io.Discard, req.Body)
			}
		})
		second := scripted(r, func(c *turn) {
			for {
				req, got, err := c.request()
				if err == io.EOF && got == "" {
					return
				}
				if req != nil && req.URL.Path == "/relay/health" { // for the limit of its bodies
					c.say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
					continue
				}
				if got != body || err != nil {
					r.Errorf("size %d: the second region got %d bytes, %v", size, len(got), err)
					return
				}
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		r.gatewayTo(nil, first, second)
		req := request(r, "POST", r.base+chatPath, body)
		if run%2 == 0 {
			req.ContentLength = -1
		}
		switch a := r.roundTrip(req); a.status {
		case http.StatusOK:
			whole++
		case http.StatusBadGateway, http.StatusServiceUnavailable:
		default:
			r.Errorf("size %d: got %v", size, a)
		}
	}
	r.note(fmt.Sprintf("%d forwarded by the second region, with the whole body", whole))
	if whole == 0 {
		r.Error("the second region was never used")
	}
}

// gatewayTo starts the gateway anew, in front of these upstreams.
func (r *rig) gatewayTo(settings []string, upstreams ...*script) {
	var urls []string
	for _, u := range upstreams {
		urls = append(urls, u.URL)
	}
	r.stop()
	r.base = r.startRelay(append(settings, "RELAY_UPSTREAMS="+strings.Join(urls, ","),
		"RELAY_ACCESS_TOKENS="+canaryToken, "RELAY_PROBE_INTERVAL=off")...)
	r.settle()
}

// trickledErrors has regions that announce a gigabyte of JSON and send a byte of it
// now and then. The gateway must stop reading it, and leave nothing running.
func trickledErrors(r *rig) {
	trickle := func() *script {
		return scripted(r, func(c *turn) {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say("HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{")
			for {
				if _, err := io.WriteString(c.TCPConn, " "); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	r.gatewayTo(nil, trickle(), trickle())
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			start := time.Now()
			if a := r.send("POST", chatPath, chat); a.err == nil && a.status == 200 ||
				time.Since(start) > 15*time.Second {
				r.Errorf("got %v after %v", a, time.Since(start))
			}
		})
	}
	wait.Wait()
	for _, p := range r.processes {
		if !awaitIdle(p.PID()) {
			r.Error("the gateway keeps computing")
		}
	}
}

// foreignIDs has a region whose background response has the path of another resource
// for an id, and whose stream is truncated.
func foreignIDs(r *rig) {
	for _, id := range []string{"../files/file-1/content", "..%2ffiles", "resp_1?x=y", ".."} {
		first := scripted(r, func(c *turn) {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			event := fmt.Sprintf("data: {\"type\":\"response.created\",\"sequence_number\":0,"+
				"\"response\":{\"id\":%q}}\n\n", id)
			c.say(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
		})
		second := scripted(r, func(c *turn) {
			if req, err := http.ReadRequest(c.Reader); err == nil {
				r.Errorf("id %q: the second region got %s %s", id, req.Method, req.URL)
			}
		})
		r.gatewayTo([]string{"RELAY_RESUME_RESPONSES=true"}, first, second)
		a := r.send("POST", "/v1/responses", `{"background":true,"stream":true}`)
		if a.err == nil || !strings.Contains(a.body, `"code":"upstream_interrupted"`) {
			r.Errorf("id %q: got %v, want the error event and a broken end", id, a)
		}
	}
}
