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
)

// A probe is one thing to find out. Without what it needs, it is skipped.
type probe struct {
	name  string
	needs string // the probe that must not have failed, or ""
	run   func(*doctor, context.Context) result
}

// probes are all probes, in their order: the way of a request first, then what
// may be wrong with the relay at its end.
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

	platform string // where the relay runs, as far as its answers tell
	health   health // once the relay has told

	upstreamFailed bool // it has been said that the API does not answer
	admitted       bool // the relay took the token
}

func newDoctor(opts options) *doctor {
	d := &doctor{options: opts, probes: probes}
	// An error here is a proxy that cannot be parsed; clients fail at it too.
	d.proxy, _ = http.ProxyFromEnvironment(&http.Request{URL: opts.base})
	d.transport = &http.Transport{
		Proxy:              func(*http.Request) (*url.URL, error) { return d.proxy, nil },
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12},
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		// Longer than any probe: a body is sent when it is asked for, or never.
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
	missing := make(map[string]string) // probe that has not come through: the one to blame
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
		panic(err) // the base was parsed, and paths are constants
	}
	req.Header.Set("User-Agent", "relay-check/"+core.Version)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// authorized shows the relay what the user gave, and returns req.
func (d *doctor) authorized(req *http.Request) *http.Request {
	if d.token != "" {
		req.Header.Set("X-Relay-Token", string(d.token))
	}
	if d.key != "" {
		req.Header.Set("Authorization", "Bearer "+string(d.key))
	}
	return req
}

// An answer is a response, read up to 64 KiB.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends req and reads the answer.
func (d *doctor) ask(req *http.Request) (*answer, error) {
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return readAnswer(res)
}

func readAnswer(res *http.Response) (*answer, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	return &answer{res.StatusCode, res.Header, body}, nil
}

// isRelays reports whether the answer came through a relay, which marks all of
// them.
func (a *answer) isRelays() bool { return a.header.Get("X-Relay") != "" }

// isUpstreams reports whether a relay handed the answer on.
func (a *answer) isUpstreams() bool {
	_, origin, _ := strings.Cut(a.header.Get("X-Relay"), "origin=")
	return origin == "upstream"
}

// aCode is what the codes of errors look like; others are not worth showing.
var aCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,63}$`)

// relayError returns the code of the relay's own error, or "".
func (a *answer) relayError() string {
	if code := a.header.Get("X-Relay-Error"); aCode.MatchString(code) {
		return code
	}
	return ""
}

// apiError returns the code of an error in OpenAI's shape, or "".
func (a *answer) apiError() string {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	// What is no JSON has no code.
	if _ = json.Unmarshal(a.body, &body); aCode.MatchString(body.Error.Code) {
		return body.Error.Code
	}
	return ""
}
