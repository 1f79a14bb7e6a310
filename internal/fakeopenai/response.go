package fakeopenai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
)

// response is what an endpoint returns, before the fault changes it and it becomes
// bytes on a connection.
type response struct {
	status int
	header http.Header
	pieces iter.Seq[[]byte] // events of a stream, or parts of a body
	length int64            // of all pieces; if negative, it is a stream
}

// object is a JSON object.
type object = map[string]any

// noPieces are those of a response that has no body, such as a 204.
func noPieces(func([]byte) bool) {}

func jsonResponse(status int, v any) response {
	return bodyResponse(status, "application/json", encodeJSON(v))
}

func bodyResponse(status int, contentType string, body []byte) response {
	return response{
		status: status,
		header: http.Header{"Content-Type": {contentType}},
		pieces: slices.Values([][]byte{body}),
		length: int64(len(body)),
	}
}

func eventStream(events [][]byte) response {
	return response{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}, "Cache-Control": {"no-cache"}},
		pieces: slices.Values(events),
		length: -1,
	}
}

// patternResponse returns n bytes of the Pattern without ever holding all.
func patternResponse(contentType string, n int) response {
	return response{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {contentType}},
		pieces: patternPieces(n),
		length: int64(n),
	}
}

// Pattern returns the first n bytes of what the upstream returns as audio and
// as the content of files. All byte values occur in it, and it repeats itself
// so rarely that a lost or doubled part shows.
func Pattern(n int) []byte {
	p := make([]byte, n)
	fillPattern(p, 0)
	return p
}

func patternPieces(n int) iter.Seq[[]byte] {
	size := min(max(n/defaultEvents, 1), 64<<10)
	return func(yield func([]byte) bool) {
		for at := 0; at < n; at += size {
			p := make([]byte, min(size, n-at))
			fillPattern(p, at)
			if !yield(p) {
				return
			}
		}
	}
}

func fillPattern(p []byte, at int) {
	for i := range p {
		n := at + i
		p[i] = byte(n ^ n>>8 ^ n>>16*7)
	}
}

// apiError returns an error in the shape of api.openai.com.
// An empty code is null.
func apiError(status int, kind, code, message string) response {
	e := object{"message": message, "type": kind, "param": nil, "code": nil}
	if code != "" {
		e["code"] = code
	}
	return jsonResponse(status, object{"error": e})
}

func invalidRequest(status int, format string, args ...any) *response {
	a := apiError(status, "invalid_request_error", "", fmt.Sprintf(format, args...))
	return &a
}

// statusResponse returns the error that OpenAI gives with status.
func statusResponse(status int) response {
	switch {
	case status == http.StatusTooManyRequests:
		return apiError(status, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again later.")
	case status == http.StatusRequestEntityTooLarge:
		return apiError(status, "invalid_request_error", "", "Maximum content size limit exceeded.")
	case status >= 400 && status < 500:
		return apiError(status, "invalid_request_error", "", "Fake error "+strconv.Itoa(status)+".")
	}
	return apiError(status, "server_error", "",
		"The server had an error while processing your request. Sorry about that!")
}

func regionRefused() response {
	return apiError(http.StatusForbidden, "request_forbidden", "unsupported_country_region_territory",
		"Country, region, or territory not supported")
}

// encodeJSON writes characters as they are, since OpenAI does, and since a
// fault wants to cut one in half.
func encodeJSON(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only ever our own maps
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// setHeaders sets on h what every response of api.openai.com carries: what the
// SDKs read, and then what a relay must not pass on.
func setHeaders(h http.Header, number int) {
	for name, value := range map[string]string{
		"X-Request-Id":                   fmt.Sprintf("req_%032x", number),
		"Openai-Organization":            "org-fake",
		"Openai-Processing-Ms":           "12",
		"Openai-Version":                 "2020-10-01",
		"X-Ratelimit-Limit-Requests":     "10000",
		"X-Ratelimit-Limit-Tokens":       "200000",
		"X-Ratelimit-Remaining-Requests": "9999",
		"X-Ratelimit-Remaining-Tokens":   "199978",
		"X-Ratelimit-Reset-Requests":     "8.64s",
		"X-Ratelimit-Reset-Tokens":       "6ms",

		"Access-Control-Expose-Headers": "X-Request-ID",
		"Alt-Svc":                       `h3=":443"; ma=86400`,
		"Cf-Cache-Status":               "DYNAMIC",
		"Cf-Ray":                        fmt.Sprintf("%016x-FRA", number),
		"Nel":                           `{"success_fraction":0,"report_to":"cf-nel","max_age":604800}`,
		"Report-To": `{"group":"cf-nel","max_age":604800,` +
			`"endpoints":[{"url":"https://a.nel.example/report"}]}`,
		"Server":                    "cloudflare",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
		"X-Content-Type-Options":    "nosniff",
	} {
		h.Set(name, value)
	}
	h["Set-Cookie"] = []string{
		"__cf_bm=fake; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
		"_cfuvid=fake; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
	}
}
