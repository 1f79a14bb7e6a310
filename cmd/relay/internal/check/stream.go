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

	"example.com/relay/core/protocol"
)

const (
	// streamAttempts is how many streams must look buffered: a network that stalls
	// once looks like one that buffers responses.
	streamAttempts = 2

	// streamDuration is how long the relay takes to send its events, unless their
	// at_ms differ.
	streamDuration = 400 * time.Millisecond
)

// stream checks whether events arrive as they are sent.
func (d *doctor) stream(ctx context.Context) result {
	var t timing
	for range streamAttempts {
		res, err := d.listen(ctx, &t)
		switch {
		case res != nil && !res.isRelays():
			return d.page(res)
		case res != nil:
			return failure("stream_missing",
				fmt.Sprintf("a relay, but it responds with %d instead of a stream", res.status),
				"update the relay, or see what changes responses on the way")
		case !t.isWhole():
			return t.fault(err)
		case !t.isBuffered():
			return pass(t.text())
		}
	}
	return failure("stream_buffered", "events arrive all together: "+t.text(), d.unbuffer())
}

// unbuffer returns how to turn off the most likely buffer.
func (d *doctor) unbuffer() string {
	switch where := d.platform + d.health.Platform; {
	case d.proxy != nil:
		return "the proxy may buffer responses: add the relay's host to NO_PROXY"
	case strings.Contains(where, "Lambda"):
		return "set the function URL's invoke mode and RELAY_LAMBDA_INVOKE_MODE to RESPONSE_STREAM"
	case strings.Contains(where, cloudflare):
		return "let Cloudflare neither cache nor transform the relay's responses, and make sure that " +
			"no virus scanner inspects them"
	}
	return "see what is in front: nginx needs proxy_buffering off, a CDN no caching or compression, Lambda " +
		"RESPONSE_STREAM; virus scanners and company firewalls buffer responses too"
}

// A timing records when the events of one stream arrived.
type timing struct {
	arrivals []time.Time
	sent     []time.Duration // by the relay, since its first event
	of       int             // how many events the relay sends
	done     bool            // [DONE] arrived
}

// listen reads one stream into t and returns the error that ended it, if any. If
// the response is not a stream, listen returns it instead.
func (d *doctor) listen(ctx context.Context, t *timing) (*response, error) {
	*t = timing{}
	const path = protocol.HealthPath + "?stream=1"
	res, err := d.client.Do(d.request(ctx, http.MethodGet, path, "Accept", "text/event-stream"))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || res.Header.Get(protocol.Marker) == "" || kind != "text/event-stream" {
		return readResponse(res)
	}
	// Much more than a relay sends, so that an endless stream of another server ends.
	lines := bufio.NewScanner(io.LimitReader(res.Body, 64<<10))
	for lines.Scan() {
		t.read(lines.Text(), time.Now())
	}
	return nil, lines.Err()
}

// read parses a line that arrived at now.
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

// isWhole reports whether everything that was sent has arrived.
func (t *timing) isWhole() bool { return t.done && t.of > 0 && len(t.arrivals) == t.of }

// fault explains a stream that is not whole and ended with err.
func (t *timing) fault(err error) result {
	switch {
	case err != nil && len(t.arrivals) > 0 && timedOut(err):
		return failure("stream_stalled", "the stream stalls: "+t.text(),
			"something on the way holds events back; retry with a longer -timeout")
	case err != nil && len(t.arrivals) == 0:
		return explain("http", err)
	}
	return failure("stream_truncated", "the stream is truncated: "+t.text(),
		"something on the way ends responses early: see the timeouts of the platform and of what is in front")
}

// isBuffered reports whether the events arrived within less than half of the time
// in which they were sent. Single gaps vary too much with the network.
func (t *timing) isBuffered() bool {
	last := len(t.arrivals) - 1
	sent := t.sent[last] - t.sent[0]
	if sent <= 0 {
		sent = streamDuration
	}
	return t.arrivals[last].Sub(t.arrivals[0]) < sent/2
}

// text describes what arrived, and in which gaps.
func (t *timing) text() string {
	if len(t.arrivals) < 2 {
		return fmt.Sprintf("%d events", len(t.arrivals))
	}
	shortest, longest := time.Duration(1<<62), time.Duration(0)
	for i, at := range t.arrivals[1:] {
		gap := at.Sub(t.arrivals[i])
		shortest, longest = min(shortest, gap), max(longest, gap)
	}
	spread := t.arrivals[len(t.arrivals)-1].Sub(t.arrivals[0])
	return fmt.Sprintf("%d of %d events over %d ms, gaps of %d to %d ms",
		len(t.arrivals), t.of, spread.Milliseconds(), shortest.Milliseconds(), longest.Milliseconds())
}
