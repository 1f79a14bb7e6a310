package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// body checks whether the relay refuses a body above its max size, without
// uploading one: it announces the size and waits for 100 Continue (RFC 9110,
// section 10.1.1).
func (d *doctor) body(ctx context.Context) result {
	limit := d.health.MaxBodyBytes
	if !d.admitted {
		return skipped("not_tried", "not tried, as access failed")
	}
	if limit <= 0 {
		return skipped("body_untold", "this relay does not state its limit")
	}
	body := new(probeBody)
	req := d.authorized(d.request(ctx, http.MethodPost, "/v1/chat/completions",
		"Content-Type", "application/json", "Expect", "100-continue"))
	req.Body, req.ContentLength = body, limit+1
	res, err := d.send(req)
	return judgeLimit("the relay accepts bodies up to "+bytesText(limit), body.wasRead.Load(), res, err)
}

// judgeLimit explains what announcing a body over the limit led to. The limit is
// what the relay states, and wasRead whether the body was asked for.
func judgeLimit(limit string, wasRead bool, res *response, err error) result {
	switch {
	case wasRead:
		return skipped("body_untold", limit+"; something in front reads bodies before it asks the relay")
	case err != nil && timedOut(err):
		return skipped("body_untold", limit+"; no response comes before the body is sent")
	case err != nil:
		return explain("http", err)
	case res.relayError() == "body_too_large" && !res.isUpstreams():
		return pass(limit + ", and refuses larger ones")
	case res.status == http.StatusRequestEntityTooLarge:
		return warning("body_platform",
			limit+", but larger ones get the platform's own page, which does not explain the error",
			"optional: with RELAY_MAX_BODY_BYTES below the platform's limit, the relay explains it")
	}
	return skipped("body_untold", fmt.Sprintf("%s; a larger one gets %d", limit, res.status))
}

// A probeBody records that it was read, and fails.
type probeBody struct{ wasRead atomic.Bool }

var errProbeBody = errors.New("the body was read")

func (b *probeBody) Read([]byte) (int, error) {
	b.wasRead.Store(true)
	return 0, errProbeBody
}

// Close does nothing.
func (b *probeBody) Close() error { return nil }

// bytesText formats n in the largest binary unit that needs at most one decimal.
func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 20, " MiB"}, {1 << 10, " KiB"}} {
		if n >= unit.size && n*10%unit.size == 0 {
			return strconv.FormatFloat(float64(n)/float64(unit.size), 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
