package core

import (
	"errors"
	"time"

	"example.com/relay/core/failover"
)

// A Request is what [Config.Observe] gets of a request that was served: nothing of
// its header, query or body, and but for the model no value that a client could make up.
type Request struct {
	Route    string // family of the path, such as chat; "other" if it is none of the API's
	Status   int    // as in the log: 499 if the client left before the response was complete
	Error    string // code of the relay's own error; "" if there was none
	Token    string // name of the access token; "" if it has none
	Upstream string // that responded, or was tried last; "" if there is only one
	Attempts int    // upstreams that were tried, if only by a connect
	Resumed  int    // how often another upstream continued the stream

	// Cut says that the response had begun and was truncated, by whoever failed.
	Cut bool

	FirstByte time.Duration // until the response began; 0 if it did not
	Duration  time.Duration // until it ended

	BytesIn, BytesOut int64 // of the bodies

	Usage *Usage // nil if it is unknown, or Config.LogUsage is not set
}

// request returns what there is to observe of a request that ended then.
func (rec *record) request(end time.Time) Request {
	r := Request{
		Route:    rec.route,
		Status:   rec.finalStatus(),
		Upstream: rec.upstream,
		Attempts: rec.attempts,
		Resumed:  rec.resumed,
		Duration: end.Sub(rec.start),
		BytesIn:  rec.bytesIn.Load(),
		BytesOut: rec.bytesOut.Load(),
		Usage:    rec.usage,
	}
	if !rec.firstByte.IsZero() {
		r.FirstByte = rec.firstByte.Sub(rec.start)
	}
	if rec.grant != nil {
		r.Token = rec.grant.Name
	}
	if rec.err != nil {
		r.Error = errorClass(rec.err)
		r.Cut = rec.cut && !errors.Is(rec.err, errClientGone)
	}
	return r
}

// InFlight returns the number of requests in flight.
func (r *Relay) InFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active
}

// Upstreams returns what is known of each upstream, in their order. It causes no
// probes, and returns nil if the relay is misconfigured.
func (r *Relay) Upstreams() []failover.Status {
	if r.pool == nil {
		return nil
	}
	return r.pool.LastStatus()
}
