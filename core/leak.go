package core

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// clearLength is from which length on a token is one wherever it stands. Shorter
// ones may be parts of ordinary words, and are found as whole ones only.
const clearLength = 16

// leaks reports whether a configured token still stands in req after admission,
// where it would go to the upstream: shown, which is known even if only its hash
// is configured, or one that is configured plainly.
func (a *access) leaks(req *http.Request, shown string) bool {
	shown = strings.TrimPrefix(shown, tokenPrefix)
	if carries(req, shown) {
		return true
	}
	for _, token := range a.plain {
		if token != shown && carries(req, token) {
			return true
		}
	}
	return false
}

// carries reports whether token stands in what of req goes to the upstream, as
// it is or encoded once.
func carries(req *http.Request, token string) bool {
	if stands(req.URL.EscapedPath(), token) || stands(req.URL.RawQuery, token) {
		return true
	}
	for name, values := range req.Header {
		if (isNamed(name, token) || anyStands(values, token)) && forwarded(name) {
			return true
		}
	}
	return false
}

// isNamed reports whether token is in a header's name, which lost its case.
func isNamed(name, token string) bool {
	return len(name) >= len(token) && contains(strings.ToLower(name), strings.ToLower(token))
}

// anyStands reports whether token stands in one of a header's values, Basic
// credentials included.
func anyStands(values []string, token string) bool {
	for _, value := range values {
		if stands(value, token) || stands(basicCredentials(value), token) {
			return true
		}
	}
	return false
}

// stands reports whether token stands in s, as it is or percent-encoded.
func stands(s, token string) bool {
	if len(s) < len(token) {
		return false
	}
	return contains(s, token) || strings.Contains(s, "%") && contains(percentDecoded(s), token)
}

// contains reports whether token is in s, as a word if it is short.
func contains(s, token string) bool {
	for end := 0; ; {
		i := strings.Index(s[end:], token)
		if i < 0 {
			return false
		}
		begin := end + i
		end = begin + len(token)
		if len(token) >= clearLength || (begin == 0 || !isLetterOrDigit(s[begin-1])) && (end == len(s) || !isLetterOrDigit(s[end])) {
			return true
		}
		end = begin + 1
	}
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// percentDecoded returns s with its escapes decoded; what is none stays.
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

// basicCredentials returns user and password of the scheme Basic, or "".
func basicCredentials(value string) string {
	scheme, credentials := cutScheme(value)
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return ""
	}
	return string(decoded)
}
