package check

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
	"example.com/relay/internal/proc"
)

// page returns a platform that responds to everything with its own page.
func page(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>no relay</html>")
	}
}

func TestPlatformPages(t *testing.T) {
	t.Parallel()
	const aws, goog, vrcl = "X-Amzn-Requestid", "Server", "X-Vercel-Id"
	for _, test := range []struct {
		name   string
		page   http.HandlerFunc
		code   string
		advice string
	}{
		{"Lambda 403", page(403, aws, "1"), "platform_forbidden", "lambda:InvokeFunctionUrl and lambda:InvokeFunction"},
		{"Lambda 429", page(429, aws, "1"), "platform_throttled", "reserved concurrency"},
		{"Lambda 502", page(502, aws, "1"), "platform_crashed", "aws logs tail"},
		{"Lambda 504", page(504, aws, "1"), "platform_timeout", "timeout"},
		{"Google 403", page(403, goog, "Google Frontend"), "platform_forbidden", "roles/run.invoker"},
		{"Google 404", page(404, goog, "Google Frontend"), "platform_not_found", "ingress"},
		{"Google 503", page(503, goog, "Google Frontend"), "platform_crashed", "gcloud functions logs"},
		{"Vercel 401", page(401, vrcl, "1"), "platform_protected", "Deployment Protection"},
		{"Vercel 302", page(302, vrcl, "1", "Location", "https://vercel.com/sso-api?nonce=1"), "platform_protected",
			"Deployment Protection"},
		{"Vercel 404", page(404, vrcl, "1", "X-Vercel-Error", "DEPLOYMENT_NOT_FOUND"), "platform_not_found",
			"no such deployment"},
		{"Cloudflare 403", page(403, "Cf-Ray", "1"), "platform_forbidden", "bot protection"},
		{"Cloudflare 521", page(521, "Cf-Ray", "1"), "platform_crashed", "refuses connections"},
		{"404", page(404), "platform_not_found", "URL"},
		{"429", page(429), "platform_throttled", "again"},
		{"502", page(502), "platform_crashed", "log"},
		{"301", page(301, "Location", "https://other.example/?q"), "platform_redirect", "leads"},
		{"400", page(400), "platform_refused", "scheme"},
		{"200", page(200), "not_a_relay", "correct the URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := runCheck(t, serveHandler(t, test.page), "-token", canaryToken)
			c.want(t, exitError,
				map[string]string{"relay": "fail " + test.code, "access": "skip not_tried", "stream": "skip not_tried"})
			if advice := c.find(t, "relay").Advice; !strings.Contains(advice, test.advice) {
				t.Errorf("advice = %q, want %q in it", advice, test.advice)
			}
		})
	}
}

// Cloudflare's own errors are recognized by the number in their page, in either of
// its forms, or by their status.
func TestCloudflarePages(t *testing.T) {
	t.Parallel()
	const text, html = "error code: 1102", `<title>Worker threw exception | relay.example | Cloudflare</title>` +
		`<h1><span>Error</span><span>1101</span></h1><h2>Ray ID: 1102</h2><div class="cf-error-code">1101</div>`
	for _, test := range []struct {
		status               int
		body                 string
		code, number, advice string
	}{
		{429, "error code: 1015", "platform_throttled", "1015", "rate limiting rule"},
		{429, "error code: 1027", "platform_throttled", "1027", "midnight UTC"},
		{500, html, "platform_crashed", "1101", "paste worker.js again"},
		{503, text, "platform_crashed", "1102", "CPU time"},
		{530, "error code: 1016", "platform_crashed", "1016", "host name that does not exist"},
		{530, "error code: 1033", "platform_crashed", "1033", "cloudflared"},
		{403, "error code: 1042", "platform_forbidden", "1042", "its own zone"},
		{530, "error code: 1999", "platform_crashed", "530", "DNS record"},
		{520, "<html>", "platform_crashed", "520", "its log"},
		{521, "error code: 521", "platform_crashed", "521", "refuses connections"},
		{522, "", "platform_crashed", "522", "firewall"},
		{523, "", "platform_crashed", "523", "DNS record"},
		{524, "", "platform_timeout", "524", "100 s"},
		{525, "", "platform_crashed", "525", "speaks TLS"},
		{526, "", "platform_crashed", "526", "renew"},
	} {
		t.Run(test.number, func(t *testing.T) {
			t.Parallel()
			url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cf-Ray", "1102")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			c := runCheck(t, url, "-token", canaryToken)
			c.want(t, exitError, map[string]string{"relay": "fail " + test.code})
			found := c.find(t, "relay")
			if !strings.Contains(found.Advice, test.advice) ||
				!strings.HasSuffix(found.Detail, ": error "+test.number) {
				t.Errorf("got %q, %q; want error %s and %q", found.Detail, found.Advice, test.number, test.advice)
			}
		})
	}
}

func TestPlatformOfHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"x.lambda-url.eu-central-1.on.aws": lambda,
		"relay-abc-ew.a.run.app":           google,
		"eu-project.cloudfunctions.net":    google,
		"Relay.Vercel.app.":                vercel,
		"relay.account.workers.dev":        cloudflare,
		"relay.pages.dev":                  cloudflare,
		"relay.example":                    "",
	} {
		if got := platformOf(host, http.Header{}); got != want {
			t.Errorf("platformOf(%s) = %q, want %q", host, got, want)
		}
	}
}

func TestMisconfigured(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, core.FromEnv([]string{"RELAY_NONSENSE=1"}, core.Platform{Name: "Test", Serverless: true}))
	runCheck(t, url).want(t, exitError,
		map[string]string{"relay": "fail relay_misconfigured", "upstream": "skip not_tried", "body": "skip not_tried"})
}

func TestWrongHost(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, newRelay(t, openAI, func(cfg *core.Config) { cfg.AllowedHosts = []string{"relay.example"} }))
	runCheck(t, url).want(t, exitError, map[string]string{"relay": "fail host_not_allowed"})
}

func TestUnreadableHealth(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, page(200, "X-Relay", "relay; origin=relay"))
	runCheck(t, url).want(t, exitError, map[string]string{"relay": "fail health_unreadable"})
}

// holdToken returns a change that adds the token named-token with these rights.
func holdToken(token core.NamedToken) func(*core.Config) {
	token.Name, token.Token = "alice", "named-token"
	return func(cfg *core.Config) { cfg.NamedTokens = []core.NamedToken{token} }
}

func TestUpstreamAndAccess(t *testing.T) {
	t.Parallel()
	gone := "http://" + proc.RefusingAddr(t)
	holdKey := func(cfg *core.Config) { cfg.APIKey = canaryKey }
	for _, test := range []struct {
		name   string
		api    http.HandlerFunc
		change func(*core.Config)
		token  core.Secret
		key    core.Secret
		exit   int
		want   map[string]string
	}{
		{"no token", openAI, nil, "", "", exitError,
			map[string]string{"upstream": "ok", "access": "fail invalid_access_token", "body": "skip not_tried"}},
		{"wrong token", openAI, nil, "wrong", canaryKey, exitError,
			map[string]string{"access": "fail invalid_access_token"}},
		{"expired token", openAI, holdToken(core.NamedToken{Expires: time.Unix(1, 0)}), "named-token", canaryKey,
			exitError, map[string]string{"access": "fail token_expired", "body": "skip not_tried"}},
		{"token with paths", openAI, holdToken(core.NamedToken{Paths: []string{"/v1/responses"}}), "named-token",
			canaryKey, exitOK, map[string]string{"access": "warn token_not_allowed", "body": "skip not_tried"}},
		{"named token", openAI, holdToken(core.NamedToken{PerMinute: 60}), "named-token", canaryKey, exitOK,
			map[string]string{"access": "ok", "body": "ok"}},
		{"wrong key", openAI, nil, canaryToken, "other_" + canaryKey, exitError,
			map[string]string{"access": "fail key_rejected", "body": "ok"}},
		{"held key", openAI, holdKey, canaryToken, "", exitOK, map[string]string{"access": "ok"}},
		{"held key, token as key", openAI, holdKey, "", canaryToken, exitOK,
			map[string]string{"access": "ok", "body": "ok"}},
		{"held key is wrong", openAI, func(cfg *core.Config) { cfg.APIKey = "other" }, canaryToken, canaryKey,
			exitError, map[string]string{"access": "fail held_key_rejected"}},
		{"no token required", openAI, func(cfg *core.Config) { cfg.AccessTokens = nil }, "", "", exitOK,
			map[string]string{"access": "ok"}},
		{"refused region", apiError(403, codeRegionRefused), nil, canaryToken, canaryKey, exitError,
			map[string]string{"upstream": "fail " + codeRegionRefused, "access": "skip not_tried", "body": "ok"}},
		{"refused region with a key only", keyed(apiError(403, codeRegionRefused)), nil, canaryToken, canaryKey,
			exitError, map[string]string{"upstream": "ok", "access": "fail " + codeRegionRefused}},
		{"upstream down", openAI, func(cfg *core.Config) { cfg.Upstreams = []core.Secret{core.Secret(gone)} },
			canaryToken, canaryKey, exitError,
			map[string]string{"upstream": "fail upstream_connect", "access": "skip not_tried", "body": "ok"}},
		{"upstream cuts", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, canaryToken,
			canaryKey, exitError, map[string]string{"upstream": "fail upstream_reset", "access": "skip not_tried"}},
		{"upstream is not an API", page(404), nil, canaryToken, canaryKey, exitError,
			map[string]string{"upstream": "fail upstream_unexpected_status", "access": "fail api_status"}},
		{"restricted key", keyed(apiError(403, "insufficient_permissions")), nil, canaryToken, canaryKey, exitOK,
			map[string]string{"access": "warn key_restricted"}},
		{"key at its limit", keyed(apiError(429, "insufficient_quota")), nil, canaryToken, canaryKey, exitOK,
			map[string]string{"access": "warn key_limited"}},
		{"API fails", keyed(apiError(500, "server_error")), nil, canaryToken, canaryKey, exitError,
			map[string]string{"access": "fail api_status"}},
		{"wrong token of an upstream relay", relayError(401, "invalid_access_token"), nil, canaryToken, canaryKey,
			exitError, map[string]string{"access": "fail invalid_access_token", "body": "ok"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serveHandler(t, newRelay(t, test.api, test.change))
			examine(t, url, func(d *doctor) { d.token, d.key = test.token, test.key }).want(t, test.exit, test.want)
		})
	}
}

// relayError returns a relay as an upstream: its error, of which only the body is
// forwarded.
func relayError(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"no","type":"relay_error","param":null,"code":"`+code+`"}}`)
	}
}

// keyed returns an API that responds as api does to requests with a key, and as
// openAI does to all others.
func keyed(api http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "" {
			openAI(w, req)
			return
		}
		api(w, req)
	}
}

func TestSilentUpstream(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, newRelay(t, func(w http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, nil))
	examine(t, url, func(d *doctor) { d.token, d.timeout = "", 500*time.Millisecond }).
		want(t, exitError,
			map[string]string{"upstream": "fail upstream_timeout", "access": "fail invalid_access_token", "cors": "ok"})
}

// A relay on another machine that everyone may use is worth a warning.
func TestJudgeOpenness(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		base     string
		required bool
		want     verdict
	}{
		{"https://relay.example", false, verdictWarn},
		{"https://relay.example", true, verdictOK},
		{"http://127.0.0.1:8787", false, verdictOK},
	} {
		base, err := parseRelayURL(test.base)
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{options: options{base: base}, health: protocol.Health{TokenRequired: test.required}}
		if r := d.judgeOpenness(pass("works")); r.Verdict != test.want {
			t.Errorf("judgeOpenness at %s, token required %v = %s, want %s", test.base, test.required, r.Verdict,
				test.want)
		}
	}
}
