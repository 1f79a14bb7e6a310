package check

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The platforms whose own pages are recognized.
const (
	lambda     = "AWS Lambda"
	google     = "Google Cloud"
	vercel     = "Vercel"
	cloudflare = "Cloudflare"
)

// platformOf returns the platform that a response comes from, judged by its host
// and headers, or "" if that is not clear.
func platformOf(host string, h http.Header) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case strings.HasSuffix(host, ".on.aws"), h.Get("X-Amzn-Requestid") != "":
		return lambda
	case strings.HasSuffix(host, ".run.app"), strings.HasSuffix(host, ".cloudfunctions.net"),
		h.Get("Server") == "Google Frontend":
		return google
	case strings.HasSuffix(host, ".vercel.app"), h.Get("X-Vercel-Id") != "":
		return vercel
	case strings.HasSuffix(host, ".workers.dev"), strings.HasSuffix(host, ".pages.dev"), h.Get("Cf-Ray") != "":
		return cloudflare
	}
	return ""
}

// page explains a response that no relay marked: it comes from the platform, or
// from something in front.
func (d *doctor) page(res *response) result {
	platform := platformOf(d.base.Hostname(), res.header)
	code := pageCode(platform, res.status)
	from := "the platform"
	if platform != "" {
		from = platform
	}
	detail := fmt.Sprintf("%d %s from %s, not from a relay", res.status, http.StatusText(res.status), from)
	if own := res.header.Get("X-Vercel-Error"); own != "" {
		detail += ": " + brief(own)
	}
	if code == "platform_redirect" {
		detail += leadsTo(res.header)
	}
	if platform == cloudflare {
		if number, advice := cloudflareError(res.status, res.body); advice != "" {
			return failure(code, detail+": error "+number, advice)
		}
	}
	return failure(code, detail, pageAdvice(platform, code))
}

// leadsTo returns where a redirect leads, without the query, which may hold
// secrets.
func leadsTo(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return ""
	}
	return ", leading to " + brief(u.Scheme+"://"+u.Host+u.Path)
}

// pageCode classifies the status of a platform's page.
func pageCode(platform string, status int) string {
	switch {
	case status == http.StatusUnauthorized, platform == vercel && status >= 300 && status <= 399:
		return "platform_protected" // Vercel redirects to its login
	case status >= 300 && status <= 399:
		return "platform_redirect"
	case status == http.StatusForbidden:
		return "platform_forbidden"
	case status == http.StatusNotFound, status == http.StatusGone:
		return "platform_not_found"
	case status == http.StatusTooManyRequests:
		return "platform_throttled"
	case status == http.StatusGatewayTimeout, status == 524: // 524 is Cloudflare's
		return "platform_timeout"
	case status >= 500:
		return "platform_crashed"
	case status >= 400:
		return "platform_refused"
	}
	return "not_a_relay"
}

// pageAdvice returns what to do about a page.
func pageAdvice(platform, code string) string {
	for _, advice := range []string{adviceByCode[platform][code], adviceByCode[""][code]} {
		if advice != "" {
			return advice
		}
	}
	return ""
}

// adviceByCode maps platform and code to advice; that of the platform "" is for all.
var adviceByCode = map[string]map[string]string{
	"": {
		"platform_redirect": "use the URL that it leads to, if that is the relay's: " +
			"clients drop the key when they follow a redirect",
		"platform_protected": "something in front requires its own login: let everyone through, as the relay " +
			"checks its access token itself",
		"platform_forbidden": "something in front lets nobody through: make it admit everyone, as the relay checks " +
			"its access token itself",
		"platform_not_found": "correct the URL, or deploy the relay again: nothing is there",
		"platform_throttled": "try again in a minute; if it persists, raise the platform's limit",
		"platform_timeout":   "the relay did not respond in time: see the platform's log",
		"platform_crashed":   "the relay does not start, crashed, or is not there: see the platform's log",
		"platform_refused":   "see whether scheme, host and port are the relay's",
		"not_a_relay": "correct the URL: another web server responds there, or something " +
			"in front replaces the relay's responses",
	},
	lambda: {
		"platform_forbidden": "the function's policy must allow both lambda:InvokeFunctionUrl and " +
			"lambda:InvokeFunction to everyone, and the URL's auth type must be NONE; a new URL takes a minute",
		"platform_not_found": "correct the URL: the function URL was deleted, or its alias has no function",
		"platform_throttled": "the function is throttled: raise its reserved concurrency (0 switches " +
			"it off), or the account's",
		"platform_timeout": "the function reached its timeout: raise it; aws logs tail /aws/lambda/<function>",
		"platform_crashed": "the function crashed or does not start: aws logs tail /aws/lambda/<function>; its " +
			"binary must be named bootstrap and be built for its architecture",
	},
	google: {
		"platform_forbidden": "allUsers lacks the role roles/run.invoker on the Cloud Run service; an organization " +
			"policy (domain restricted sharing) may forbid it",
		"platform_not_found": "correct the URL, or set ingress to all traffic: a service with internal ingress " +
			"also returns 404",
		"platform_throttled": "no instance was free: raise the max number of instances, or the concurrency",
		"platform_timeout":   "the function reached its timeout: raise timeout_seconds",
		"platform_crashed":   "the function crashed or does not start: gcloud functions logs read <function> --gen2",
	},
	vercel: {
		"platform_protected": "turn Deployment Protection off for this project (vercel_authentication = none), or " +
			"use the production domain",
		"platform_forbidden": "turn Deployment Protection off, or let the firewall's rules and attack challenge mode " +
			"pass API clients",
		"platform_not_found": "correct the URL: there is no such deployment (DEPLOYMENT_NOT_FOUND), " +
			"or it has no such route",
		"platform_throttled": "the firewall or the plan's limit blocks requests: see the " +
			"project's Firewall and Usage pages",
		"platform_timeout": "the function reached its timeout: raise maxDuration",
		"platform_crashed": "the function crashed: vercel logs <deployment>",
	},
	cloudflare: {
		"platform_forbidden": "Cloudflare blocks or challenges the request: add a rule that skips bot protection for " +
			"the relay's host",
		"platform_crashed": "Cloudflare does not reach the relay behind it: see whether the relay " +
			"runs and whether its certificate is valid",
		"platform_timeout": "the relay behind Cloudflare was silent for too long",
		"platform_not_found": "correct the URL: no Worker, Pages project or route has it, or its workers.dev address " +
			"is switched off",
	},
}
