package failover

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"example.com/relay/core/protocol"
)

// A verdict is what a response proves.
type verdict struct {
	outcome outcome
	class   string // of the failure, if it is one
	penalty penalty
	check   check  // that must fail before the penalty applies
	reason  reason // of the retry, if there is one

	// selfExplaining says that the response tells the client what to do, so that
	// it is the one to forward if no upstream has a better one.
	selfExplaining bool

	tooLarge bool // the request's body, for this upstream
}

// An outcome is what becomes of the request.
type outcome int

const (
	passThrough outcome = iota // the response is the API's, or as good
	unprocessed                // nobody processed the request: another upstream may
	ambiguous                  // somebody may have processed it
)

// A penalty is what becomes of the upstream.
type penalty int

const (
	noPenalty penalty = iota
	credit            // it did what it is for
	strike            // a failure
	eject             // a failure that only its operator can fix
	ban               // OpenAI does not serve its region
)

// A check is what a request of the pool's own must show before a penalty
// applies, since a client could have provoked the response.
type check int

const (
	noCheck     check = iota // it applies at once
	healthCheck              // the relay's health check must fail too
)

// forward is the verdict on a response that the upstream is to be credited for.
var forward = verdict{outcome: passThrough, penalty: credit, selfExplaining: true}

// regionRefused is the verdict on the API's refusal of the upstream's region.
var regionRefused = verdict{outcome: unprocessed, class: ClassRegionRefused, penalty: ban, selfExplaining: true}

// outOfQuota is the verdict on the API's word that the key's account has no credit. No
// probe can tell when that is over.
var outOfQuota = verdict{outcome: unprocessed, class: classOutOfQuota, penalty: eject, selfExplaining: true}

// judge returns what a response to req from u proves, where other upstreams
// could take its place. isRelay says that u is known to be a relay: then its own
// headers can be believed, and a page without them is its platform's. judge may
// read some of the body, which it puts back.
func judge(u *upstream, req *http.Request, res *http.Response, isRelay bool) verdict {
	switch {
	case res.StatusCode < 300:
		return forward // whatever its headers say: it was processed
	case res.StatusCode == http.StatusForbidden && (isRelay && saysRefused(res) || isRefusal(res)):
		return regionRefused
	case u.official || res.StatusCode == http.StatusTooManyRequests && u.isAPI():
		return forward
	case res.Header.Get(protocol.Marker) == "":
		return judgePage(res, isRelay || u.health.isMarked())
	case isRelay && isOwnError(res):
		return judgeRelay(u, req, res.Header.Get(protocol.ErrorCode))
	}
	return forward
}

// isOwnError reports whether a response calls itself an error that a relay made.
func isOwnError(res *http.Response) bool {
	return res.StatusCode >= 400 && res.Header.Get(protocol.ErrorCode) != "" &&
		protocol.IsByRelay(res.Header.Get(protocol.Marker))
}

// needsRelay reports whether it matters for a response that its upstream is
// known to be a relay: if it calls itself a relay's error or the refusal of a
// region, or may be a page of the platform in front of one.
func needsRelay(res *http.Response) bool {
	return isOwnError(res) || saysRefused(res) || res.StatusCode >= 300 && res.Header.Get(protocol.Marker) == ""
}

// judgeRelay judges an error that a relay made itself, by what its code means.
func judgeRelay(u *upstream, req *http.Request, code string) verdict {
	meaning := protocol.Meanings[code]
	v := verdict{class: code, selfExplaining: true, tooLarge: code == protocol.BodyTooLarge}
	switch meaning.Proof {
	case protocol.Final:
		return v
	case protocol.Unprocessed:
		v.outcome = unprocessed
	case protocol.Ambiguous:
		v.outcome = ambiguous
	}
	switch {
	case u.token == "" && protocol.IsOfToken(code):
		return verdict{selfExplaining: true} // the token was the client's own
	case code == protocol.Loop && protocol.Hops(req.Header) > 1, meaning.Fault == protocol.Client:
		v.reason = provoked // a client says what it likes of relays before this one
	case meaning.Fault == protocol.Operator:
		v.penalty = eject
	case code == protocol.Internal: // a request may have made it panic
		v.penalty, v.check, v.reason = strike, healthCheck, provoked
	default:
		v.penalty = strike
	}
	return v
}

// judgePage judges a response without a relay's marker. Where a relay is
// expected, it is a page of the platform in front of it. Otherwise it may be the
// API's own word, in a shape that is not OpenAI's: it is never held against the
// upstream, and is forwarded if no other upstream has a better one.
func judgePage(res *http.Response, expectsRelay bool) verdict {
	v := judgeStatus(res)
	if !expectsRelay && v.outcome != passThrough {
		v.penalty, v.selfExplaining, v.tooLarge = noPenalty, true, false
	}
	return v
}

// judgeStatus judges a platform's page by its status.
func judgeStatus(res *http.Response) verdict {
	class := ClassPlatform + strconv.Itoa(res.StatusCode)
	page := verdict{outcome: unprocessed, class: class, penalty: eject, check: healthCheck, reason: provoked}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		// Throttled or no instance: Lambda, Google and Vercel say so before
		// they start the function.
		page.penalty, page.reason, page.selfExplaining = strike, failing, isAPIError(peek(res))
		if isCutShort(res) {
			page.outcome, page.reason = ambiguous, provoked
		}
		return page
	case 521, 522, 523, 525, 526, 530:
		// Cloudflare did not reach what stands behind it: it was refused, in vain,
		// or there is no certificate or DNS record for it.
		if !isAPIError(peek(res)) {
			page.penalty, page.reason = strike, failing
			return page
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		// No permission to invoke, deployment protection, no such deployment; or
		// a firewall that refuses this one request.
		if isAPIError(peek(res)) {
			return forward
		}
		return page
	case http.StatusRequestEntityTooLarge:
		// Platforms measure a body before they start anything: Vercel takes 4.5 MB,
		// Lambda 6 MB, API Gateway 10 MB, Cloud Run 32 MiB. Such a page says nothing
		// against the region.
		page.penalty, page.selfExplaining, page.tooLarge = noPenalty, isAPIError(peek(res)), true
		return page
	}
	switch {
	case res.StatusCode < 400:
		return page // to somebody's login page
	case res.StatusCode >= 500 && !isAPIError(peek(res)):
		page.outcome, page.penalty = ambiguous, strike // the function crashed, or was ended
		return page
	}
	return verdict{outcome: passThrough, selfExplaining: true}
}

const (
	// maxPeek is how much of a response is looked at, which is more than errors
	// have, and peekTimeout how long it may take to come.
	maxPeek     = 16 << 10
	peekTimeout = 2 * time.Second
)

// isCutShort reports whether a 503 may be Cloudflare's error 1102: a Worker used up
// its CPU time, after it may have sent the request. The page says so, in HTML or
// in a line of text; one that is compressed may be any.
func isCutShort(res *http.Response) bool {
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Cf-Ray") == "" {
		return false
	}
	text, ok := head(res)
	return !ok || bytes.Contains(text, []byte("1102"))
}

// peek returns the beginning of a JSON response's body, which stays unread, or
// nothing if its encoding is unknown.
func peek(res *http.Response) []byte {
	if !isJSON(res) {
		return nil
	}
	text, _ := head(res)
	return text
}

// head returns the beginning of a response's body, decoded, and whether its
// encoding is known. The body stays unread. If it does not come in time, it is
// closed, which ends the read.
func head(res *http.Response) (text []byte, ok bool) {
	codings := encodings(res.Header)
	if !areKnown(codings) {
		return nil, false
	}
	if res.Body == nil {
		return nil, true
	}
	body := res.Body
	timer := time.AfterFunc(peekTimeout, func() { body.Close() })
	defer timer.Stop()
	head, err := io.ReadAll(io.LimitReader(body, maxPeek))
	rest := io.Reader(body)
	if err != nil {
		rest = failingReader{err} // as it will be for whoever reads on
	}
	res.Body = peeked{io.MultiReader(bytes.NewReader(head), rest), body}
	return decode(head, codings), true
}

// isJSON reports whether a response says that it is JSON.
func isJSON(res *http.Response) bool {
	contentType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return contentType == "application/json"
}

// A peeked is a body some of which was looked at.
type peeked struct {
	io.Reader
	io.Closer
}

// A failingReader fails with err.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// errorFields is the error object of the API's responses.
type errorFields struct {
	Error struct {
		Message *string         `json:"message"`
		Type    *string         `json:"type"`
		Code    json.RawMessage `json:"code"`
	} `json:"error"`
}

// errorCode returns the code of an error in the API's shape, or "".
func errorCode(body []byte) string {
	var e errorFields
	var code string
	// Without valid JSON there is no code.
	if json.Unmarshal(body, &e) == nil {
		_ = json.Unmarshal(e.Error.Code, &code)
	}
	return code
}

// isOutOfQuota reports whether a response is the API's word that the key's account has
// no credit. It is false for other limits, and if the body cannot be read.
func isOutOfQuota(res *http.Response) bool {
	return res.StatusCode == http.StatusTooManyRequests && errorCode(peek(res)) == classOutOfQuota
}

// isAPIError reports whether body is an error in the API's shape. Platforms'
// own have no type.
func isAPIError(body []byte) bool {
	var e errorFields
	return json.Unmarshal(body, &e) == nil && e.Error.Message != nil && e.Error.Type != nil
}
