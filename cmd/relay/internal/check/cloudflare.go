package check

import (
	"net/http"
	"regexp"
	"strconv"
)

// cloudflareNumber finds the number of an error in Cloudflare's own pages: a line
// of text for programs, HTML for browsers.
var cloudflareNumber = regexp.MustCompile(`(?i)\berror(?: code:?|-code">)? ?(1[0-9]{3})\b`)

// cloudflareError returns the number of the error on a page of Cloudflare's, and
// what to do about it, or "" twice if it knows no advice.
func cloudflareError(status int, page []byte) (number, advice string) {
	if m := cloudflareNumber.FindSubmatch(page); m != nil && status >= http.StatusBadRequest {
		if number = string(m[1]); cloudflareAdvice[number] != "" {
			return number, cloudflareAdvice[number]
		}
	}
	number = strconv.Itoa(status)
	if advice = cloudflareAdvice[number]; advice == "" {
		return "", ""
	}
	return number, advice
}

// cloudflareAdvice maps the number of an error to advice. Numbers of four digits
// are on the page; the others are its status.
var cloudflareAdvice = map[string]string{
	"520": "the server behind Cloudflare closed the connection or sent something that is not HTTP: see its log",
	"521": "the server behind Cloudflare refuses connections: start it, and let Cloudflare's addresses " +
		"through its firewall",
	"522": "the server behind Cloudflare does not accept connections: see whether it runs, and whether a firewall " +
		"or the DNS record is in the way",
	"523": "Cloudflare finds no route to the origin server: correct the zone's DNS record",
	"524": "the server behind Cloudflare did not begin to respond within 100 s: point the DNS record at it " +
		"without Cloudflare's proxy, or use the relay as a Worker",
	"525": "TLS fails between Cloudflare and the origin server: see whether that speaks TLS for this host name",
	"526": "the certificate of the server behind Cloudflare is invalid: renew it, for this host name",
	"530": "Cloudflare finds no server for this host name: correct the zone's DNS record",

	"1015": "a rate limiting rule of the zone stops requests: exempt the relay's host from it, or raise its limit",
	"1016": "the zone's DNS record leads to a host name that does not exist: correct it",
	"1027": "the day's 100,000 free requests are used up: wait for midnight UTC, or take the Workers Paid plan",
	"1033": "no tunnel is connected: start cloudflared where the relay runs",
	"1042": "a Worker may not call another one in its own zone, and an account's workers.dev names are one zone: " +
		"give one of the two a domain in another",
	"1101": "the Worker failed: paste worker.js again, whole, and see its log (Observability, or wrangler tail)",
	"1102": "the Worker used up its CPU time, which is 10 ms on the free plan for a request with its whole " +
		"stream: leave RELAY_IDLE_TIMEOUT and RELAY_KEEPALIVE off, or take the Workers Paid plan",
}
