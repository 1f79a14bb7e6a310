package failover

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"example.com/relay/core/protocol"
)

// refusalKnown is how long it is known whether the API refuses an upstream's
// region.
const refusalKnown = 5 * time.Second

// A refusal remembers whether the API refuses an upstream's region. It is safe
// for concurrent use.
type refusal struct {
	mu    sync.Mutex // held while the API is asked
	is    bool
	asked time.Time
}

// saysRefused reports whether a response says, in a relay's header, that the API
// refused the relay's region. Only a relay's word counts.
func saysRefused(res *http.Response) bool {
	return res.StatusCode == http.StatusForbidden && res.Header.Get(protocol.Refusal) == protocol.RegionRefused
}

// isRefusal reports whether a 403 is the API's refusal of a region, as far as its
// body can be read.
func isRefusal(res *http.Response) bool {
	text, _ := head(res)
	return errorCode(text) == protocol.RegionRefused
}

// RefusesRegion reports whether res, a response of the pool's that was sent as
// sent says, is the API's refusal to serve the region. It looks into the body of a
// 403, which stays unread. If that is in an encoding which it cannot undo, it asks
// the API for something that needs no key.
func (p *Pool) RefusesRegion(ctx context.Context, res *http.Response, sent Result) bool {
	u := sent.from
	switch {
	case res.StatusCode != http.StatusForbidden || u == nil:
		return false
	case isRefusal(res):
		return true
	case u.isRelay():
		return saysRefused(res)
	}
	return p.findsRefusal(ctx, u, res)
}

// isUnreadable reports whether the body of a refusal cannot be read: its encoding
// is unknown, or is not what it says.
func isUnreadable(res *http.Response) bool {
	text, ok := head(res)
	return !ok || isJSON(res) && !json.Valid(text)
}

// findsRefusal reports whether res, whose body cannot be read, is the API's
// refusal of the region. The API refuses it before it looks at the request, so it
// refuses a request of the pool's own as well, in an encoding that can be read. A
// relay is not asked: it says so in a header.
func (p *Pool) findsRefusal(ctx context.Context, u *upstream, res *http.Response) bool {
	if res.StatusCode != http.StatusForbidden || res.Header.Get(protocol.Marker) != "" ||
		!isUnreadable(res) {
		return false
	}
	r := &u.refusal
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked.IsZero() || time.Since(r.asked) > refusalKnown {
		r.is, r.asked = p.isRefused(ctx, u), time.Now()
	}
	return r.is
}

// isRefused asks the API for its models, without a key. It is a refusal, too, if
// the API answers with a 403 that cannot be read although it was asked for one that
// can: elsewhere it would miss the key first, with a 401.
func (p *Pool) isRefused(ctx context.Context, u *upstream) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cn, err := u.connections.Connect(ctx, false)
	if err != nil {
		return false
	}
	cn.Hold(true)
	defer u.connections.Drop(cn)
	req := (&http.Request{
		Method: http.MethodGet, URL: u.url(&url.URL{Path: "/v1/models"}), Host: u.base.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: u.header(http.Header{
			"User-Agent": {"relay-probe"}, "Accept": {"application/json"}, "Accept-Encoding": {"identity"},
		}),
	}).WithContext(ctx)
	res, err := cn.RoundTrip(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusForbidden &&
		(isUnreadable(res) || isRefusal(res))
}
