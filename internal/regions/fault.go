package regions

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A Fault is a failure of a front, for [Front.Set]. The zero Fault is [None].
type Fault struct {
	name string

	closed bool          // nothing listens
	cuts   bool          // connections are reset, existing and new ones
	drains bool          // nothing listens, and connections close after their responses
	leaves bool          // connections close after their responses; new ones are accepted
	frozen bool          // no bytes move on any connection
	drops  bool          // the kernel drops incoming packets
	delay  time.Duration // before the first byte of a connection is read
	page   *Page
	to     string // only requests with this header get the page; "" for all
}

// String returns the name of the fault.
func (f Fault) String() string {
	if f.name == "" {
		return "none"
	}
	return f.name
}

var (
	// None is no fault: connections that Silent or BlackHole had frozen go on.
	None = Fault{}

	// Refused is the address of a process that died: new connections are refused,
	// existing ones reset.
	Refused = Fault{name: "refused", closed: true, cuts: true}

	// Reset accepts connections and resets them at once; existing ones are reset too.
	Reset = Fault{name: "reset", cuts: true}

	// Drained is the address of a process that shuts down gracefully: new connections
	// are refused, idle ones closed, and those in use close after their responses.
	Drained = Fault{name: "drained", closed: true, drains: true}

	// Silent is a machine that hangs: its kernel accepts connections and acknowledges
	// packets, but no bytes are read or written.
	Silent = Fault{name: "silent", frozen: true}

	// BlackHole is a network that drops every packet: connects time out, nothing is
	// acknowledged, and nothing is written. It needs Linux, see [CanDrop].
	BlackHole = Fault{name: "black hole", frozen: true, drops: true}
)

// Dead returns BlackHole, or Silent on systems that cannot have one, which is the
// closest to it for a client.
func Dead() Fault {
	if CanDrop {
		return BlackHole
	}
	return Silent
}

// Serving responds to every request with p. Responses in flight go on, as they do
// on a platform.
func Serving(p Page) Fault {
	return Fault{name: "page " + strconv.Itoa(p.Status), page: &p}
}

// SlowConnect reads the first byte of each connection only after d: over https,
// the handshake is late by d. Existing connections close after their responses,
// so that new ones are needed. Over http a client cannot tell it from a slow
// upstream.
func SlowConnect(d time.Duration) Fault {
	return Fault{name: "slow connect", leaves: true, delay: d}
}

// Firewall responds with p to requests that have the header, as a firewall does to
// a prompt that it blocks. All others pass.
func Firewall(header string, p Page) Fault {
	return Fault{name: "firewall " + strconv.Itoa(p.Status), page: &p, to: header}
}

// A Page is a platform's own response, in place of a relay's. It has no X-Relay
// header.
type Page struct {
	Status int
	Header map[string]string
	Body   string

	// After forwards the request to the relay first. The relay's response is read to
	// its end and discarded: the request was processed, but the client cannot know.
	After bool
}

// Platforms' pages.
var (
	LambdaThrottle = Page{Status: http.StatusTooManyRequests, Body: `{"Message":"Rate Exceeded."}`,
		Header: map[string]string{"Content-Type": "application/json", "X-Amzn-Errortype": "TooManyRequestsException"}}
	LambdaForbidden = Page{Status: http.StatusForbidden, Body: `{"Message":"Forbidden"}`,
		Header: map[string]string{"Content-Type": "application/json", "X-Amzn-Errortype": "AccessDeniedException"}}
	// LambdaCrash is that of a function which processed the request and then died.
	LambdaCrash = Page{Status: http.StatusBadGateway, Body: `{"message":"Internal server error"}`, After: true,
		Header: map[string]string{"Content-Type": "application/json",
			"X-Amzn-Errortype": "InternalServerErrorException"}}
	GCFNoInstance = Page{Status: http.StatusTooManyRequests, Body: "Rate exceeded.",
		Header: map[string]string{"Content-Type": "text/html", "Server": "Google Frontend"}}
	GCFUnavailable = Page{Status: http.StatusServiceUnavailable, Body: "Service Unavailable",
		Header: map[string]string{"Content-Type": "text/plain", "Server": "Google Frontend"}}
	VercelNotFound = Page{Status: http.StatusNotFound,
		Body: "The deployment could not be found on Vercel.\n\nDEPLOYMENT_NOT_FOUND\n\n" +
			"fra1::xxxxx-1700000000000-000000000000\n",
		Header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Server": "Vercel",
			"X-Vercel-Error": "DEPLOYMENT_NOT_FOUND"}}

	// Bodies larger than the platform accepts.
	LambdaTooLarge = Page{Status: http.StatusRequestEntityTooLarge,
		Body: `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`,
		Header: map[string]string{"Content-Type": "application/json",
			"X-Amzn-Errortype": "RequestEntityTooLargeException"}}
	VercelTooLarge = Page{Status: http.StatusRequestEntityTooLarge,
		Body: "Request Entity Too Large\n\nFUNCTION_PAYLOAD_TOO_LARGE\n",
		Header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Server": "Vercel",
			"X-Vercel-Error": "FUNCTION_PAYLOAD_TOO_LARGE"}}
)

// write responds with the page.
func (p *Page) write(w http.ResponseWriter) {
	for name, value := range p.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(p.Status)
	_, _ = io.WriteString(w, p.Body)
}

// Flap turns fault on and off, each for half of period, until ctx ends; then it
// leaves the front without a fault.
func (f *Front) Flap(ctx context.Context, fault Fault, period time.Duration) error {
	turn := time.NewTicker(period / 2)
	defer turn.Stop()
	defer f.Set(None) //nolint:errcheck // it fails only if the front is closed
	for next, other := fault, None; ; next, other = other, next {
		if err := f.Set(next); err != nil {
			return err
		}
		select {
		case <-turn.C:
		case <-ctx.Done():
			return nil
		}
	}
}
