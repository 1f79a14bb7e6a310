package check

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

const (
	// streamTries is how often a stream may look buffered: a network that
	// stalls once looks like one that collects answers.
	streamTries = 2

	// streamTime is how long the relay's probe takes, unless its events say.
	streamTime = 400 * time.Millisecond
)

// stream finds out whether events come as they are sent.
func (d *doctor) stream(ctx context.Context) result {
	var t timing
	for range streamTries {
		a, err := d.listen(ctx, &t)
		switch {
		case a != nil && !a.isRelays():
			return d.page(a)
		case a != nil:
			return failure("stream_missing", fmt.Sprintf("a relay, but it answers %d instead of a stream", a.status),
				"update the relay, or see what changes answers on the way")
		case !t.isWhole():
			return t.fault(err)
		case !t.isBuffered():
			return pass(t.text())
		}
	}
	return failure("stream_buffered", "events come all together: "+t.text(), d.unbuffer())
}

// unbuffer says how to get rid of the buffer that is most likely there.
func (d *doctor) unbuffer() string {
	switch where := d.platform + d.health.Platform; {
	case d.proxy != nil:
		return "the proxy may collect answers: add the relay's host to NO_PROXY"
	case strings.Contains(where, "Lambda"):
		return "set the function URL's invoke mode and RELAY_LAMBDA_INVOKE_MODE to RESPONSE_STREAM"
	case strings.Contains(where, cloudflare):
		return "let Cloudflare neither cache nor transform the relay's answers, and see that " +
			"no virus scanner reads along"
	}
	return "see what stands in front: nginx wants proxy_buffering off, a CDN no caching or compression, Lambda " +
		"RESPONSE_STREAM; virus scanners and company firewalls collect answers too"
}

// A timing is when the events of one stream came.
type timing struct {
	arrivals []time.Time
	sent     []time.Duration // by the relay, since its first event
	of       int             // events that the relay sends
	done     bool            // the last word came
}

// listen reads one stream into t, up to the error that it returns. If what
// comes is no stream, it returns the answer.
func (d *doctor) listen(ctx context.Context, t *timing) (*answer, error) {
	*t = timing{}
	res, err := d.client.Do(d.request(ctx, http.MethodGet, healthPath+"?stream=1", "Accept", "text/event-stream"))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || res.Header.Get("X-Relay") == "" || kind != "text/event-stream" {
		return readAnswer(res)
	}
	// Much more than a relay sends, so that a mistaken URL comes to an end.
	lines := bufio.NewScanner(io.LimitReader(res.Body, 64<<10))
	for lines.Scan() {
		t.read(lines.Text(), time.Now())
	}
	return nil, lines.Err()
}

// read takes in a line that came at now.
func (t *timing) read(line string, now time.Time) {
	data, ok := strings.CutPrefix(line, "data:")
	if !ok {
		return
	}
	data = strings.TrimSpace(data)
	var event struct {
		Of int   `json:"of"`
		At int64 `json:"at_ms"`
	}
	switch {
	case data == "[DONE]":
		t.done = true
	case json.Unmarshal([]byte(data), &event) == nil && event.Of > 0:
		t.of = event.Of
		t.arrivals = append(t.arrivals, now)
		t.sent = append(t.sent, time.Duration(event.At)*time.Millisecond)
	}
}

// isWhole reports whether everything came that was sent.
func (t *timing) isWhole() bool { return t.done && t.of > 0 && len(t.arrivals) == t.of }

// fault says what is wrong with a stream that is not whole and ended with err.
func (t *timing) fault(err error) result {
	switch {
	case err != nil && len(t.arrivals) > 0 && timedOut(err):
		return failure("stream_stalled", "the stream stalls: "+t.text(),
			"something on the way holds events back; try again with a longer -timeout")
	case err != nil && len(t.arrivals) == 0:
		return explain("http", err)
	}
	return failure("stream_truncated", "the stream breaks off: "+t.text(),
		"something on the way ends answers early: see the time-outs of the platform and of what stands in front")
}

// isBuffered reports whether the events came within less than half of the time
// in which they were sent. The spread of all tells it best: single gaps are at
// the mercy of the network.
func (t *timing) isBuffered() bool {
	last := len(t.arrivals) - 1
	sent := t.sent[last] - t.sent[0]
	if sent <= 0 {
		sent = streamTime
	}
	return t.arrivals[last].Sub(t.arrivals[0]) < sent/2
}

// text says what came, and in which gaps.
func (t *timing) text() string {
	if len(t.arrivals) < 2 {
		return fmt.Sprintf("%d events", len(t.arrivals))
	}
	least, most := time.Duration(1<<62), time.Duration(0)
	for i, at := range t.arrivals[1:] {
		gap := at.Sub(t.arrivals[i])
		least, most = min(least, gap), max(most, gap)
	}
	spread := t.arrivals[len(t.arrivals)-1].Sub(t.arrivals[0])
	return fmt.Sprintf("%d of %d events over %d ms, gaps of %d to %d ms",
		len(t.arrivals), t.of, spread.Milliseconds(), least.Milliseconds(), most.Milliseconds())
}
