package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// body finds out whether the relay refuses a body that is larger than it says
// it takes, without uploading one: it announces the size, and asks to be told
// to go on (RFC 9110, section 10.1.1).
func (d *doctor) body(ctx context.Context) result {
	limit := d.health.MaxBodyBytes
	if !d.admitted {
		return skipped("not_tried", "not tried, as access failed")
	}
	if limit <= 0 {
		return skipped("body_untold", "this relay does not tell its limit")
	}
	body := new(askedBody)
	req := d.authorized(d.request(ctx, http.MethodPost, "/v1/chat/completions",
		"Content-Type", "application/json", "Expect", "100-continue"))
	req.Body, req.ContentLength = body, limit+1
	a, err := d.ask(req)
	return judgeLimit("the relay says up to "+bytesText(limit), body.asked.Load(), a, err)
}

// judgeLimit says what came of announcing a body over the limit.
func judgeLimit(said string, asked bool, a *answer, err error) result {
	switch {
	case asked:
		return skipped("body_untold", said+"; something in front takes bodies before it asks the relay")
	case err != nil && timedOut(err):
		return skipped("body_untold", said+"; nothing answers before the body comes")
	case err != nil:
		return explain("http", err)
	case a.relayError() == "body_too_large" && !a.isUpstreams():
		return pass(said + ", and refuses what is larger")
	case a.status == http.StatusRequestEntityTooLarge:
		return warning("body_platform",
			said+", but what is larger gets the platform's own page, which does not explain itself",
			"nothing has to be done; with RELAY_MAX_BODY_BYTES below the platform's limit the relay explains it")
	}
	return skipped("body_untold", fmt.Sprintf("%s; a larger one is answered %d", said, a.status))
}

// An askedBody notes that it was asked for, and gives nothing.
type askedBody struct{ asked atomic.Bool }

var errAsked = errors.New("body was asked for")

func (b *askedBody) Read([]byte) (int, error) {
	b.asked.Store(true)
	return 0, errAsked
}

// Close does nothing.
func (b *askedBody) Close() error { return nil }

// bytesText writes n in the largest binary unit that is exact to a tenth.
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
