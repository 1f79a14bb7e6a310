package fakeopenai

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request on its way through the upstream.
type call struct {
	u     *Upstream
	ctx   context.Context // ends when the client goes or the upstream closes
	w     http.ResponseWriter
	req   *http.Request
	rec   *Request
	fault Fault
	key   string // the API key, or ""

	path     string    // below OpenAI's base path, whichever the request has
	endpoint *endpoint // nil if there is none
	allowed  bool      // whether the path has an endpoint, if of another method
	id       string    // what stood for {id} in the path
}

// endpoint is a line of the API reference.
type endpoint struct {
	method  string
	pattern string // "{id}" stands for one segment
	respond func(*call) response
}

// The order does not matter: no request fits two.
var endpoints = []endpoint{
	{"POST", "/v1/chat/completions", (*call).chatCompletion},
	{"POST", "/v1/completions", (*call).completion},
	{"POST", "/v1/responses", (*call).createResponse},
	{"GET", "/v1/responses", needsWebSocket},
	{"GET", "/v1/responses/{id}", (*call).getResponse},
	{"GET", "/v1/realtime", needsWebSocket},
	{"POST", "/openai/deployments/{id}/chat/completions", (*call).chatCompletion},
	{"POST", "/v1/messages", (*call).createMessage},
	{"POST", "/v1/messages/count_tokens", (*call).countTokens},
	{"POST", "/v1/embeddings", (*call).embeddings},
	{"POST", "/v1/moderations", (*call).moderation},
	{"GET", "/v1/models", (*call).listModels},
	{"GET", "/v1/models/{id}", (*call).getModel},
	{"DELETE", "/v1/models/{id}", deleted("model")},
	{"POST", "/v1/files", (*call).uploadFile},
	{"GET", "/v1/files", (*call).listFiles},
	{"GET", "/v1/files/{id}", (*call).getFile},
	{"GET", "/v1/files/{id}/content", (*call).fileContent},
	{"DELETE", "/v1/files/{id}", deleted("file")},
	{"POST", "/v1/audio/transcriptions", (*call).transcription},
	{"POST", "/v1/audio/translations", (*call).transcription},
	{"POST", "/v1/audio/speech", (*call).speech},
	{"POST", "/v1/images/generations", (*call).images},
	{"GET", "/dashboard/billing/credit_grants", sessionOnly(creditGrants)},
	{"GET", "/dashboard/billing/subscription", sessionOnly(subscription)},
	{"GET", "/dashboard/billing/usage", sessionOnly(billingUsage)},
	{"GET", "/v1/dashboard/billing/credit_grants", sessionOnly(creditGrants)},
	{"GET", "/v1/dashboard/billing/subscription", sessionOnly(subscription)},
	{"GET", "/v1/dashboard/billing/usage", sessionOnly(billingUsage)},
	{"GET", "/v1/organization/costs", adminOnly(organizationCosts)},
	{"GET", "/v1/organization/projects", listProjects},
	{"GET", "/v1/organization/usage/completions", organizationUsage("completions", object{
		"input_tokens": 1000, "output_tokens": 500, "input_cached_tokens": 0, "input_audio_tokens": 0,
		"output_audio_tokens": 0, "num_model_requests": 5})},
	{"GET", "/v1/organization/usage/embeddings",
		organizationUsage("embeddings", object{"input_tokens": 70, "num_model_requests": 2})},
	{"GET", "/v1/organization/usage/moderations",
		organizationUsage("moderations", object{"input_tokens": 0, "num_model_requests": 0})},
	{"GET", "/v1/organization/usage/images", organizationUsage("images", object{"images": 1, "num_model_requests": 1})},
	{"GET", "/v1/organization/usage/audio_speeches",
		organizationUsage("audio_speeches", object{"characters": 40, "num_model_requests": 1})},
	{"GET", "/v1/organization/usage/audio_transcriptions",
		organizationUsage("audio_transcriptions", object{"seconds": 12, "num_model_requests": 1})},
	{"GET", "/v1/organization/usage/web_search_calls",
		organizationUsage("web_searches", object{"num_requests": 3, "num_model_requests": 1})},
	{"GET", "/v1/organization/usage/file_search_calls", organizationUsage("file_searches", object{"num_requests": 0})},
	{"GET", "/v1/organization/usage/code_interpreter_sessions",
		organizationUsage("code_interpreter_sessions", object{"num_sessions": 1})},
	{"GET", "/v1/organization/usage/vector_stores", organizationUsage("vector_stores", object{"usage_bytes": 4096})},
}

// serve responds to a request whose body has been read.
func (c *call) serve() {
	if c.fault.delay > 0 && !c.pause(c.fault.delay) {
		panic(http.ErrAbortHandler)
	}
	if c.wantsWebSocket() && c.refusal() == nil && !c.fault.replacesResponse() {
		c.serveWebSocket()
		return
	}
	c.write(c.respond())
}

// bases are the paths below which APIs of OpenAI's shape have what OpenAI has
// below /v1: Azure's v1 API and Gemini's compatible one.
var bases = []string{"/openai/v1/", "/v1beta/openai/"}

func (c *call) route() {
	c.path = c.req.URL.EscapedPath()
	for _, base := range bases {
		if rest, ok := strings.CutPrefix(c.path, base); ok {
			c.path = "/v1/" + rest
		}
	}
	for i, e := range endpoints {
		id, ok := matchPath(e.pattern, c.path)
		if !ok {
			continue
		}
		c.allowed = true
		if e.method == c.req.Method || e.method == "GET" && c.req.Method == "HEAD" {
			c.endpoint, c.id = &endpoints[i], id
			return
		}
	}
}

func matchPath(pattern, path string) (id string, ok bool) {
	before, after, wild := strings.Cut(pattern, "{id}")
	if !wild {
		return "", pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	escaped, ok := strings.CutSuffix(rest, after)
	if !ok || escaped == "" || strings.Contains(escaped, "/") {
		return "", false
	}
	id, err := url.PathUnescape(escaped)
	return id, err == nil
}

// readsBody reports whether the body is read before the response. A client that
// expects 100 Continue learns of a refusal without having sent its body.
func (c *call) readsBody() bool {
	return c.fault.early == "" && (c.req.Header.Get("Expect") == "" || c.refusal() == nil)
}

// respond returns the response that the client should get, before the fault has
// its way with it.
func (c *call) respond() response {
	if a := c.refusal(); a != nil {
		return *a
	}
	return c.endpoint.respond(c)
}

// refusal returns the error to respond with regardless of the body, or nil.
func (c *call) refusal() *response {
	method, path := c.req.Method, c.req.URL.Path
	switch {
	case c.endpoint == nil && c.allowed:
		return invalidRequest(http.StatusMethodNotAllowed,
			"Not allowed to %s on %s. (HINT: Perhaps you meant to use a different HTTP method?)", method, path)
	case c.endpoint == nil:
		return invalidRequest(http.StatusNotFound, "Invalid URL (%s %s)", method, path)
	case c.key == "":
		return invalidRequest(http.StatusUnauthorized, "You didn't provide an API key. You need to provide "+
			"your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")
	case !validKey(c.key):
		a := apiError(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key",
			"Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.")
		return &a
	}
	return nil
}

// decode parses the JSON body into v, and returns the error response if it cannot.
func (c *call) decode(v any) *response {
	body := c.rec.Body
	if c.req.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return invalidRequest(http.StatusBadRequest, "The body of your request is not gzip.")
		}
		var plain bytes.Buffer
		plain.ReadFrom(zr) //nolint:errcheck // a broken body fails to parse below
		body = plain.Bytes()
	}
	if err := json.Unmarshal(body, v); err != nil {
		return invalidRequest(http.StatusBadRequest, "We could not parse the JSON body of your request: %v", err)
	}
	return nil
}

// newID returns an ID like OpenAI's that is the same in every run.
func (c *call) newID(prefix string) string {
	return fmt.Sprintf("%s%024d", prefix, c.rec.number)
}

// created is the moment at which everything here was made.
var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// apiKey returns the key of req, which browsers put among the subprotocols of
// a WebSocket because they can set no header there. Anthropic and Azure have
// headers of their own for it.
func apiKey(req *http.Request) string {
	own := ""
	switch path := req.URL.Path; {
	case strings.HasPrefix(path, "/v1/messages"):
		own = req.Header.Get("X-Api-Key")
	case strings.HasPrefix(path, "/openai/"):
		own = req.Header.Get("Api-Key")
	}
	if own != "" {
		return own
	}
	if scheme, key, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	for _, protocol := range subprotocols(req) {
		if key, ok := strings.CutPrefix(protocol, "openai-insecure-api-key."); ok {
			return key
		}
	}
	return ""
}

func validKey(key string) bool {
	if strings.HasPrefix(key, "sk-invalid") {
		return false
	}
	return strings.HasPrefix(key, "sk-") || strings.HasPrefix(key, "sess-") || strings.HasPrefix(key, "ek_")
}
