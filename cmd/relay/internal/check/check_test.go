package check

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// The canaries must never be printed. They look like error codes, which check
// does print.
const (
	canaryToken = "canary_token_0123456789"
	canaryKey   = "canary_key_0123456789"
)

// A checked is the outcome of one run of check.
type checked struct {
	exit   int
	stdout string
	report report
}

// runCheck runs relay check with -json.
func runCheck(t *testing.T, args ...string) *checked {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &checked{exit: Run(t.Context(), append([]string{"-json"}, args...), &stdout, &stderr)}
	c.read(t, stdout.String())
	if stderr.Len() > 0 {
		t.Errorf("stderr = %q, want none", stderr.String())
	}
	return c
}

// examine runs a doctor with the canary token, changed by change if not nil. Unlike
// runCheck it leaves out the stream probe, which is slow.
func examine(t *testing.T, base string, change func(*doctor)) *checked {
	t.Helper()
	u, err := parseRelayURL(base)
	if err != nil {
		t.Fatal(err)
	}
	d := newDoctor(options{base: u, token: canaryToken, timeout: defaultTimeout})
	t.Cleanup(d.transport.CloseIdleConnections)
	d.probes = slices.DeleteFunc(slices.Clone(probes), func(p probe) bool { return p.name == "stream" })
	change(d)
	var stdout bytes.Buffer
	c := &checked{exit: d.examine(t.Context(), newReporter(&stdout, true))}
	c.read(t, stdout.String())
	return c
}

// find returns the result of a probe.
func (c *checked) find(t *testing.T, name string) result {
	t.Helper()
	i := slices.IndexFunc(c.report.Probes, func(r result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no probe %s in\n%s", name, c.stdout)
	}
	return c.report.Probes[i]
}

// read parses what check printed.
func (c *checked) read(t *testing.T, stdout string) {
	t.Helper()
	noCanary(t, stdout)
	c.stdout = stdout
	if err := json.Unmarshal([]byte(stdout), &c.report); err != nil {
		t.Fatalf("stdout is not a JSON object: %v\n%s", err, stdout)
	}
	if c.exit != c.report.Exit || c.report.OK != (c.exit == exitOK) {
		t.Errorf("exit %d, but JSON says exit %d, ok %v", c.exit, c.report.Exit, c.report.OK)
	}
	for _, r := range c.report.Probes {
		if r.Verdict == verdictFail && (r.Code == "" || r.Advice == "") || r.Verdict == verdictOK && r.Code != "" {
			t.Errorf("%+v: a failure must have a code and advice, and ok must have no code", r)
		}
	}
}

// want compares the exit status, and the probes named in want with their
// verdicts and codes. Probes that are not named must not have failed.
func (c *checked) want(t *testing.T, exit int, want map[string]string) {
	t.Helper()
	left := maps.Clone(want)
	for _, r := range c.report.Probes {
		got := strings.TrimSpace(string(r.Verdict) + " " + r.Code)
		if w, ok := want[r.Name]; ok && got != w || !ok && r.Verdict == verdictFail {
			t.Errorf("%s = %q (%s), want %q", r.Name, got, r.Detail, w)
		}
		delete(left, r.Name)
	}
	if c.exit != exit || len(left) > 0 {
		t.Errorf("exit = %d, want %d; no probes %q", c.exit, exit, slices.Collect(maps.Keys(left)))
	}
}

func noCanary(t *testing.T, output string) {
	t.Helper()
	if strings.Contains(output, canaryToken) || strings.Contains(output, canaryKey) {
		t.Errorf("output holds a secret:\n%s", output)
	}
}

// serveHandler serves h on 127.0.0.1 and returns its URL.
func serveHandler(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// newRelay returns a relay that requires the canary token, for an upstream that is
// api.
func newRelay(t *testing.T, api http.HandlerFunc, change func(*core.Config)) http.Handler {
	t.Helper()
	cfg := core.Config{
		Upstreams:    []core.Secret{core.Secret(serveHandler(t, api))},
		AccessTokens: []core.Secret{canaryToken},
		Region:       "eu-central-1",
		Logger:       slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	relay, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return relay
}

// openAI responds as the API does: with its models for the canary key, and with 401
// for any other.
func openAI(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if req.Header.Get("Authorization") != "Bearer "+canaryKey {
		apiError(http.StatusUnauthorized, "invalid_api_key")(w, req)
		return
	}
	_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
}

// apiError returns an API that responds with an error.
func apiError(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"no","type":"x","param":null,"code":"`+code+`"}}`)
	}
}

func TestHealthyRelay(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, newRelay(t, openAI, nil))
	all := map[string]string{
		"dns": "ok", "connect": "ok", "tls": "skip", "relay": "ok", "upstream": "ok",
		"access": "ok", "stream": "ok", "cors": "ok", "body": "ok", "websocket": "ok",
	}
	for _, args := range [][]string{
		{url, "-token", canaryToken, "-key", canaryKey},
		{"-token", canaryToken, url + "/v1/"}, // without a key, the API's 401 is ok
		{"-key", "rt_" + canaryToken + "." + canaryKey, url + "/v1/models/"},
	} {
		c := runCheck(t, args...)
		c.want(t, exitOK, all)
		if c.report.URL != url {
			t.Errorf("url = %q, want %q", c.report.URL, url)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, newRelay(t, openAI, nil))
	var stdout, stderr bytes.Buffer
	exit := Run(t.Context(), []string{url, "-token", "wrong" + canaryToken, "-key", canaryKey}, &stdout, &stderr)
	if exit != exitError || stderr.Len() > 0 {
		t.Errorf("exit = %d, stderr = %q, want 1 and none", exit, stderr.String())
	}
	noCanary(t, stdout.String())
	for _, line := range []string{
		`(?m)^  ok    dns        +\d+ ms   127\.0\.0\.1$`,
		`(?m)^  ok    relay      +\d+ ms   relay, version \S+ on server in eu-central-1$`,
		`(?m)^  fail  access     +\d+ ms   the access token is wrong\n {30}→ .*terraform output access_token`,
		`(?m)^  ok    stream     +\d+ ms   5 of 5 events over \d+ ms`,
		`(?m)^  skip  body       +\d+ ms   not tried, as access failed$`,
		`\n7 ok, 0 warnings, 1 failed, 2 skipped\n$`,
	} {
		if !regexp.MustCompile(line).MatchString(stdout.String()) {
			t.Errorf("no line %s in\n%s", line, stdout.String())
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		exit int
		says string
	}{
		{nil, exitUsage, "needs one URL, not 0"},
		{[]string{"https://relay.example", canaryToken}, exitUsage, "needs one URL, not 2"},
		{[]string{"relay.example"}, exitUsage, "no scheme"},
		{[]string{"127.0.0.1:8787"}, exitUsage, "no scheme"},
		{[]string{canaryToken}, exitUsage, "no scheme"},
		{[]string{"ftp://relay.example"}, exitUsage, "must begin with https://"},
		{[]string{"https://"}, exitUsage, "not a URL"},
		{[]string{"https://relay.example:port"}, exitUsage, "not a URL"},
		{[]string{"https://user:" + canaryKey + "@relay.example"}, exitUsage, "user name or password"},
		{[]string{"https://relay.example/v1?key=" + canaryKey}, exitUsage, "query"},
		{[]string{"https://relay.example/t/" + canaryToken + "/v1"}, exitUsage, "pass the token with -token"},
		{[]string{"https://relay.example", "-token", canaryToken + "\n" + canaryToken}, exitUsage, "-token has"},
		{[]string{"https://relay.example", "-timeout", "0s"}, exitUsage, "-timeout must be"},
		{[]string{"https://relay.example", "-nonsense"}, exitUsage, "-nonsense"},
		{[]string{"https://relay.example", "-h"}, exitOK, "-timeout"},
	} {
		var stdout, stderr bytes.Buffer
		exit := Run(t.Context(), test.args, &stdout, &stderr)
		if exit != test.exit || !strings.Contains(stderr.String(), test.says) || stdout.Len() > 0 {
			t.Errorf("check %q = %d, %q, want %d, %q", test.args, exit, stderr.String(), test.exit, test.says)
		}
		noCanary(t, stderr.String())
	}
}

func TestParseRelayURL(t *testing.T) {
	t.Parallel()
	for _, test := range [][2]string{
		{"https://relay.example", "https://relay.example"},
		{"https://relay.example/", "https://relay.example"},
		{"https://relay.example/v1", "https://relay.example"},
		{"HTTPS://relay.example/v1//", "https://relay.example"},
		{"https://relay.example/v1/chat/completions", "https://relay.example"},
		{"https://relay.example/relay/health", "https://relay.example"},
		{"https://eu-p.cloudfunctions.net/relay/v1", "https://eu-p.cloudfunctions.net/relay"},
		{"http://127.0.0.1:8787/v1", "http://127.0.0.1:8787"},
		{"http://[::1]:8787", "http://[::1]:8787"},
	} {
		if got, err := parseRelayURL(test[0]); err != nil || got.String() != test[1] {
			t.Errorf("parseRelayURL(%q) = %v, %v, want %s", test[0], got, err, test[1])
		}
	}
}

// A server may send back the secrets it got, and control characters.
func TestPrintsNoSecret(t *testing.T) {
	t.Parallel()
	for _, path := range []string{protocol.HealthPath, "/v1/models"} {
		url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Relay", canaryToken+"; origin=upstream")
			w.Header().Set("Location", "https://"+canaryToken+".example/"+canaryKey)
			w.Header().Set("Content-Type", canaryKey)
			if req.URL.Path == path {
				w.Header().Set("X-Relay-Error", canaryToken)
				w.WriteHeader(http.StatusFound)
			}
			_, _ = io.WriteString(w, `{"status":"ok","name":"`+canaryToken+`\u001b[31m","version":"`+canaryKey+
				`","max_body_bytes":9,"upstream":{"ok":false,"code":"`+canaryKey+`"},"error":{"code":"`+canaryKey+`"}}`)
		}))
		var stdout, stderr bytes.Buffer
		Run(t.Context(), []string{url, "-token", canaryToken, "-key", canaryKey}, &stdout, &stderr)
		noCanary(t, stdout.String()+stderr.String())
		if strings.Contains(stdout.String(), "\x1b") || !strings.Contains(stdout.String(), "[redacted]") {
			t.Errorf("output has control characters or redacts nothing:\n%q", stdout.String())
		}
	}
}
