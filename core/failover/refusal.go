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

// refusalKnown is how long the result of a check is valid.
const refusalKnown = 5 * time.Second

// A refusal remembers whether the API refuses an upstream's region. It is safe
// for concurrent use.
type refusal struct {
	mu    sync.Mutex // held during a check
	is    bool
	asked time.Time
}

// saysRefused reports whether a response has a relay's header that the API refused the
// relay's region. The caller must know that the upstream is a relay.
func saysRefused(res *http.Response) bool {
	return res.StatusCode == http.StatusForbidden && res.Header.Get(protocol.Refusal) == protocol.RegionRefused
}

// isRefusal reports whether a 403 is the API's refusal of a region. It is false if the
// body cannot be read.
func isRefusal(res *http.Response) bool {
	text, _ := head(res)
	return errorCode(text) == protocol.RegionRefused
}

// RefusesRegion reports whether res, a response from the pool to a request that was
// sent as sent says, is the API's refusal to serve the region. It peeks into the body
// of a 403, which remains unread. If it cannot decode the body, it sends a keyless
// request to the API.
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

// isUnreadable reports whether the body of a refusal cannot be read: its encoding is
// unknown, or not the one in its header.
func isUnreadable(res *http.Response) bool {
	text, ok := head(res)
	return !ok || isJSON(res) && !json.Valid(text)
}

// findsRefusal reports whether res, whose body cannot be read, is the API's refusal of
// the region. The API refuses a region before it looks at the request, so it refuses
// the pool's own request as well, in an encoding that can be read. A relay is not
// checked, since it reports a refusal in a header.
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

// isRefused requests the API's models without a key, and reports whether the API
// refuses the region. A 403 that cannot be read, although the request accepts no
// encoding, counts as a refusal too: in a supported region the API returns 401.
func (p *Pool) isRefused(ctx context.Context, u *upstream) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cn, err := u.connections.ConnectHeld(ctx)
	if err != nil {
		return false
	}
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
