package core

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// minSubstring is the length from which on a token is found inside longer words.
// Shorter ones may be parts of ordinary words and are found as whole words only.
const minSubstring = 16

// leaksToken reports whether an admitted request would still forward a token to
// the upstream: presented, which is known even if only its hash is configured, or
// one that is configured in plain text.
func (a *access) leaksToken(req *http.Request, presented string) bool {
	presented = strings.TrimPrefix(presented, tokenPrefix)
	if forwardsToken(req, presented) {
		return true
	}
	for _, token := range a.plain {
		if token != presented && forwardsToken(req, token) {
			return true
		}
	}
	return false
}

// forwardsToken reports whether token is in the path, the query or a header that
// is forwarded, in plain text or encoded once.
func forwardsToken(req *http.Request, token string) bool {
	if containsEncoded(req.URL.EscapedPath(), token) || containsEncoded(req.URL.RawQuery, token) {
		return true
	}
	for name, values := range req.Header {
		if (nameContains(name, token) || valuesContain(values, token)) && forwardsRequestHeader(name) {
			return true
		}
	}
	return false
}

// nameContains reports whether token is in a header's name, in any case: net/http
// has changed it.
func nameContains(name, token string) bool {
	return len(name) >= len(token) && containsToken(strings.ToLower(name), strings.ToLower(token))
}

// valuesContain reports whether token is in one of a header's values, Basic
// credentials included.
func valuesContain(values []string, token string) bool {
	for _, value := range values {
		if containsEncoded(value, token) || containsEncoded(basicCredentials(value), token) {
			return true
		}
	}
	return false
}

// containsEncoded reports whether token is in s, in plain text or percent-encoded.
func containsEncoded(s, token string) bool {
	if len(s) < len(token) {
		return false
	}
	return containsToken(s, token) || strings.Contains(s, "%") && containsToken(percentDecoded(s), token)
}

// containsToken reports whether token is in s; as a whole word if it is short.
func containsToken(s, token string) bool {
	for end := 0; ; {
		i := strings.Index(s[end:], token)
		if i < 0 {
			return false
		}
		begin := end + i
		end = begin + len(token)
		isWord := (begin == 0 || !isLetterOrDigit(s[begin-1])) && (end == len(s) || !isLetterOrDigit(s[end]))
		if isWord || len(token) >= minSubstring {
			return true
		}
		end = begin + 1
	}
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// percentDecoded returns s with its percent-escapes decoded. Invalid ones remain.
func percentDecoded(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// basicCredentials returns user:password of a Basic Authorization value, or "".
func basicCredentials(value string) string {
	scheme, encoded := cutScheme(value)
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(decoded)
}
