package check

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"

	"example.com/relay/core"
)

// A verdict is the outcome of a probe.
type verdict string

const (
	verdictOK   verdict = "ok"
	verdictWarn verdict = "warn" // works, with a problem
	verdictFail verdict = "fail"
	verdictSkip verdict = "skip" // could not be checked
)

// A result is what a probe found. The JSON form is stable: names are those of the
// probes table, and codes, which are empty if the verdict is ok, are these:
//
//	any probe   not_tried, http_timeout, http_reset, http_failed, canceled,
//	            proxy_refused, proxy_unreachable
//	dns         dns_not_found, dns_empty, dns_timeout, dns_failed, dns_blocked,
//	            dns_loopback
//	connect     connect_refused, connect_timeout, connect_unreachable,
//	            connect_reset, connect_failed
//	tls         tls_expired, tls_wrong_host, tls_unknown_authority,
//	            tls_bad_certificate, tls_not_tls, tls_refused, tls_reset,
//	            tls_timeout, tls_failed, tls_none
//	a page that is not the relay's, in relay and any later probe
//	            platform_redirect, platform_protected, platform_forbidden,
//	            platform_not_found, platform_throttled, platform_timeout,
//	            platform_crashed, platform_refused, not_a_relay
//	relay       health_unreadable, relay_status, and codes of the relay's own
//	            errors such as relay_misconfigured and host_not_allowed
//	upstream    unsupported_country_region_territory, upstream_connect,
//	            upstream_reset, upstream_timeout, upstream_unexpected_status,
//	            upstream_unknown
//	access      invalid_access_token, token_expired, token_not_allowed,
//	            access_open, key_rejected, held_key_rejected, key_restricted, key_limited, api_status,
//	            unsupported_country_region_territory, and codes of the relay's
//	            own errors
//	stream      stream_buffered, stream_truncated, stream_stalled,
//	            stream_missing
//	cors        cors_off, cors_duplicated, cors_platform, cors_origin,
//	            cors_headers, cors_status, cors_lost
//	body        body_platform, body_untold
type result struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	MS      float64 `json:"ms"`
	Detail  string  `json:"detail"`
	Code    string  `json:"code"`
	Advice  string  `json:"advice"`
}

func pass(detail string) result { return result{Verdict: verdictOK, Detail: detail} }

func warning(code, detail, advice string) result {
	return result{Verdict: verdictWarn, Code: code, Detail: detail, Advice: advice}
}

func failure(code, detail, advice string) result {
	return result{Verdict: verdictFail, Code: code, Detail: detail, Advice: advice}
}

func skipped(code, detail string) result {
	return result{Verdict: verdictSkip, Code: code, Detail: detail}
}

// took returns r with the duration of its probe.
func (r result) took(d time.Duration) result {
	r.MS = math.Round(d.Seconds()*1e4) / 10
	return r
}

// clean returns r fit for a terminal: what it quotes of a response may hold control
// characters, or the secrets that were sent.
func (r result) clean(secrets ...core.Secret) result {
	for _, text := range []*string{&r.Detail, &r.Code, &r.Advice} {
		for _, secret := range secrets {
			// Replacing anything shorter would garble the text.
			if s := string(secret); len(s) >= 6 {
				*text = strings.ReplaceAll(*text, s, secret.String())
			}
		}
		*text = strings.Map(func(c rune) rune {
			if !unicode.IsPrint(c) {
				return '?'
			}
			return c
		}, *text)
	}
	return r
}

// brief shortens what a server sent to fit on a line.
func brief(s string) string {
	const maxRunes = 60
	if runes := []rune(s); len(runes) > maxRunes {
		return string(runes[:maxRunes]) + "…"
	}
	return s
}

// A reporter prints results: as text one by one, or as JSON all at the end.
type reporter struct {
	out    io.Writer
	json   bool
	report report
}

// A report is the JSON form of all results.
type report struct {
	URL    string   `json:"url"`
	Proxy  string   `json:"proxy,omitempty"` // host of the proxy in use
	OK     bool     `json:"ok"`
	Exit   int      `json:"exit"`
	Probes []result `json:"probes"`
}

func newReporter(out io.Writer, asJSON bool) *reporter { return &reporter{out: out, json: asJSON} }

// begin prints what is checked, and the proxy if there is one.
func (p *reporter) begin(url, proxy string) {
	p.report.URL, p.report.Proxy = url, proxy
	if p.json {
		return
	}
	fmt.Fprintln(p.out, url)
	if proxy != "" {
		fmt.Fprintf(p.out, "through the proxy %s, which the environment names\n", proxy)
	}
	fmt.Fprintln(p.out)
}

func (p *reporter) add(r result) {
	p.report.Probes = append(p.report.Probes, r)
	if p.json {
		return
	}
	fmt.Fprintf(p.out, "  %-4s  %-9s %6.0f ms   %s\n", r.Verdict, r.Name, r.MS, r.Detail)
	if r.Advice != "" {
		fmt.Fprintf(p.out, "%30s→ %s\n", "", r.Advice)
	}
}

// end closes the report and returns the exit status.
func (p *reporter) end() int {
	count := make(map[verdict]int)
	for _, r := range p.report.Probes {
		count[r.Verdict]++
	}
	p.report.OK, p.report.Exit = true, exitOK
	if count[verdictFail] > 0 {
		p.report.OK, p.report.Exit = false, exitError
	}
	if p.json {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		_ = enc.Encode(p.report) // an error means that the output was closed
		return p.report.Exit
	}
	fmt.Fprintf(p.out, "\n%d ok, %d warnings, %d failed, %d skipped\n",
		count[verdictOK], count[verdictWarn], count[verdictFail], count[verdictSkip])
	return p.report.Exit
}
