package failover

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A verdict is what a response proves.
type verdict struct {
	outcome outcome
	class   string // of the failure, if it is one
	penalty penalty
	proof   proof  // what the penalty needs besides
	reason  reason // of the retry, if there is one

	// own says that the response explains itself in the API's words, so that it
	// is the one to give if nobody has a better one.
	own bool
}

type outcome int

const (
	handOn      outcome = iota // it is the API's, or as good
	unprocessed                // nobody processed the request, another upstream may
	ambiguous                  // somebody may have processed it
)

type penalty int

const (
	none     penalty = iota
	credit           // the upstream did what it is for
	strikeIt         // a failure
	ejectIt          // a failure that only its operator can fix
	banIt            // its region is not served
)

// A proof is what it takes to hold a response against an upstream.
type proof int

const (
	asIs    proof = iota // no client could have provoked it
	shallow              // a check of the relay's health must fail too
	deep                 // so must one that includes the API
)

// markerHeader is on every response that passed through a relay's code, so that
// one without it was made by the platform in front.
const markerHeader = "X-Relay"

// judge returns what a response to req from u proves, where other upstreams
// could take its place. isRelay says that u is known to be a relay, so that its
// own headers can be believed, and pages without them are its platform's. It may
// read some of the body, which it puts back.
func judge(u *upstream, req *http.Request, res *http.Response, isRelay bool) verdict {
	switch {
	case res.StatusCode < 300:
		return verdict{outcome: handOn, penalty: credit, own: true} // whatever its headers say: it was processed
	case res.StatusCode == http.StatusForbidden && errorCode(peek(res)) == regionRefused:
		return verdict{outcome: unprocessed, class: ClassRegionRefused, penalty: banIt, own: true}
	case u.official:
		return verdict{outcome: handOn, penalty: credit, own: true}
	case res.Header.Get(markerHeader) == "":
		return judgePage(res, isRelay || u.health.isMarked())
	case isRelay && isOwnError(res):
		return judgeRelay(u, req, res.Header.Get("X-Relay-Error"))
	}
	return verdict{outcome: handOn, penalty: credit, own: true}
}

// regionRefused is how OpenAI calls a region that it does not serve. It says so
// before it looks at the request.
const regionRefused = "unsupported_country_region_territory"

// isOwnError reports whether a response calls itself an error that a relay made.
func isOwnError(res *http.Response) bool {
	return res.StatusCode >= 400 && res.Header.Get("X-Relay-Error") != "" &&
		strings.Contains(res.Header.Get(markerHeader), "origin=relay")
}

// needsRelay reports whether it matters for a response that its upstream is
// known to be a relay: if it calls itself a relay's error, or may be a page of
// the platform in front of one.
func needsRelay(res *http.Response) bool {
	return isOwnError(res) || res.StatusCode >= 300 && res.Header.Get(markerHeader) == ""
}

// judgeRelay judges an error that a relay made itself, by its code.
func judgeRelay(u *upstream, req *http.Request, code string) verdict {
	switch code {
	case "upstream_connect", "all_regions_failed", "relay_overloaded":
		return verdict{outcome: unprocessed, class: code, penalty: strikeIt, own: true}
	case "relay_misconfigured", "host_not_allowed":
		return verdict{outcome: unprocessed, class: code, penalty: ejectIt, own: true}
	case "relay_loop":
		if hops := req.Header["Relay-Hop"]; len(hops) > 0 && hops[0] != "1" {
			// The client said that it had passed relays before this one.
			return verdict{outcome: unprocessed, class: code, reason: provoked, own: true}
		}
		return verdict{outcome: unprocessed, class: code, penalty: ejectIt, own: true}
	case "invalid_access_token":
		if u.token == "" {
			break // the client's own matter
		}
		return verdict{outcome: unprocessed, class: code, penalty: ejectIt, own: true}
	case "body_too_large", "unknown_path", "websocket_unsupported":
		// Others may have larger limits, or be newer.
		return verdict{outcome: unprocessed, class: code, reason: provoked, own: true}
	case "relay_shutdown":
		return verdict{outcome: ambiguous, class: code, penalty: strikeIt, own: true}
	case "upstream_reset", "upstream_invalid_response", "upstream_interrupted", "platform_failed", "relay_internal_error":
		return verdict{outcome: ambiguous, class: code, penalty: strikeIt, proof: deep, reason: provoked, own: true}
	}
	return verdict{outcome: handOn, own: true}
}

// judgePage judges a response without a relay's marker. Where a relay is
// expected, it is a page of the platform in front of it. Otherwise it may be the
// API's own word, in a shape that is not OpenAI's: it is never held against the
// upstream, and goes to the client if no other upstream has a better one.
func judgePage(res *http.Response, expectsRelay bool) verdict {
	v := judgeStatus(res)
	if !expectsRelay && v.outcome != handOn {
		v.penalty = none
		v.own = v.own || res.StatusCode >= 400 && res.StatusCode < 500 || isJSON(res)
	}
	return v
}

// judgeStatus judges a platform's page by its status.
func judgeStatus(res *http.Response) verdict {
	class := "platform_" + strconv.Itoa(res.StatusCode)
	page := verdict{outcome: unprocessed, class: class, penalty: ejectIt, proof: shallow, reason: provoked}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		// Throttled or no instance: Lambda, Google and Vercel say so before
		// they start the function.
		page.penalty, page.reason, page.own = strikeIt, failing, isAPIError(peek(res))
		return page
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		// No permission to invoke, deployment protection, no such deployment; or
		// a firewall that dislikes this one request.
		if isAPIError(peek(res)) {
			return verdict{outcome: handOn, penalty: credit, own: true}
		}
		return page
	case http.StatusRequestEntityTooLarge:
		page.penalty, page.own = none, isAPIError(peek(res))
		return page
	}
	switch {
	case res.StatusCode < 400:
		return page // to somebody's login page
	case res.StatusCode >= 500 && !isAPIError(peek(res)):
		page.outcome, page.penalty = ambiguous, strikeIt // the function crashed, or was ended
		return page
	}
	return verdict{outcome: handOn, own: true}
}

const (
	// maxPeek is how much of a response is looked at, which is more than errors
	// have, and peekTimeout how long it may take to come.
	maxPeek     = 16 << 10
	peekTimeout = 2 * time.Second
)

// peek returns the beginning of a JSON response's body, which stays unread. A
// body that does not come in time, or brings nothing, is closed.
func peek(res *http.Response) []byte {
	encoding := res.Header.Get("Content-Encoding")
	if !isJSON(res) || encoding != "" && !strings.EqualFold(encoding, "identity") || res.Body == nil {
		return nil
	}
	body := res.Body
	var over atomic.Bool
	timer := time.AfterFunc(peekTimeout, func() {
		over.Store(true)
		body.Close()
	})
	defer timer.Stop()
	head, err := readHead(body, &over)
	rest := io.Reader(body)
	if err != nil {
		rest = failingReader{err} // as it will be for whoever reads on
	}
	res.Body = peeked{io.MultiReader(bytes.NewReader(head), rest), body}
	return head
}

// isJSON reports whether a response says that it is JSON.
func isJSON(res *http.Response) bool {
	contentType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return contentType == "application/json"
}

// readHead reads up to maxPeek bytes of body, which may end before. It does not
// rely on body to say that it was closed.
func readHead(body io.Reader, closed *atomic.Bool) ([]byte, error) {
	head := make([]byte, 0, 1<<10)
	for empty := 0; len(head) < maxPeek; {
		head = slices.Grow(head, 512)
		n, err := body.Read(head[len(head):min(cap(head), maxPeek)])
		head = head[:len(head)+n]
		if n > 0 {
			empty = 0
		} else if empty++; err == nil && empty > maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err == nil && closed.Load() {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			return head, err
		}
	}
	return head, nil
}

// maxEmptyReads is how often in a row a body may bring nothing without an error.
const maxEmptyReads = 100

// A peeked is a body some of which was looked at.
type peeked struct {
	io.Reader
	io.Closer
}

// A failingReader fails.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// errorFields is the error object of the API's answers.
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
	// What is no JSON has no code.
	if json.Unmarshal(body, &e) == nil {
		_ = json.Unmarshal(e.Error.Code, &code)
	}
	return code
}

// isAPIError reports whether body is an error in the API's shape. Platforms'
// own have no type.
func isAPIError(body []byte) bool {
	var e errorFields
	return json.Unmarshal(body, &e) == nil && e.Error.Message != nil && e.Error.Type != nil
}
