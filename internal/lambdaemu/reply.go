package lambdaemu

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

var errMalformed = errors.New("the function's answer is malformed")

// proxyAnswer is what functions answer to all of the services, and what stands
// in a prelude. Each service ignores the members that it does not know.
type proxyAnswer struct {
	StatusCode        *int                         `json:"statusCode"`
	Headers           map[string]json.RawMessage   `json:"headers"`
	MultiValueHeaders map[string][]json.RawMessage `json:"multiValueHeaders"`
	Cookies           []string                     `json:"cookies"`
	Body              string                       `json:"body"`
	IsBase64Encoded   bool                         `json:"isBase64Encoded"`
}

// reply is an answer of a function as HTTP.
type reply struct {
	status int
	header http.Header
	body   []byte // none of a streamed one
}

// parseReply returns an answer as it is written, and as HTTP but for its
// headers. If there is no status, it is 200.
func parseReply(payload []byte) (*proxyAnswer, *reply, error) {
	a := new(proxyAnswer)
	if err := json.Unmarshal(payload, a); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	r := &reply{status: http.StatusOK, header: http.Header{}, body: []byte(a.Body)}
	if a.StatusCode != nil {
		r.status = *a.StatusCode
	}
	if r.status < 200 || r.status > 599 {
		return nil, nil, fmt.Errorf("%w: status %d", errMalformed, r.status)
	}
	if a.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(a.Body)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		r.body = body
	}
	return a, r, nil
}

// setSingle sets the headers that have one value each.
func (r *reply) setSingle(a *proxyAnswer) {
	for name, value := range a.Headers {
		r.header.Set(name, scalar(value))
	}
}

// setMulti sets the headers that may have several. They replace those of setSingle.
func (r *reply) setMulti(a *proxyAnswer) {
	for name, values := range a.MultiValueHeaders {
		r.header.Del(name)
		for _, value := range values {
			r.header.Add(name, scalar(value))
		}
	}
}

func (r *reply) setCookies(a *proxyAnswer) {
	for _, cookie := range a.Cookies {
		r.header.Add("Set-Cookie", cookie)
	}
}

func (r *reply) setContentType(otherwise string) {
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", otherwise)
	}
}

// writeTo writes the head, and a body that is there already.
func (r *reply) writeTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

// setLength says how long the body is, unless the status has none.
func (r *reply) setLength() {
	if r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
}

// scalar returns a string as it is, and numbers and booleans as they are written.
func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

var errRemapped = errors.New("the function answered with an X-Amzn-Remapped header")

const remapPrefix = "X-Amzn-Remapped-"

// ownHeaders are those that a service sets itself, or that end at a proxy. No
// documentation has all that are renamed.
var ownHeaders = []string{
	"Connection", "Content-Length", "Date", "Host", "Keep-Alive", "Proxy-Connection", "Server", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Www-Authenticate",
}

// remap renames the headers that are the service's. A function that uses the
// new names itself gets an error.
func (r *reply) remap() error {
	for name := range r.header {
		if strings.HasPrefix(name, remapPrefix) {
			return errRemapped
		}
	}
	for _, name := range ownHeaders {
		if values := r.header.Values(name); len(values) > 0 {
			r.header[http.CanonicalHeaderKey(remapPrefix+name)] = values
			r.header.Del(name)
		}
	}
	return nil
}

// dropOwn is what the services do that do not rename. They leave a Date and a
// Www-Authenticate as they are.
func (r *reply) dropOwn() {
	for _, name := range ownHeaders {
		if name != "Date" && name != "Www-Authenticate" {
			r.header.Del(name)
		}
	}
}
