package core

import (
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/core/failover"
)

func TestParseEnv(t *testing.T) {
	cfg, err := ParseEnv([]string{
		"PATH=/bin", "RELAY_UPSTREAMS= https://us.api.openai.com/v1/ ",
		"RELAY_ACCESS_TOKENS=one, rt_two,sha256:" + strings.Repeat("ab", 32),
		"RELAY_API_KEY=sk-1", "RELAY_PATH_TOKENS=true", "RELAY_ALLOWED_ORIGINS=https://a.example,http://localhost:3000",
		"RELAY_ALLOWED_HOSTS=a.example", "RELAY_PATHS=/v1/,/openai/v1/", "RELAY_PAGE=off", "RELAY_MAX_BODY_BYTES=1000",
		"RELAY_MAX_IN_FLIGHT=5",
		"RELAY_IDLE_TIMEOUT=1m", "RELAY_MAX_STREAM_TIME=15m", "RELAY_KEEPALIVE=15s", "RELAY_BODY_TIMEOUT=off",
		"RELAY_WRITE_TIMEOUT=0",
		"RELAY_NAME=first", "RELAY_NAME=paris-1", "RELAY_REGION=eu-west-3", "AWS_REGION=us-east-1",
		"RELAY_LOG_LEVEL=warn",
		"RELAY_LAMBDA_INVOKE_MODE=RESPONSE_STREAM", "RELAY_ALLOW_ANYONE=true", "RELAY_ALLOW_PRIVATE_HTTP=true",
		"RELAY_DRAIN_TIMEOUT=5s",
		"RELAY_IDLE_CONNECTION_TIMEOUT=off", "RELAY_UPSTREAM_HTTP=2",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Upstreams:    []Secret{"https://us.api.openai.com/v1/"},
		AccessTokens: []Secret{"one", "rt_two", Secret("sha256:" + strings.Repeat("ab", 32))},
		APIKey:       "sk-1", PathTokens: true, AllowedOrigins: []string{"https://a.example", "http://localhost:3000"},
		AllowedHosts: []string{"a.example"}, Paths: []string{"/v1/", "/openai/v1/"}, NoPage: true, MaxBodyBytes: 1000,
		MaxInFlight: 5,
		IdleTimeout: time.Minute, MaxStreamTime: 15 * time.Minute, Keepalive: 15 * time.Second, BodyTimeout: -1,
		WriteTimeout: -1,
		Name:         "paris-1", Region: "eu-west-3", LogLevel: 4, LambdaInvokeMode: "RESPONSE_STREAM",
		AllowAnyone: true, AllowPrivateHTTP: true, DrainTimeout: 5 * time.Second, IdleConnectionTimeout: -1,
		UpstreamHTTP: failover.HTTP2,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %#v\nwant %#v", cfg, want)
	}
	if cfg, err = ParseEnv([]string{"RELAY_UPSTREAMS=", "VERCEL_REGION=fra1", "HOME=/"}); err != nil ||
		!reflect.DeepEqual(cfg, Config{Region: "fra1"}) {
		t.Errorf("empty: %#v, %v", cfg, err)
	}
}

func TestBadSettingsAreReportedAtOnce(t *testing.T) {
	const secret = "hunter2,with spaces.and-dots"
	_, err := ParseEnv([]string{
		"RELAY_UPSTREAMS=http://" + "api.openai.com", "RELAY_ACCESS_TOKENS=good, " + secret + ",sha256:xyz",
		"RELAY_API_KEY=sk two words",
		"RELAY_PATH_TOKENS=perhaps", "RELAY_ALLOWED_ORIGINS=*,https://a.example/path", "RELAY_PATHS=v1",
		"RELAY_PAGE=no", "RELAY_MAX_BODY_BYTES=6MB",
		"RELAY_MAX_IN_FLIGHT=0", "RELAY_IDLE_TIMEOUT=soon", "RELAY_MAX_STREAM_TIME=-1s", "RELAY_NAME=a b",
		"RELAY_LOG_LEVEL=loud",
		"RELAY_LAMBDA_INVOKE_MODE=STREAM", "RELAY_KEPALIVE=15s", "RELAY_TOKEN=" + secret, "RELAY_REGION=\x01",
	})
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	for _, name := range []string{
		"RELAY_UPSTREAMS", "RELAY_ACCESS_TOKENS, value 3", "RELAY_ACCESS_TOKENS, value 4", "RELAY_API_KEY",
		"RELAY_PATH_TOKENS",
		"RELAY_ALLOWED_ORIGINS, value 1", "RELAY_ALLOWED_ORIGINS, value 2", "RELAY_PATHS", "RELAY_PAGE",
		"RELAY_MAX_BODY_BYTES", "RELAY_MAX_IN_FLIGHT",
		"RELAY_IDLE_TIMEOUT", "RELAY_MAX_STREAM_TIME", "RELAY_NAME", "RELAY_LOG_LEVEL", "RELAY_LAMBDA_INVOKE_MODE",
		`"RELAY_KEPALIVE"`,
		"did you mean RELAY_KEEPALIVE", `"RELAY_TOKEN"`, "RELAY_REGION",
	} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not named in: %s", name, text)
		}
	}
	for _, value := range []string{"hunter2", "two words", "perhaps", "6MB", "soon", "loud", "xyz"} {
		if strings.Contains(text, value) {
			t.Errorf("the value %q is shown in: %s", value, text)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("more than one line: %q", text)
	}
}

func TestConfigProblems(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string // in the error; empty: none
	}{
		{"zero", Config{}, ""},
		{"https", Config{Upstreams: []Secret{"https://eu.api.openai.com"}}, ""},
		{"loopback", Config{Upstreams: []Secret{"http://127.0.0.1:8080"}}, ""},
		{"loopback, IPv6", Config{Upstreams: []Secret{"http://[::1]:8080/base"}}, ""},
		{"localhost", Config{Upstreams: []Secret{"http://localhost:8080"}}, ""},
		{"plain http", Config{Upstreams: []Secret{"http://relay.example"}}, "must be https"},
		{"plain http, looks like loopback", Config{Upstreams: []Secret{"http://127.0.0.1.example"}}, "must be https"},
		{"several", Config{Upstreams: []Secret{"https://a.example", "https://rt_token@b.example/base#second"}}, ""},
		{"twice", Config{Upstreams: []Secret{"https://a.example", "https://b.example", "https://a.example/v1"}},
			"RELAY_UPSTREAMS, value 3: is the same upstream as value 1"},
		{"user", Config{Upstreams: []Secret{"https://user:pass@a.example"}}, "user name"},
		{"token of OpenAI", Config{Upstreams: []Secret{"https://rt_token@api.openai.com"}}, "OpenAI's own"},
		{"empty token", Config{Upstreams: []Secret{"https://rt_@a.example"}}, "access token"},
		{"policy", Config{Policy: "fastest"}, "order or latency"},
		{"version of HTTP", Config{UpstreamHTTP: "3"}, "RELAY_UPSTREAM_HTTP: must be auto, 1.1 or 2"},
		{"probes", Config{ProbeInterval: time.Millisecond}, "RELAY_PROBE_INTERVAL"},
		{"query", Config{Upstreams: []Secret{"https://a.example?x"}}, "query"},
		{"no scheme", Config{Upstreams: []Secret{"api.openai.com"}}, "base URL such as"},
		{"other scheme", Config{Upstreams: []Secret{"ftp://a.example"}}, "https://"},
		{"dot segments", Config{Upstreams: []Secret{"https://a.example/x/../y"}}, "path"},
		{"held key without tokens", Config{APIKey: "sk-1"}, "needs RELAY_ACCESS_TOKENS"},
		{"held key with tokens", Config{APIKey: "sk-1", AccessTokens: []Secret{"t"}}, ""},
		{"secret that nobody read", Config{APIKeySecret: "relay/openai", AccessTokens: []Secret{"t"}},
			"RELAY_API_KEY_SECRET: could not be read"},
		{"key and secret", Config{APIKeySecret: "relay/openai", APIKey: "sk-1", AccessTokens: []Secret{"t"}},
			"one of the two"},
		{"token with a dot", Config{AccessTokens: []Secret{"a.b"}}, "dots"},
		{"token that is a prefix", Config{AccessTokens: []Secret{"rt_"}}, "empty"},
		{"empty token", Config{AccessTokens: []Secret{""}}, "empty"},
		{"hash of an empty token",
			Config{AccessTokens: []Secret{"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},
			"empty"},
		{"base64 token", Config{AccessTokens: []Secret{"Zm9v+/=="}}, ""},
		{"short hash", Config{AccessTokens: []Secret{"sha256:abcd"}}, "64 hexadecimal"},
		{"no port", Config{Upstreams: []Secret{"https://a.example:"}}, "port"},
		{"large port", Config{Upstreams: []Secret{"https://a.example:99999"}}, "port"},
		{"endless body", Config{MaxBodyBytes: 1 << 62}, "1 TiB"},
		{"negative body", Config{MaxBodyBytes: -1}, "1 TiB"},
		{"short keepalive", Config{Keepalive: time.Nanosecond}, "1s or longer"},
		{"root path", Config{Paths: []string{"/"}}, "leave"},
		{"own path", Config{Paths: []string{"/relay/x/"}}, "leave"},
		{"origin null", Config{AllowedOrigins: []string{"null"}}, ""},
		{"origin with slash", Config{AllowedOrigins: []string{"https://a.example/"}}, "without a path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.cfg)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: %v, want %q", err, test.want)
			}
		})
	}
}

// Values that could never work are refused, with what to do instead.
func TestValuesThatCannotWork(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []string
		want   string // in the error; empty: they work
	}{
		{"RELAY_ALLOWED_HOSTS", []string{
			"*", "relay.example", "Relay.EXAMPLE", "relay.example.", "a_b.example,localhost", "127.0.0.1", "::1",
			"[::1]", "2001:DB8::1", "xn--bcher-kva.example", "10.0.0.1,relay",
		}, ""},
		{"RELAY_ALLOWED_HOSTS", []string{
			"relay.example:443", "https://relay.example", "relay.example/", "*.relay.example", "a.example,*",
			"*,a.example", "127.0.0.1:8787", "[::1]:8787", "bücher.example", "a b", "relay..example",
			".relay.example", "fe80::1%eth0", "[127.0.0.1]", "300.1.1.1", "127.1", "0x7f.1", "user@relay.example",
			"relay.example?", "[]", ":8787", "abc:80",
		}, "RELAY_ALLOWED_HOSTS"},
		{"RELAY_ALLOWED_ORIGINS", []string{
			"*", "none", "null", "https://chat.example", "http://localhost:3000", "https://chat.example:8443",
			"http://chat.example:443", "https://[::1]:3000", "http://127.0.0.1:5173", "chrome-extension://abcdefgh",
			"app://obsidian.md", "capacitor://localhost", "moz-extension://6a2b-1", "https://chat.example,null",
			"https://xn--bcher-kva.example",
		}, ""},
		{"RELAY_ALLOWED_ORIGINS", []string{
			"https://Chat.example", "HTTPS://chat.example", "https://chat.example:443", "http://chat.example:80",
			"https://chat.example/", "https://chat.example/app", "https://*.example", "https://*", "*.example",
			"chat.example", "https://chat.example:", "https://chat.example:0443", "https://chat.example:x",
			"https://chat.example:99999", "https://user@chat.example", "https://chat.example?x",
			"https://bücher.example",
			"https://[0:0::1]", "https://[::1", "https://127.1", "https://127.0.0.01", "https://0x7f000001",
			"//chat.example", "https://", "https://a b", "None", "NULL", "https://chat.example#",
		}, "lower case"},
		{"RELAY_UPSTREAMS", []string{
			"https://api.openai.com/v1", "https://x.services.ai.azure.com/models",
			"https://gateway.ai.cloudflare.com/v1/account/gateway/openai",
			"https://aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi",
			"https://relay.example/chat", "https://relay.example/completions", "https://relay.example/v1/audio",
		}, ""},
		{"RELAY_UPSTREAMS", []string{
			"https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/chat/completions/",
			"https://api.openai.com/v1/responses/compact",
			"https://api.openai.com/v1/realtime/client_secrets", "https://api.openai.com/v1/vector_stores/",
			"https://x.openai.azure.com/openai/deployments/d/chat/completions", "https://api.openai.com/v1/responses",
			"https://api.openai.com/v1/models", "https://relay.example/openai/v1/embeddings",
			"https://api.openai.com/v1/audio/speech", "https://rt_t@relay.example/v1/completions#name",
			"https://api.example/chat/completions/v1",
		}, "endpoint"},
		{"RELAY_ACCESS_TOKENS", []string{"SHA256:" + strings.Repeat("ab", 32), "Sha256:x"}, "lower case"},
		{"RELAY_PATHS", []string{"/v1%2fx/", "/v1/a%2Fb/"}, "RELAY_PATHS"},
	} {
		for _, value := range test.values {
			_, err := ParseEnv([]string{test.name + "=" + value})
			if test.want == "" && err != nil || test.want != "" &&
				(err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s=%s: %v, want %q", test.name, value, err, test.want)
			}
		}
	}
}

// docker --env-file keeps quotes, which shells take off.
func TestQuotesAreRefused(t *testing.T) {
	for _, s := range Settings() {
		for _, value := range []string{`"x"`, `'x'`, `"x`, `x"`, `""`, ` "true" `} {
			if _, err := ParseEnv([]string{s.Name + "=" + value}); err == nil ||
				!strings.Contains(err.Error(), s.Name+": is in quotes") {
				t.Errorf("%s=%s: %v", s.Name, value, err)
			}
		}
	}
	for _, value := range []string{`one,"two",three`, `one,'two'`} {
		if _, err := ParseEnv([]string{"RELAY_ACCESS_TOKENS=" + value}); err == nil ||
			!strings.Contains(err.Error(), "is in quotes") {
			t.Errorf("%s: %v", value, err)
		}
	}
	if _, err := ParseEnv([]string{`RELAY_ACCESS_TOKENS=a"b`}); err != nil {
		t.Errorf("a quotation mark inside a token: %v", err)
	}
}

// Plain http beyond loopback is for the user's own networks only, and by a setting.
func TestPrivateHTTP(t *testing.T) {
	for _, test := range []struct {
		hosts   []string
		private bool
	}{
		{[]string{
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.5:11434", "100.64.0.1", "100.127.255.255",
			"[fd00::1]:8000", "[::ffff:10.0.0.1]",
			"ollama:11434", "vllm-1:8000/v1", "my_service", "OLLAMA",
		}, true},
		{[]string{
			"relay.example", "8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "100.128.0.1", "100.63.255.255",
			"[2001:db8::1]", "[::ffff:8.8.8.8]", "0.0.0.0", "[::]", "ollama.", "134744072", "0x08080808", "10.1",
			"host.docker.internal", "ollama.default.svc", "api.openai.com", "10.0.0.1.example", "255.255.255.255",
			"224.0.0.1", "8", "-ollama",
			"169.254.169.254", "169.254.1.1", "[::ffff:169.254.169.254]", "[fe80::1]",
		}, false},
		{[]string{"127.0.0.1:8080", "localhost", "[::1]:80"}, true},
	} {
		for _, host := range test.hosts {
			loopback := test.private && (strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "localhost") ||
				strings.HasPrefix(host, "[::1]"))
			for _, setting := range []string{"", "false", "true"} {
				environ := []string{"RELAY_UPSTREAMS=http://" + host, "RELAY_ALLOW_PRIVATE_HTTP=" + setting}
				_, err := ParseEnv(environ)
				if want := loopback || test.private && setting == "true"; (err == nil) != want {
					t.Errorf("%q: %v, want it accepted: %t", environ, err, want)
				}
				if err != nil && test.private && !strings.Contains(err.Error(), "RELAY_ALLOW_PRIVATE_HTTP=true") {
					t.Errorf("%q: %v does not name the setting", environ, err)
				}
			}
			if _, err := ParseEnv([]string{"RELAY_UPSTREAMS=https://" + host,
				"RELAY_ALLOW_PRIVATE_HTTP=true"}); err != nil && !strings.HasPrefix(host, "[::]") {
				t.Errorf("https://%s: %v", host, err)
			}
		}
	}
}

// A request to a private address is sent there, by no proxy.
func TestPrivateHTTPIsSent(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	var asked string
	f := &front{log: new(lockedBuffer)}
	f.start(t, "http://ollama:11434/v1", func(cfg *Config) {
		cfg.AllowPrivateHTTP, cfg.ProxyFromEnvironment = true, true
		cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
			asked = req.URL.String()
			return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
				Header: http.Header{}}, nil
		})
	})
	if res, body := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != 200 ||
		asked != "http://ollama:11434/v1/models" {
		t.Errorf("%d %s, asked %q", res.StatusCode, body, asked)
	}
	for address, direct := range map[string]bool{"http://10.0.0.1": true, "http://ollama": true} {
		req, _ := http.NewRequest("GET", address, nil)
		if proxy, err := ProxyFromEnvironment(req); (proxy == nil) != direct || err != nil {
			t.Errorf("%s goes by %v, %v", address, proxy, err)
		}
	}
}

// SetUpstreams takes what the settings allow.
func TestPrivateHTTPLaterOn(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		relay, err := New(Config{AllowPrivateHTTP: allowed, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := relay.SetUpstreams([]Secret{"http://ollama:11434"}); (err == nil) != allowed {
			t.Errorf("allowed %t: %v", allowed, err)
		}
		if err := relay.SetUpstreams([]Secret{"http://relay.example"}); err == nil {
			t.Errorf("allowed %t: plain http to anywhere", allowed)
		}
		relay.stop()
	}
}

func TestEmptyEntriesOfListsAreErrors(t *testing.T) {
	for _, name := range []string{"RELAY_ACCESS_TOKENS", "RELAY_ALLOWED_ORIGINS", "RELAY_ALLOWED_HOSTS", "RELAY_PATHS",
		"RELAY_UPSTREAMS"} {
		for _, value := range []string{",", "x,", ",x", "x,,y"} {
			if _, err := ParseEnv([]string{name + "=" + value}); err == nil ||
				!strings.Contains(err.Error(), "empty entry") {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
}

// FuzzParseEnv: what ParseEnv accepts, New accepts, and no error shows a value.
func FuzzParseEnv(f *testing.F) {
	for _, seed := range []string{
		"RELAY_UPSTREAMS=https://a", "RELAY_UPSTREAMS=http://[::1]%25", "RELAY_ACCESS_TOKENS=a,b",
		"RELAY_API_KEY=k\nRELAY_ACCESS_TOKENS=t",
		"RELAY_PATHS=/v1/,/%2e/", "RELAY_ALLOWED_ORIGINS=null", "RELAY_NAME=\x00", "RELAY_IDLE_TIMEOUT=1ns",
		"RELAY_MAX_BODY_BYTES=9223372036854775807",
		"RELAY_UPSTREAMS=https://h:99999",
		`RELAY_UPSTREAMS=[{"url":"https://a","api_key":"k%"},{"url":"https://b","token":"t"}]` +
			"\nRELAY_ACCESS_TOKENS=t",
		`RELAY_ACCESS_TOKENS=[{"name":"a","token":"t","upstreams":["a"]}]` + "\nRELAY_UPSTREAMS=https://h#a",
		"RELAY_UPSTREAMS=https://h/%zz", "=", "RELAY_",
	} {
		f.Add(seed, "CANARYVALUE")
	}
	f.Fuzz(func(t *testing.T, lines, secret string) {
		environ := append(strings.Split(lines, "\n"), "RELAY_API_KEY=sk-CANARY "+secret)
		if _, err := ParseEnv(environ); err != nil && strings.Contains(err.Error(), "CANARY") &&
			!strings.Contains(lines, "CANARY") {
			t.Errorf("%q: error shows a value: %v", environ, err)
		}
		cfg, err := ParseEnv(strings.Split(lines, "\n"))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		if slices.ContainsFunc(cfg.NamedTokens, func(token NamedToken) bool { return len(token.Upstreams) > 0 }) &&
			len(cfg.Upstreams) == 0 {
			return // relay serve may have them from a file
		}
		if _, err := New(cfg); err != nil {
			t.Errorf("%q: ParseEnv accepts, New says %v", lines, err)
		}
	})
}

// Kubernetes sets variables for each Service in the namespace, such as one called
// relay or relay-eu.
func TestServiceLinksAreNotSettings(t *testing.T) {
	_, err := ParseEnv([]string{
		"RELAY_SERVICE_HOST=10.0.0.1", "RELAY_SERVICE_PORT=8787", "RELAY_SERVICE_PORT_HTTP=8787",
		"RELAY_PORT=tcp://10.0.0.1:8787",
		"RELAY_PORT_8787_TCP=tcp://10.0.0.1:8787", "RELAY_PORT_8787_TCP_PROTO=tcp", "RELAY_PORT_8787_TCP_PORT=8787",
		"RELAY_PORT_8787_TCP_ADDR=10.0.0.1", "RELAY_EU_SERVICE_HOST=10.0.0.2", "RELAY_EU_PORT_443_TCP_ADDR=10.0.0.2",
		"RELAY_EU_PORT=udp://10.0.0.2:53", "RELAY_EU_PORT_53_UDP=udp://10.0.0.2:53",
		"RELAY_EU_SERVICE_PORT_WEB_TLS=443",
	})
	if err != nil {
		t.Errorf("ParseEnv: %v", err)
	}
	for _, entry := range []string{"RELAY_PORT=8787", "RELAY_LISTEN=:80", "RELAY_UPSTREAM_PORT=443", "RELAY_SERVICE=x",
		"RELAY_PORT_8787=x"} {
		if _, err := ParseEnv([]string{entry}); err == nil {
			t.Errorf("ParseEnv(%s) accepts it", entry)
		}
	}
}

// Docker's legacy --link sets variables for the linked container: its ports as
// Kubernetes does, its name, and each of its own variables.
func TestContainerLinksAreNotSettings(t *testing.T) {
	for _, tt := range []struct {
		about   string
		environ []string
		name    string // of this relay
	}{
		{"alias relay", []string{"RELAY_NAME=/web/relay", "RELAY_ENV_LANG=C", "RELAY_ENV_RELAY_API_KEY=sk-x"}, ""},
		{"alias relay-2", []string{"RELAY_2_NAME=/web/relay-2", "RELAY_2_ENV_LANG=C"}, ""},
		{"named itself", []string{"RELAY_NAME=eu", "RELAY_PORT=tcp://172.17.0.2:8787", "RELAY_ENV_LANG=C"}, "eu"},
	} {
		if cfg, err := ParseEnv(tt.environ); err != nil || cfg.Name != tt.name || cfg.APIKey != "" {
			t.Errorf("%s: ParseEnv = name %q, %v, want name %q", tt.about, cfg.Name, err, tt.name)
		}
	}
	for _, environ := range [][]string{
		{"RELAY_NAME=/web/eu"},
		{"RELAY_ENV_LANG=C"},
		{"RELAY_NAME=eu", "RELAY_ENV_LANG=C"},
		{"RELAY_NAME=/web/relay", "RELAY_ENVLANG=C"},
		{"RELAY_NAME=/web/relay", "RELAY_2_ENV_LANG=C"},
		{"RELAY_NAME=/web/relay", "RELAY_UPSTREAM=https://api.openai.com"},
		{"RELAY_UPSTREAM_NAME=/web/relay"},
	} {
		if _, err := ParseEnv(environ); err == nil {
			t.Errorf("ParseEnv(%q) accepts it", environ)
		}
	}
}
