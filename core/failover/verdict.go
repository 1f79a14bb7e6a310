package failover

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A verdict is what an answer proves.
type verdict struct {
	outcome outcome
	class   string // of the failure, if it is one
	penalty penalty

	// own says that the answer explains itself in the API's words, so that it is
	// the one to give if nobody has a better one.
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
	ejectIt          // a failure that its operator must mend
	banIt            // its region is not served
)

// markerHeader is on every answer that passed through a relay's code, so that
// one without it was made by the platform in front.
const markerHeader = "X-Relay"

// judge returns what an answer of u proves, where others could take its place.
// It may read some of the body, which it puts back.
func judge(u *upstream, res *http.Response) verdict {
	marker := res.Header.Get(markerHeader)
	if res.StatusCode == http.StatusForbidden && errorCode(peek(res)) == regionRefused {
		return verdict{unprocessed, ClassRegionRefused, banIt, true}
	}
	switch {
	case u.official:
		return verdict{handOn, "", credit, true}
	case marker == "":
		return judgePlatform(res)
	case res.Header.Get("X-Relay-Error") != "" && strings.Contains(marker, "origin=relay"):
		return judgeRelay(u, res.Header.Get("X-Relay-Error"))
	}
	return verdict{handOn, "", credit, true}
}

// regionRefused is how OpenAI calls a region that it does not serve. It says so
// before it looks at the request.
const regionRefused = "unsupported_country_region_territory"

// judgeRelay judges an error that a relay made itself, by its code.
func judgeRelay(u *upstream, code string) verdict {
	switch code {
	case "upstream_connect", "all_regions_failed", "relay_overloaded":
		return verdict{unprocessed, code, strikeIt, true}
	case "relay_misconfigured", "host_not_allowed", "relay_loop":
		return verdict{unprocessed, code, ejectIt, true}
	case "invalid_access_token":
		if u.token == "" {
			break // the client's own matter
		}
		return verdict{unprocessed, code, ejectIt, true}
	case "body_too_large", "unknown_path", "websocket_unsupported":
		return verdict{unprocessed, code, none, true} // others may be larger, or newer
	case "upstream_reset", "upstream_invalid_response", "upstream_interrupted", "platform_failed", "relay_shutdown", "relay_internal_error":
		return verdict{ambiguous, code, strikeIt, true}
	}
	return verdict{handOn, "", none, true}
}

// judgePlatform judges an answer without a relay's marker: a platform's page,
// or that of an API which stands behind no relay.
func judgePlatform(res *http.Response) verdict {
	class := "platform_" + strconv.Itoa(res.StatusCode)
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		// Throttled or no instance: Lambda, Google and Vercel say so before
		// they start the function.
		return verdict{unprocessed, class, strikeIt, isAPIError(peek(res))}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		// No permission to invoke, deployment protection, no such deployment.
		if isAPIError(peek(res)) {
			return verdict{handOn, "", credit, true}
		}
		return verdict{unprocessed, class, ejectIt, false}
	case http.StatusRequestEntityTooLarge:
		return verdict{unprocessed, class, none, isAPIError(peek(res))}
	}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return verdict{unprocessed, class, ejectIt, false} // to somebody's login page
	case res.StatusCode >= 500 && !isAPIError(peek(res)):
		return verdict{ambiguous, class, strikeIt, false} // the function crashed, or was ended
	}
	return verdict{handOn, "", credit, true}
}

const (
	// mostPeek is how much of an answer is looked at, which is more than errors
	// have, and peekTime how long it may take to come.
	mostPeek = 16 << 10
	peekTime = 2 * time.Second
)

// peek returns the beginning of a JSON answer's body, which stays unread.
func peek(res *http.Response) []byte {
	contentType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if contentType != "application/json" || res.Header.Get("Content-Encoding") != "" || res.Body == nil {
		return nil
	}
	body := res.Body
	timer := time.AfterFunc(peekTime, func() { body.Close() })
	defer timer.Stop()
	head, err := io.ReadAll(io.LimitReader(body, mostPeek))
	rest := io.Reader(body)
	if err != nil {
		rest = failing{err} // as it will be for whoever reads on
	}
	res.Body = peeked{io.MultiReader(bytes.NewReader(head), rest), body}
	return head
}

// A peeked is a body some of which was looked at.
type peeked struct {
	io.Reader
	io.Closer
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

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
