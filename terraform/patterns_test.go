package terraform_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
)

// A rule says which values Terraform accepts: those that like matches and unlike
// does not. Terraform's regular expressions are Go's.
type rule struct{ like, unlike string }

func (r rule) accepts(value string) bool {
	return regexp.MustCompile(r.like).MatchString(value) &&
		(r.unlike == "" || !regexp.MustCompile(r.unlike).MatchString(value))
}

// whole returns an expression that matches values which expression matches as a
// whole. Surrounding space is ignored, and an empty value counts as unset.
func whole(expression string) string { return `^\s*(` + expression + `)?\s*$` }

// upTo returns an expression for the integers from 1 to limit, as strconv.ParseInt
// accepts them.
func upTo(limit string) string {
	shorter := fmt.Sprintf("[1-9][0-9]{0,%d}", len(limit)-2)
	options := []string{shorter, limit}
	for i, digit := range limit {
		from := '0'
		if i == 0 {
			from = '1'
		}
		if digit > from {
			options = append(options, fmt.Sprintf("%s[%c-%c][0-9]{%d}", limit[:i], from, digit-1, len(limit)-1-i))
		}
	}
	return `\+?0*(` + strings.Join(options, "|") + `)`
}

const (
	number = `([0-9]{1,6}(\.[0-9]{0,9})?|\.[0-9]{1,9})`
	unit   = `(h|m|s|ms|us|µs|ns)`
	none   = `off|[+-]?0|[+-]?((0+(\.0*)?|\.0+)` + unit + `)+`

	// duration is a duration as time.ParseDuration accepts it, below 2562047 hours.
	duration = none + `|\+?(` + number + unit + `)+`

	// seconds is a duration with a part of a second or more; parts that only add up to
	// one are not accepted.
	seconds = none + `|\+?(` + number + unit + `)*(` +
		`0*[1-9][0-9]{0,5}(\.[0-9]{0,9})?(h|m|s)|0?\.[1-9][0-9]{0,8}(h|m)|0*[1-9][0-9]{3,8}(\.[0-9]{0,9})?ms` +
		`)(` + number + unit + `)*`

	boolean  = `true|false|1|0`
	segments = `/([A-Za-z0-9._~!$&'()*+=:@-]+/)+`
	host     = `([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])`

	// A host name is one whose last label cannot be taken for a number, which hexNumber
	// excludes.
	octet     = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4      = octet + `(\.` + octet + `){3}`
	ipv6      = `[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*`
	hostName  = `([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\.?`
	hexNumber = `0[xX][0-9A-Fa-f]*\.?`
	hostEntry = `\s*(` + hostName + `|` + ipv4 + `|` + ipv6 + `|\[` + ipv6 + `\])\s*`
)

// port returns an expression for a port as browsers write it.
func port() string { return strings.TrimPrefix(upTo("65535"), `\+?0*`) }

// elsewhere refuses every value: of settings with a variable of their own, and of
// those that are not for functions.
var elsewhere = rule{like: `^$`}

// rules are the rules for the values of settings, as core.ParseEnv accepts them.
var rules = map[string]rule{
	"RELAY_UPSTREAMS":               elsewhere,
	"RELAY_UPSTREAM_HTTP":           {like: whole(`auto|1\.1|2`)},
	"RELAY_POLICY":                  {like: whole(`order|latency`)},
	"RELAY_ALLOW_PRIVATE_HTTP":      {like: whole(boolean)},
	"RELAY_ALLOW_ANYONE":            {like: whole(boolean)},
	"RELAY_DRAIN_TIMEOUT":           {like: whole(duration)},
	"RELAY_IDLE_CONNECTION_TIMEOUT": {like: whole(duration)},
	"RELAY_RESEND_AMBIGUOUS":        {like: whole(boolean)},
	"RELAY_RESUME_RESPONSES":        {like: whole(boolean)},
	"RELAY_RETRY_QUOTA":             {like: whole(boolean)},
	"RELAY_PROBE_INTERVAL":          {like: whole(seconds)},
	"RELAY_ACCESS_TOKENS":           elsewhere,
	"RELAY_API_KEY":                 elsewhere,
	"RELAY_API_KEY_SECRET":          elsewhere,
	"RELAY_PATH_TOKENS":             {like: whole(boolean)},
	"RELAY_ALLOWED_ORIGINS":         elsewhere,
	"RELAY_ALLOWED_HOSTS": {like: whole(`\*|` + hostEntry + `(,` + hostEntry + `)*`),
		unlike: `(^|[,.])\s*` + hexNumber + `\s*(,|$)`},
	"RELAY_PATHS": {like: whole(`\s*` + segments + `\s*(,\s*` + segments + `\s*)*`),
		unlike: `(^|,)\s*/(relay|t)/|/\.\.?/`},
	"RELAY_PAGE":               {like: whole(`on|off`)},
	"RELAY_MAX_BODY_BYTES":     {like: whole(upTo("1099511627776"))},
	"RELAY_MAX_IN_FLIGHT":      {like: whole(`off|` + upTo("2147483647"))},
	"RELAY_IDLE_TIMEOUT":       {like: whole(duration)},
	"RELAY_MAX_STREAM_TIME":    {like: whole(duration)},
	"RELAY_KEEPALIVE":          {like: whole(seconds)},
	"RELAY_BODY_TIMEOUT":       {like: whole(duration)},
	"RELAY_WRITE_TIMEOUT":      {like: whole(duration)},
	"RELAY_NAME":               elsewhere,
	"RELAY_REGION":             elsewhere,
	"RELAY_LOG_LEVEL":          {like: whole(`debug|info|warn|error|off`)},
	"RELAY_LOG_SAMPLE":         {like: whole(upTo("1000000"))},
	"RELAY_LOG_USAGE":          {like: whole(boolean)},
	"RELAY_LAMBDA_INVOKE_MODE": elsewhere,
}

// Rules for an entry of the lists that have a variable of their own.
var (
	// Plain http, which ParseEnv accepts for loopback addresses, is refused: a function
	// cannot reach the machine that deploys it.
	upstreamRule = rule{like: `^https://(rt_[!"$-+\-0-9;-?A-~]+@)?` + host + `(:` + strings.Replace(upTo("65535"),
		`\+?`, "", 1) + `)?(/[A-Za-z0-9_~.:-]+)*/*(#[!-+\--~]*)?$`, unlike: `/\.\.?(/|#|$)|["']$|` +
		`/(chat/completions|v1/(completions|responses|embeddings|models|moderations|messages|files|batches|` +
		`realtime|videos|conversations|assistants|threads|uploads|vector_stores|containers|evals|(audio|images|` +
		`realtime|responses)/[a-z_]+))(/v1)?/*(#|$)`}
	originRule = rule{
		like: `^(\*|none|null|[a-z][a-z0-9+.-]*://(` + hostName + `|` + ipv4 + `|\[[0-9a-f:.]+\])(:` + port() + `)?)$`,
		// A browser writes names in lower case, without the default port, and addresses in
		// their shortest form.
		unlike: `^https?://.*[A-Z]|^http://.*:80$|^https://.*:443$|^https?://(.*\.)?` + hexNumber +
			`(:|$)|[\[:]0:0[:\]]`,
	}
)

// Terraform accepts a value if and only if the relay does.
func TestRulesMatchTheRelay(t *testing.T) {
	values := []string{
		"", " ", "on", "off", " off ", "On", "true", "false", "True", "1", "0", "-1", "2", "yes", "no", "1.5", "+5",
		"007", "1e3", "0x10", "1_000", "1 000", "abc",
		"10m", " 10m ", "90s", "1h30m", "1h 30m", "10", "10 m", "10M", "-10m", "+10m", "0s", "0h0m", "-0", "-0s", ".5h",
		"0.5m", "1.5h", "500ms", "999ms", "1000ms", "1500ms", "1s", "0.9s", "1us",
		"1µs", "1d", "m", "1h1", "s1", "1..5s", "999999h", "99999999999h", "10m,20m", "10m\n", "order", "latency",
		"Order", "order,latency", "debug", "info", "warn", "warning", "error", "INFO",
		"33554432", "1099511627776", "1099511627777", "1099511627775", "999999999999", "9999999999999", "2147483647",
		"2147483648", "2147483646", "1000000000000000000000", "1000000", "1000001", "999999",
		"/v1/", "/v1/,/dashboard/", " /v1/ , /v2/ ", "/v1", "v1/", "/", "//", "/v1//x/", "/v1/../", "/v1/./", "/relay/",
		"/relay/x/", "/t/", "/t/x/", "/v1/,", ",/v1/", "/v1/,,/v2/", "/v1/?/", "/v1/#/", "/v1/;x/",
		"/v1/t/", "/relayed/", "*", "example.com", "a.example,b.example", "a.example,", ",", "a b", "localhost:8787",
		"Relay.EXAMPLE", "relay.example.", "https://relay.example", "relay.example/", "*.example", "a.example,*",
		"*,a.example", " a.example , b.example ", "127.0.0.1", "127.0.0.1:80", "300.1.1.1", "127.1", "0x7f.1",
		"a.0x7f", "::1", "[::1]", "[::1]:80", "2001:DB8::1", "abc:80", "bücher.example", "relay..example", ".example",
		"a_b", `"a.example"`, "'on'", `"true"`, `a,"b"`, `"`, "/v1%2fx/",
	}
	for _, s := range core.Settings() {
		r, ok := rules[s.Name]
		if !ok {
			t.Errorf("no rule for the values of %s", s.Name)
			continue
		}
		if r == elsewhere {
			continue
		}
		for _, value := range values {
			_, err := core.ParseEnv([]string{s.Name + "=" + value})
			if got := r.accepts(value); got != (err == nil) {
				t.Errorf("%s=%q: Terraform accepts it: %t; the relay's error: %v", s.Name, value, got, err)
			}
		}
	}
	for name := range rules {
		if !slices.ContainsFunc(core.Settings(), func(s core.Setting) bool { return s.Name == name }) {
			t.Errorf("a rule for %s, which is not a setting", name)
		}
	}
	for _, list := range []struct {
		name   string
		rule   rule
		values []string
	}{
		{"RELAY_UPSTREAMS", upstreamRule, []string{
			"https://api.openai.com", "https://api.openai.com/", "https://api.openai.com/v1",
			"https://api.openai.com/v1/", "https://relay.example/openai", "https://relay.example/a/b",
			"https://relay.example:8443",
			"https://relay.example:0", "https://relay.example:65535", "https://relay.example:65536",
			"https://relay.example:x", "https://rt_0123456789abcdef@relay.example#name", "https://relay.example#na me",
			"https://relay.example?x=1", "https://relay.example/?", "http://relay.example", "ftp://relay.example",
			"relay.example", "https://", "https:///x", "https:relay.example", "https://relay.example/../x",
			"https://relay.example/%2f", "https://relay example", "https://[2001:db8::1]",
			"https://[2001:db8::1]:8443/x", "https://relay.example//x", "https://relay.example/x;y", "//relay.example",
			"https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/chat/completions/",
			"https://x.example/openai/deployments/d/chat/completions", "https://api.openai.com/v1/responses#n",
			"https://relay.example/v1/audio/speech", "https://relay.example/v1/audio", "https://relay.example/models",
			"https://relay.example/v1/projects/p/locations/l/endpoints/openapi", "https://relay.example/v1/a/b/openai",
			"https://relay.example/chat/completions/v1/", "https://relay.example#it's", `https://relay.example#"x"`,
			"http://10.0.0.1", "http://ollama:11434", `"https://relay.example"`,
		}},
		{"RELAY_ALLOWED_ORIGINS", originRule, []string{
			"*", "none", "null", "https://chat.example", "http://localhost:3000", "https://chat.example/",
			"https://chat.example/path", "chat.example", "https://", "HTTPS://chat.example", "https://chat.example?x",
			"https://chat.example#x", "https://user@chat.example", "chrome-extension://abcdefgh", "app://obsidian.md",
			"https://chat example", "https://[::1]:3000", "https://chat.example:x",
			"https://Chat.example", "https://chat.example:443", "http://chat.example:80", "http://chat.example:443",
			"https://chat.example:8443", "https://chat.example:", "https://chat.example:0443",
			"https://chat.example:65536",
			"https://*.example", "https://127.0.0.1:3000", "https://127.1", "https://0x7f000001", "https://127.0.0.256",
			"https://[0:0::1]", "https://[::FFFF]", "https://chat..example", "https://bücher.example",
			"https://xn--bcher-kva.example", "moz-extension://6a2b-1c", "capacitor://localhost",
			`"https://chat.example"`, "NULL", "None", "https://a.example.",
		}},
	} {
		for _, value := range list.values {
			_, err := core.ParseEnv([]string{list.name + "=" + value})
			if got := list.rule.accepts(value); got != (err == nil) {
				t.Errorf("%s=%q: Terraform accepts it: %t; the relay's error: %v", list.name, value, got, err)
			}
		}
	}
}
