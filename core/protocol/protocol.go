// Package protocol defines the protocol between relays, so that a gateway
// understands the relays in its regions: headers, the access token's prefix, the
// health check, and error codes with what each of them proves.
package protocol

import (
	"net/http"
	"strconv"
	"strings"
)

const (
	// Marker is the header on every response that passed through a relay's code:
	// the relay's name and who made the response. One without it was made by
	// something in front of the relay, mostly its platform.
	Marker = "X-Relay"

	// ErrorCode is the header that holds the code of an error which a relay made.
	ErrorCode = "X-Relay-Error"

	// Refusal is the header by which a relay tells the gateway in front of it that
	// the API refused its region: it holds the API's code, RegionRefused. The relay
	// can find out whatever the encoding of the body; the gateway need not read it.
	Refusal = "X-Relay-Refusal"

	// Attempts is the header by which a gateway says how many upstreams it tried.
	Attempts = "X-Relay-Attempts"

	// Upstream is the header by which a gateway says which upstream responded.
	Upstream = "X-Relay-Upstream"

	// Token is the request header that carries an access token.
	Token = "X-Relay-Token"

	// TokenPrefix is what an access token begins with inside an API key or URL.
	TokenPrefix = "rt_"

	// Hop is the request header that counts the relays which a request has
	// passed. It is sent to upstreams that may be relays, never to OpenAI's own.
	Hop = "Relay-Hop"

	// Private is the prefix of response headers that are a relay's alone: those of
	// an upstream are dropped unless it is known to be a relay.
	Private = "X-Relay-"
)

// Who made a response, as the marker says.
const (
	byRelay    = "; origin=relay"
	byUpstream = "; origin=upstream"
)

// RelayMarker returns the marker of a response that the relay of that name made.
func RelayMarker(name string) string { return name + byRelay }

// UpstreamMarker returns the marker of a response that the relay of that name
// forwarded.
func UpstreamMarker(name string) string { return name + byUpstream }

// IsByRelay reports whether a marker says that a relay made the response.
func IsByRelay(marker string) bool { return strings.Contains(marker, byRelay[2:]) }

// MaxHops is how many relays a request may pass one after the other.
const MaxHops = 2

// Hops returns how many relays a request has passed. A count that cannot be read
// was made up, and counts as too many.
func Hops(h http.Header) int {
	values := h[Hop]
	if len(values) == 0 {
		return 0
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 0 {
		return MaxHops
	}
	return n
}
