package check

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// A probe checks one thing. It is skipped if the probe it needs has failed.
type probe struct {
	name  string
	needs string // the probe that must not have failed, or ""
	run   func(*doctor, context.Context) result
}

// probes are all probes in order: those along a request's path first, then those
// of the relay at its end.
var probes = []probe{
	{"dns", "", (*doctor).dns},
	{"connect", "dns", (*doctor).connect},
	{"tls", "connect", (*doctor).tls},
	{"relay", "tls", (*doctor).relay},
	{"upstream", "relay", (*doctor).upstream},
	{"access", "relay", (*doctor).access},
	{"stream", "relay", (*doctor).stream},
	{"cors", "relay", (*doctor).cors},
	{"body", "relay", (*doctor).body},
	{"websocket", "relay", (*doctor).websocket},
}

// A doctor examines one relay.
type doctor struct {
	options
	probes []probe

	client    *http.Client
	transport *http.Transport // of client
	proxy     *url.URL        // that requests go through, or nil

	platform string          // where the relay runs, judged by its responses, or ""
	health   protocol.Health // zero until the relay probe has passed

	upstreamFailed bool // reported by the upstream probe
	admitted       bool // the relay accepted the token
}

func newDoctor(opts options) *doctor {
	d := &doctor{options: opts, probes: probes}
	// The error means that the proxy cannot be parsed; clients fail on that too.
	d.proxy, _ = http.ProxyFromEnvironment(&http.Request{URL: opts.base})
	d.transport = &http.Transport{
		Proxy:              func(*http.Request) (*url.URL, error) { return d.proxy, nil },
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12},
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		// Longer than any probe: the body is sent when the server asks for it, or never.
		ExpectContinueTimeout:  opts.timeout + time.Minute,
		OnProxyConnectResponse: refusedByProxy,
	}
	d.client = &http.Client{
		Transport:     d.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d
}

// examine runs the probes and returns the exit status.
func (d *doctor) examine(ctx context.Context, out *reporter) int {
	proxy := ""
	if d.proxy != nil {
		proxy = d.proxy.Host // the rest may hold a password
	}
	out.begin(d.base.String(), proxy)
	missing := make(map[string]string) // probe that failed or was skipped: the one to blame
	for _, p := range d.probes {
		r := skipped("not_tried", "not tried, as "+missing[p.needs]+" failed")
		if blame, ok := missing[p.needs]; ok {
			missing[p.name] = blame
		} else {
			r = d.run(ctx, p)
		}
		if r.Verdict == verdictFail {
			missing[p.name] = p.name
		}
		r.Name = p.name
		out.add(r.clean(d.token, d.key))
	}
	return out.end()
}

func (d *doctor) run(ctx context.Context, p probe) result {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	start := time.Now()
	return p.run(d, ctx).took(time.Since(start))
}

// address returns the host and port to connect to.
func (d *doctor) address() string {
	port := d.base.Port()
	switch {
	case port != "":
	case d.base.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(d.base.Hostname(), port)
}

// request returns a request for a path of the relay, with headers in pairs of
// name and value.
func (d *doctor) request(ctx context.Context, method, path string, headers ...string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, d.base.String()+path, nil)
	if err != nil {
		panic(err) // the base has been parsed, and paths are constants
	}
	req.Header.Set("User-Agent", "relay-check/"+core.Version)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// authorized adds the user's token and key to req, and returns it.
func (d *doctor) authorized(req *http.Request) *http.Request {
	if d.token != "" {
		req.Header.Set(protocol.Token, string(d.token))
	}
	if d.key != "" {
		req.Header.Set("Authorization", "Bearer "+string(d.key))
	}
	return req
}

// A response is what came back for a request; its body is cut at 64 KiB.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send sends req and reads the response.
func (d *doctor) send(req *http.Request) (*response, error) {
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return readResponse(res)
}

func readResponse(res *http.Response) (*response, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	return &response{res.StatusCode, res.Header, body}, nil
}

// isRelays reports whether the response came through a relay, which marks every
// response.
func (r *response) isRelays() bool { return r.header.Get(protocol.Marker) != "" }

// isUpstreams reports whether the relay forwarded the response from its upstream.
func (r *response) isUpstreams() bool {
	_, origin, _ := strings.Cut(r.header.Get(protocol.Marker), "origin=")
	return origin == "upstream"
}

// errorCode matches the codes of errors; anything else is not shown.
var errorCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,63}$`)

// relayError returns the code of a relay's error, or "". For the error of another
// relay upstream, only the body has it: the header is not forwarded.
func (r *response) relayError() string {
	if code := r.header.Get(protocol.ErrorCode); errorCode.MatchString(code) {
		return code
	}
	if e := r.errorBody(); e.Type == relayErrorType {
		return e.Code
	}
	return ""
}

// apiError returns the code of an error in OpenAI's shape, or "".
func (r *response) apiError() string { return r.errorBody().Code }

// relayErrorType is the type in the bodies of a relay's errors.
const relayErrorType = "relay_error"

// An errorBody is an error in OpenAI's shape.
type errorBody struct {
	Type string `json:"type"`
	Code string `json:"code"`
}

// errorBody returns the error in the body, or the zero errorBody if it holds none
// with a presentable code.
func (r *response) errorBody() errorBody {
	var body struct {
		Error errorBody `json:"error"`
	}
	if json.Unmarshal(r.body, &body) != nil || !errorCode.MatchString(body.Error.Code) {
		return errorBody{}
	}
	return body.Error
}
