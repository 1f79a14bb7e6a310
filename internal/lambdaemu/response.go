package lambdaemu

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// buffer sends a response in one piece.
func (s *Server) buffer(w http.ResponseWriter, a *Response) {
	payload, err := io.ReadAll(a.Body)
	if err != nil {
		s.refuse(w, err)
		return
	}
	r, err := s.front.read(payload)
	if err == nil {
		err = s.claimHeaders(r, "application/json")
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	r.setLength()
	r.writeTo(w)
}

// claimHeaders renames or drops the headers that are reserved for the service.
func (s *Server) claimHeaders(r *reply, contentType string) error {
	r.setContentType(contentType)
	if s.front.remaps {
		return r.remap()
	}
	r.dropOwn()
	return nil
}

// stream sends a response while it arrives. It reads all of it even if the client
// has disconnected: Lambda lets the function go on.
func (s *Server) stream(w http.ResponseWriter, a *Response) {
	body := bufio.NewReaderSize(a.Body, 32<<10)
	defer func() { _, _ = io.Copy(io.Discard, body) }()
	r, err := s.head(a, body)
	if err == nil {
		err = s.claimHeaders(r, "application/octet-stream")
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	r.writeTo(w)
	_ = http.NewResponseController(w).Flush()
	if err := forward(w, body); err != nil {
		s.logs.printf("stream of %s: %v", a.RequestID, err)
		if s.function.Cut == CutBroken {
			panic(http.ErrAbortHandler)
		}
	}
}

// head reads the prelude. A response of another content type has none: it is
// all body, even if its JSON looks like a response.
func (s *Server) head(a *Response, body *bufio.Reader) (*reply, error) {
	if a.ContentType != integrationResponse {
		r := &reply{status: http.StatusOK, header: http.Header{}}
		r.setContentType(a.ContentType)
		return r, nil
	}
	prelude, err := readPrelude(body)
	if err != nil {
		return nil, err
	}
	parsed, r, err := parseReply(prelude)
	if err != nil {
		return nil, err
	}
	r.body = nil
	r.setSingle(parsed)
	if s.front.multiValue {
		r.setMulti(parsed)
	}
	r.setCookies(parsed)
	return r, nil
}

// forward sends what it reads at once. It returns the read error; a client that
// has disconnected is not an error.
func forward(w http.ResponseWriter, body io.Reader) error {
	rc := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, gone := w.Write(buf[:n]); gone == nil {
				_ = rc.Flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// delimiter ends a prelude, which is JSON and therefore contains no NUL.
var delimiter = bytes.Repeat([]byte{0}, 8)

// maxPrelude is the largest prelude, in bytes.
const maxPrelude = 1 << 20

// readPrelude returns the bytes before the delimiter, however they arrive, and
// leaves those after it.
func readPrelude(body *bufio.Reader) ([]byte, error) {
	var prelude []byte
	for !bytes.HasSuffix(prelude, delimiter) {
		b, err := body.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends inside the prelude", errMalformed)
		}
		if err != nil {
			return nil, err
		}
		if prelude = append(prelude, b); len(prelude) > maxPrelude {
			return nil, fmt.Errorf("%w: its prelude exceeds %d bytes", errMalformed, maxPrelude)
		}
	}
	return bytes.TrimSuffix(prelude, delimiter), nil
}

var errMalformed = errors.New("the function's response is malformed")

// proxyResponse is the JSON of a buffered response, for all of the services, and
// of a prelude. Each service ignores the fields that it does not know.
type proxyResponse struct {
	StatusCode        *int                         `json:"statusCode"`
	Headers           map[string]json.RawMessage   `json:"headers"`
	MultiValueHeaders map[string][]json.RawMessage `json:"multiValueHeaders"`
	Cookies           []string                     `json:"cookies"`
	Body              string                       `json:"body"`
	IsBase64Encoded   bool                         `json:"isBase64Encoded"`
}

// reply is a function's response as HTTP.
type reply struct {
	status int
	header http.Header
	body   []byte // nil if streamed
}

// parseReply parses a response, and returns it as HTTP too, without its headers.
// The default status is 200.
func parseReply(payload []byte) (*proxyResponse, *reply, error) {
	a := new(proxyResponse)
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

// parseStrict parses a response that must have a statusCode, and sets its headers
// with each of set.
func parseStrict(payload []byte, set ...func(*reply, *proxyResponse)) (*reply, error) {
	a, r, err := parseReply(payload)
	if err != nil {
		return nil, err
	}
	if a.StatusCode == nil {
		return nil, fmt.Errorf("%w: no statusCode", errMalformed)
	}
	for _, f := range set {
		f(r, a)
	}
	return r, nil
}

// setSingle sets the headers that have one value each.
func (r *reply) setSingle(a *proxyResponse) {
	for name, value := range a.Headers {
		r.header.Set(name, scalar(value))
	}
}

// setMulti sets the headers that may have several. They replace those of setSingle.
func (r *reply) setMulti(a *proxyResponse) {
	for name, values := range a.MultiValueHeaders {
		r.header.Del(name)
		for _, value := range values {
			r.header.Add(name, scalar(value))
		}
	}
}

func (r *reply) setCookies(a *proxyResponse) {
	for _, cookie := range a.Cookies {
		r.header.Add("Set-Cookie", cookie)
	}
}

func (r *reply) setContentType(fallback string) {
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", fallback)
	}
}

// writeTo writes the header, and the body if it is buffered.
func (r *reply) writeTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

// setLength sets the Content-Length, unless the status allows no body.
func (r *reply) setLength() {
	if r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
}

// scalar returns the value of a JSON string, and other JSON as written.
func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

var errRemapped = errors.New("the function returned an X-Amzn-Remapped header")

const remapPrefix = "X-Amzn-Remapped-"

// ownHeaders are those that a service sets itself, and hop-by-hop headers. The
// full list of those that are renamed is not documented.
var ownHeaders = []string{
	"Connection", "Content-Length", "Date", "Host", "Keep-Alive", "Proxy-Connection", "Server", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Www-Authenticate",
}

// remap renames the headers that are reserved for the service. It is an error if
// the function uses one of the new names itself.
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

// dropOwn drops the headers that are reserved for the service, except Date and
// Www-Authenticate, as the services do that do not rename.
func (r *reply) dropOwn() {
	for _, name := range ownHeaders {
		if name != "Date" && name != "Www-Authenticate" {
			r.header.Del(name)
		}
	}
}
