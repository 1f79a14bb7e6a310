package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/relay/internal/vectors"
)

const vectorsFile = "../cloudflare/testdata/vectors.json"

// What this package makes of each vector is what the Worker must make of it.
func TestWorkerVectors(t *testing.T) {
	runner := vectors.NewRunner(t, func(t *testing.T, settings []string) string {
		server := httptest.NewServer(FromEnv(append(settings, "RELAY_LOG_LEVEL=off"),
			Platform{Name: "Cloudflare Workers", Serverless: true}))
		t.Cleanup(server.Close)
		return server.URL
	})
	list := slices.Concat(targetVectors(), accessVectors(), headerVectors(), corsVectors(), responseVectors(),
		streamVectors(), refusalVectors(), webSocketVectors(), namedTokenVectors(), modelVectors(), keyVectors())
	for i, v := range list {
		list[i].Want = runner.Run(t, v)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(list); err != nil {
		t.Fatal(err)
	}
	golden(t, vectorsFile, b.Bytes())
}

// get returns a vector without settings of a GET with header lines.
func get(name, target string, headers ...string) vectors.Vector {
	return vectors.Vector{Name: name, Request: vectors.Message{Method: "GET", Target: target, Headers: headers}}
}

// under returns list with settings.
func under(settings []string, list ...vectors.Vector) []vectors.Vector {
	for i := range list {
		list[i].Settings = settings
	}
	return list
}

// targetVectors lack fragments, which the Worker's runtime cuts off.
func targetVectors() []vectors.Vector {
	var list []vectors.Vector
	for _, target := range []string{
		"/v1/../x", "/v1/..", "/v1/./models", "/v1/%2e%2e/x", "/v1/%2E%2e/x", "/v1/.%2e", "//v1/models",
		"/v1//models", "/v1/a%5cb",
		"/v1/models/org%2Fmodel", "/v1/a%2fb?c", "/v1/a%252fb", "/v1/a%2f..%2fb", "/v1/..%2fb", "/v1/a%2f%2e%2e",
		"/v1/%2fb",
		"/v1/a%2f/b", "/v1/a%2f%2fb", "/v1/a%2f", "/v1/a%2f?b", "/%2fv1/a", "/v1%2fmodels", "/relay%2fhealth",
		"/v1/%252e%252e/x", "/v1/a%252f..%252fb", "/v1/a%2f%25252e%25252e%2fb", "/v1/100%25", "/v1/a%25b%2Fc",
		`/v1/a\b`, "/v1/a%00", "/v1/a%0d%0aX:y", "/v1/a;x=1", "/v1/a%3bx", "/v1/a%23b", "/v1/a%3fb",
		"/v1/%c0%ae%c0%ae/x",
		"/v1/%zz", "/v1/a%", "*", "/v2/models", "/v1", "/v1/", "/index.html", "/%76%31/models", "/relay/",
		"/relay/health/", "/t/token/v1/models",
		"/v1/models", "/v1/models/", "/v1/models/ft:gpt-4o:org::id", "/v1/a%20b", "/v1/%E4%BD%A0", "/v1/a%252e",
		"/v1/files/a%21b!c", "/v1/...",
		"/v1/models?", "/v1/models?a=1;b=2", "/v1/models?a=%zz&b=2", `/v1/models?q=../..//%00%2f\`,
		"/v1/models?after=a+b%20c&limit=2&&",
		"/v1/models?a?b", "/dashboard/billing/usage?start_date=2026-11-01", "http://other.example/v1/models?x",
		"/v1/models?" + strings.Repeat("a=1&", 1500),
		"/v1/models?" + strings.Repeat("a=1&", 3000), "/v1/" + strings.Repeat("a", 9000), "/v1/models?x=/v1/../y",
		"?/v1/models",
	} {
		list = append(list, get("target "+target[:min(len(target), 40)], target))
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		v := get("method "+method, "/v1/files")
		v.Request.Method = method
		list = append(list, v)
	}
	list = append(list, under([]string{"RELAY_UPSTREAMS={upstream}/base/v1/"},
		get("upstream with a path", "/v1/a%21b?q"))...)
	list = append(list, under([]string{"RELAY_PATHS=/openai/,/v1beta/"}, get("other paths", "/v1beta/models"),
		get("not the other paths", "/v1/models"))...)
	list = append(list, under([]string{"RELAY_ALLOWED_HOSTS=relay.example"},
		get("host", "/v1/models", "Host: Relay.example:8443"), get("other host", "/v1/models", "Host: evil.example"),
		get("host, health", "/relay/health", "Host: evil.example"))...)
	list = append(list, under([]string{"RELAY_ALLOWED_HOSTS=Relay.EXAMPLE,[2001:DB8:0::1],full.example."},
		get("host in capitals", "/v1/models", "Host: relay.example"),
		get("host with a dot", "/v1/models", "Host: RELAY.example.:80"),
		get("IPv6 address", "/v1/models", "Host: [2001:db8::1]:8443"),
		get("IPv6 address, long", "/v1/models", "Host: [2001:db8:0:0::1]"),
		get("full name", "/v1/models", "Host: full.example"),
		get("other IPv6 address", "/v1/models", "Host: [2001:db8::2]"))...)
	list = append(list, under([]string{"RELAY_PAGE=off"}, get("no page", "/"))...)
	return append(list, under([]string{"RELAY_MAX_BODY_BYTES=10"},
		post("body of the limit", "0123456789"), post("body over the limit", "0123456789a"))...)
}

// post returns a vector of a POST with a body.
func post(name, body string, headers ...string) vectors.Vector {
	v := get(name, "/v1/files", headers...)
	v.Request.Method, v.Request.Body = "POST", body
	return v
}

// Tokens as the vectors' settings have them.
const vectorToken = "vector-token-7c1e"

func accessVectors() []vectors.Vector {
	sum := sha256.Sum256([]byte("second-token-51ab"))
	tokens := "RELAY_ACCESS_TOKENS=" + vectorToken + ",sha256:" + hex.EncodeToString(sum[:]) + ",rt_third-token-99d0"
	var list []vectors.Vector
	for _, held := range []string{"", "RELAY_API_KEY=sk-held"} {
		carriers := []vectors.Vector{
			get("no token", "/v1/models"),
			get("key alone", "/v1/models", "Authorization: Bearer sk-client"),
			get("header", "/v1/models", "X-Relay-Token: "+vectorToken, "Authorization: Bearer sk-client"),
			get("header with prefix", "/v1/models", "X-Relay-Token: rt_"+vectorToken),
			get("header, hashed token", "/v1/models", "X-Relay-Token: second-token-51ab"),
			get("header, hashed token with prefix", "/v1/models", "X-Relay-Token: rt_second-token-51ab"),
			get("header, token configured with prefix", "/v1/models", "X-Relay-Token: third-token-99d0"),
			get("in the key", "/v1/models", "Authorization: Bearer rt_"+vectorToken+".sk-client"),
			get("in the key, dots in the key", "/v1/models", "Authorization: Bearer rt_"+vectorToken+".sk-a.b.c"),
			get("in the key, tab", "/v1/models", "Authorization: Bearer\trt_"+vectorToken+".sk-client"),
			get("in the key, no scheme", "/v1/models", "Authorization: rt_"+vectorToken+".sk-client"),
			get("in the key, no key", "/v1/models", "Authorization: Bearer rt_"+vectorToken),
			get("in the key, empty key", "/v1/models", "Authorization: Bearer rt_"+vectorToken+"."),
			get("in another key header", "/v1/models", "X-Api-Key: rt_"+vectorToken+".sk-client"),
			get("in a third key header", "/v1/models", "Api-Key: rt_"+vectorToken),
			get("bare in the key", "/v1/models", "Authorization: Bearer "+vectorToken),
			get("empty header before key", "/v1/models", "X-Relay-Token:",
				"Authorization: Bearer rt_"+vectorToken+".sk-client"),
			get("wrong header before key", "/v1/models", "X-Relay-Token: wrong",
				"Authorization: Bearer rt_"+vectorToken+".sk-client"),
			get("wrong", "/v1/models", "X-Relay-Token: wrong"),
			get("prefix alone", "/v1/models", "X-Relay-Token: rt_"),
			get("beginning of a token", "/v1/models", "X-Relay-Token: "+vectorToken[:10]),
			get("more than a token", "/v1/models", "X-Relay-Token: "+vectorToken+"x"),
			get("hash digits", "/v1/models", "X-Relay-Token: "+hex.EncodeToString(sum[:])),
			get("basic scheme", "/v1/models", "Authorization: Basic "+vectorToken),
			get("underscore twin", "/v1/models", "X_Relay_Token: "+vectorToken),
			get("two headers", "/v1/models", "X-Relay-Token: "+vectorToken, "X-Relay-Token: x"),
			get("two keys", "/v1/models", "Authorization: Bearer a", "Authorization: Bearer b"),
			get("organization and project", "/v1/models", "X-Relay-Token: "+vectorToken, "OpenAI-Organization: org-1",
				"OpenAI-Project: proj_1"),
			get("unknown path", "/v2/models", "X-Relay-Token: "+vectorToken),
			get("in the path, not opted in", "/t/"+vectorToken+"/v1/models"),
		}
		settings := strings.Fields(tokens + " " + held)
		list = append(list, under(settings, carriers...)...)
		list = append(list, under(append(settings, "RELAY_PATH_TOKENS=true"),
			get("in the path", "/t/"+vectorToken+"/v1/models?a=b", "Authorization: Bearer sk-client"),
			get("in the path, with prefix", "/t/rt_"+vectorToken+"/v1/models"),
			get("wrong in the path", "/t/wrong/v1/models"),
			get("escaped in the path", "/t/%76"+vectorToken[1:]+"/v1/models"),
			get("twice in the path", "/t/"+vectorToken+"/t/"+vectorToken+"/v1/models"),
			get("in the path, unknown path", "/t/"+vectorToken+"/v2/models"),
			get("in the path, nothing behind", "/t/"+vectorToken),
		)...)
	}
	list = append(list, get("open, token in the key", "/v1/models",
		"Authorization: Bearer rt_"+vectorToken+".sk-client"),
		get("open, token in the header", "/v1/models", "X-Relay-Token: "+vectorToken))
	return list
}

// namedTokenVectors are of tokens with an end, paths, methods and a rate.
func namedTokenVectors() []vectors.Vector {
	const alice, bob, carol, dave = "alice-token-93fe", "bob-token-0b1c", "carol-token-77aa", "dave-token-5d21"
	sum := sha256.Sum256([]byte(alice))
	settings := []string{"RELAY_PATH_TOKENS=true", `RELAY_ACCESS_TOKENS=["` + vectorToken + `",` +
		`{"name":"alice","sha256":"` + hex.EncodeToString(sum[:]) + `","expires":"2999-12-31T23:59:59+01:00",` +
		`"paths":["/v1/models/","/v1/responses"],"methods":["GET","POST"]},` +
		`{"name":"bob","token":"rt_` + bob + `","expires":"2026-01-31T00:00:00.5Z","paths":["/v1/models"]},` +
		`{"name":"carol","token":"` + carol + `","expires":null,"per_minute":2},` +
		`{"name":"dave","token":"` + dave + `","per_minute":1.0}]`}
	remove := get("named, other method", "/v1/models", "X-Relay-Token: "+alice)
	remove.Request.Method = "DELETE"
	list := []vectors.Vector{
		get("named", "/v1/models", "X-Relay-Token: "+alice, "Authorization: Bearer sk-client"),
		get("named, in the key", "/v1/responses/r", "Authorization: Bearer rt_"+alice+".sk-client"),
		get("named, in the path", "/t/"+alice+"/v1/models/m"),
		remove,
		get("named, other path", "/v1/files", "X-Relay-Token: "+alice),
		get("named, other path with a token in the path", "/t/"+alice+"/v1/files"),
		get("named, a path that begins as an allowed one", "/v1/modelsx", "X-Relay-Token: "+alice),
		get("named, encoded path", "/v1/%6dodels", "X-Relay-Token: "+alice),
		get("named, unknown path", "/t/"+alice+"/v2/models"),
		get("named, twice", "/v1/models/"+alice, "X-Relay-Token: "+alice),
		get("named, in a path that is not allowed", "/v1/files/"+alice, "X-Relay-Token: "+alice),
		get("another one in the path", "/v1/models/"+carol, "X-Relay-Token: "+alice),
		get("expired", "/v1/models", "X-Relay-Token: "+bob),
		get("expired, other path", "/v1/files", "X-Relay-Token: "+bob),
		get("unnamed beside named", "/v1/files", "X-Relay-Token: "+vectorToken),
		get("a name for a token", "/v1/models", "X-Relay-Token: alice"),
		get("wrong beside named", "/v1/models", "X-Relay-Token: "+alice+"x"),
		get("health with a named token", "/relay/health", "X-Relay-Token: "+alice),
	}
	for _, token := range []string{carol, carol, carol, dave, dave} { // the last one of each is one too many
		list = append(list, get("per minute, "+token, "/v1/models", "X-Relay-Token: "+token))
	}
	list = under(settings, list...)
	for _, bad := range []string{
		`[]`, `[{}]`, `[7]`, `[{"name":"a"}]`, `[{"name":"a","token":"b","model":["x"]}]`, `[{"name":"ä","token":"b"}]`,
		`[{"name":"a","token":"b"},{"name":"a","token":"c"}]`, `[{"name":"a","token":"b"},{"name":"c","token":"rt_b"}]`,
		`[{"name":"a","token":"b","expires":"2027-02-30T00:00:00Z"}]`,
		`[{"name":"a","token":"b","expires":"2027-01-31"}]`,
		`[{"name":"a","token":"b","paths":[]}]`, `[{"name":"a","token":"b","paths":["/v2/x"]}]`,
		`[{"name":"a","token":"b","models":[]}]`, `[{"name":"a","token":"b","models":["*"]}]`,
		`[{"name":"a","token":"b","models":["a*b"]}]`,
		`[{"name":"a","token":"b","methods":["get"]}]`, `[{"name":"a","token":"b","per_minute":1.5}]`,
	} {
		list = append(list, under([]string{"RELAY_ACCESS_TOKENS=" + bad},
			get("tokens that are refused", "/v1/models"))...)
	}
	return list
}

// Upstreams of the vectors that hold keys, and one that may. They must have no spaces.
const (
	upstreamA = `{"url":"{upstream}/a/v1","name":"a","api_key":"sk-a"}`
	upstreamB = `{"URL":"{upstream}/b","name":"b","api_key":"sk-b","token":null}`
	keylessB  = `{"url":"{upstream}/b","name":"b"}`
	relayB    = `{"url":"{upstream}/b#x","name":"b","token":"rt_next-token-5512"}`
)

// keyVectors are of upstreams that hold keys, and of tokens that name upstreams.
func keyVectors() []vectors.Vector {
	const alice = "alice-token-93fe"
	tokens := `RELAY_ACCESS_TOKENS=["` + vectorToken + `",{"name":"alice","token":"` + alice + `","upstreams":["b"]}]`
	var list []vectors.Vector
	for _, settings := range [][]string{
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + upstreamB + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + relayB + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + keylessB + "]", tokens, "RELAY_API_KEY=sk-held"},
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + relayB + "]", tokens, "RELAY_RETRY_QUOTA=true"},
	} {
		list = append(list, under(settings, slices.Concat(keyRequests(vectorToken), keyRequests(alice))...)...)
	}
	list = append(list, under([]string{"RELAY_UPSTREAMS=[" + upstreamA + "]", "RELAY_ACCESS_TOKENS=" + vectorToken},
		keyRequests(vectorToken)...)...)
	for _, settings := range [][]string{ // that are refused
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + keylessB + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + upstreamA + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "]"},
	} {
		list = append(list, under(settings, keyRequests(vectorToken)[0])...)
	}
	quota := "RELAY_RETRY_QUOTA=true"
	for _, settings := range [][]string{
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + upstreamB + "]", tokens},
		{"RELAY_UPSTREAMS=[" + upstreamA + "," + upstreamB + "]", tokens, quota}, // b, too, has no credit
		{"RELAY_UPSTREAMS=[" + relayB + "," + upstreamA + "]", tokens, quota},
	} {
		list = append(list, under(settings,
			refused("insufficient_quota", "Authorization: Bearer rt_"+alice+".sk-client"),
			refused("insufficient_quota", "X-Relay-Token: "+vectorToken))...)
	}
	for _, bad := range []string{
		`[]`, `[7]`, `[{}]`, `[null]`, `["{upstream}",` + keylessB + `]`, `[{"url":"{upstream}","key":"sk-a"}]`,
		`[{"url":"{upstream}","api_key":7}]`, `[{"url":"{upstream}","api_key":"sk,a"}]`, `["http://:sk-a@127.0.0.1:1"]`,
		`http://:sk-a@127.0.0.1:1`, `[{"url":"https://api.openai.com","token":"t"}]`,
		`[{"url":"http://rt_t@127.0.0.1:1","token":"t"}]`, `[{"url":"{upstream}","name":"\u00e4"}]`,
	} {
		list = append(list, under([]string{"RELAY_UPSTREAMS=" + bad, "RELAY_ACCESS_TOKENS=" + vectorToken},
			get("upstreams that are refused", "/v1/models", "X-Relay-Token: "+vectorToken))...)
	}
	return list
}

// keyRequests are requests with a token, some with a key of the client's.
func keyRequests(token string) []vectors.Vector {
	header := "X-Relay-Token: " + token
	return []vectors.Vector{
		get("key of an upstream, "+token, "/v1/models", header),
		get("key of an upstream, client's key, "+token, "/v1/models", "Authorization: Bearer rt_"+token+".sk-client",
			"OpenAI-Organization: org-1", "OpenAI-Project: proj_1", "Cf-Aig-Authorization: Bearer g",
			"Ocp-Apim-Subscription-Key: s"),
		get("key of an upstream, client's key in another header, "+token, "/v1/models", header, "Api-Key: sk-client"),
		get("key of an upstream, bare token, "+token, "/v1/models", "Authorization: Bearer "+token),
		refused("rate_limit_exceeded", header),
	}
}

// refused returns a vector of a request to which the API responds with 429 and a code.
func refused(code, header string) vectors.Vector {
	v := get("429 "+code+", "+header, "/v1/models", header)
	v.Response = &vectors.Message{Status: 429, Headers: []string{"Content-Type: application/json"},
		Body: `{"error":{"message":"m","type":"t","param":null,"code":"` + code + `"}}`}
	return v
}

// modelVectors are of a token with a list of models.
func modelVectors() []vectors.Vector {
	var list []vectors.Vector
	for _, c := range modelCases() {
		v := get("models, "+c.name, c.target, "X-Relay-Token: "+vectorToken)
		v.Request.Method, v.Request.Body = c.method, c.body
		if c.contentType != "" {
			v.Request.Headers = append(v.Request.Headers, "Content-Type: "+c.contentType)
		}
		list = append(list, v)
	}
	encoded := post("models, compressed", "{}", "X-Relay-Token: "+vectorToken, "Content-Type: application/json",
		"Content-Encoding: gzip")
	encoded.Request.Target = "/v1/responses"
	socket := get("models, a WebSocket of another API", "/v1/responses?model=gpt-5-mini", "X-Relay-Token: "+vectorToken,
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	return under([]string{`RELAY_ACCESS_TOKENS=[{"name":"alice","token":"` + vectorToken +
		`","models":["gpt-5-mini","text-*"]}]`},
		append(list, encoded, socket, get("models in health", "/relay/health", "X-Relay-Token: "+vectorToken))...)
}

func headerVectors() []vectors.Vector {
	var up []string
	for _, name := range slices.Sorted(maps.Keys(droppedUp)) {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Host", "Upgrade", "Connection", "Relay-Hop":
		default:
			up = append(up, name+": leak")
		}
	}
	for _, prefix := range droppedUpPrefixes {
		up = append(up, prefix+"Anything: leak", strings.ToUpper(prefix)+"OTHER: leak")
	}
	pass := []string{
		"Authorization: Bearer sk-client", "OpenAI-Organization: org-1", "OpenAI-Beta: assistants=v2",
		"X-Stainless-Lang: go", "Idempotency-Key: i-1",
		"User-Agent: OpenAI/Go 3", "Accept: application/json", "Accept-Encoding: gzip, br, zstd",
		"Accept-Language: de", "Range: bytes=0-1",
		`If-None-Match: "a,b"`, "X-Custom: kept", "X-Api-Key: k", "X-Relayed: kept", "Cfx: kept",
		"session_id: s-1", "Conversation_Id: c-1", "cf-aig-authorization: Bearer g", "cf_aig_skip_cache: true",
		"x_stainless_lang: js",
	}
	twins := []string{"x_relay_token: leak", "Content_Length: 3", "api_key: leak", "X_Api-Key: leak",
		"x_goog_api_key: leak", "openai_organization: leak", "OpenAI_Project: leak", "accept_encoding: gzip",
		"content_type: a/b",
		"sec_websocket_protocol: leak", "x_forwarded_for: leak", "cf_connecting_ip: leak", "relay_hop: 1",
		"x_http_method_override: GET",
		"service_worker: script", "sec_fetch_dest: document", "authorization_: leak"}
	return []vectors.Vector{
		get("headers that stay here", "/v1/models", up...),
		get("headers that pass", "/v1/models", pass...),
		get("underscores in the place of hyphens", "/v1/models", twins...),
		get("nominated by Connection", "/v1/models", "Connection: keep-alive, X-One, Authorization, content-type",
			"X-One: 1", "X-Two: 2", "Authorization: Bearer k", "Content-Type: a/b"),
		get("first hop", "/v1/models", "Relay-Hop: 1"),
		get("too many hops", "/v1/models", "Relay-Hop: 2"),
		get("made up hops", "/v1/models", "Relay-Hop: x"),
		get("underscores", "/v1/models", "Authorization_: leak", "OpenAI_Organization: leak"),
		get("large header", "/v1/models", "X-Large: "+strings.Repeat("x", 65<<10)),
	}
}

func corsVectors() []vectors.Vector {
	preflight := func(name string, headers ...string) vectors.Vector {
		v := get("preflight "+name, "/v1/chat/completions", headers...)
		v.Request.Method = "OPTIONS"
		return v
	}
	many := strings.TrimSuffix(strings.Repeat("x-many,", 100), ",")
	var list []vectors.Vector
	for _, origins := range []string{"*", "none", "https://chat.example,http://localhost:3000", "null"} {
		list = append(list, under([]string{"RELAY_ALLOWED_ORIGINS=" + origins},
			preflight("listed", "Origin: https://chat.example", "Access-Control-Request-Method: POST",
				"Access-Control-Request-Headers: authorization,x-stainless-lang"),
			preflight("other", "Origin: https://evil.example", "Access-Control-Request-Method: POST",
				"Access-Control-Request-Headers: authorization"),
			preflight("null", "Origin: null", "Access-Control-Request-Method: POST"),
			preflight("names that are none", "Origin: https://chat.example", "Access-Control-Request-Method: PUT",
				"Access-Control-Request-Headers: a b, c, , d:e, f"),
			preflight("many names", "Origin: https://chat.example", "Access-Control-Request-Method: PUT",
				"Access-Control-Request-Headers: "+many),
			preflight("private network", "Origin: https://chat.example", "Access-Control-Request-Method: POST",
				"Access-Control-Request-Private-Network: true"),
			preflight("private network, other origin", "Origin: https://evil.example",
				"Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true"),
			preflight("unknown path", "Origin: https://chat.example", "Access-Control-Request-Method: PUT"),
			get("no origin", "/v1/models"),
		)...)
	}
	list = append(list, under([]string{"RELAY_ALLOWED_ORIGINS=https://chat.example", "RELAY_ACCESS_TOKENS=" +
		vectorToken},
		get("listed origin, error", "/v1/models", "Origin: https://chat.example"))...)
	return append(list, get("any origin", "/v1/models", "Origin: https://chat.example"),
		get("any origin, error", "/v2/models", "Origin: https://chat.example"))
}

func responseVectors() []vectors.Vector {
	respond := func(name string, status int, headers ...string) vectors.Vector {
		v := get("response "+name, "/v1/models", "Origin: https://chat.example")
		v.Response = &vectors.Message{Status: status, Headers: headers}
		return v
	}
	var down []string
	for _, name := range slices.Sorted(maps.Keys(droppedDown)) {
		switch name {
		case "Connection", "Transfer-Encoding", "Trailer", "Upgrade":
		default:
			down = append(down, name+": leak")
		}
	}
	list := []vectors.Vector{
		respond("headers that stay here", 200,
			append(down, "Access-Control-Allow-Origin: https://a.example",
				"Access-Control-Allow-Credentials: true")...),
		respond("headers that pass", 200, "Content-Type: application/json", "Openai-Version: 2020-10-01",
			"X-Ratelimit-Remaining-Requests: 9", "Cache-Control: private", "Vary: Accept", "Etag: \"e\""),
		respond("error of the API", 429, "Content-Type: application/json", "Retry-After-Ms: 20"),
		respond("no content", 204),
		respond("event stream", 200, "Content-Type: text/event-stream; charset=utf-8", "Cache-Control: no-cache"),
		respond("event stream, no-transform", 200, "Content-Type: text/event-stream",
			"Cache-Control: no-cache, no-transform"),
		respond("event stream, encoded", 200, "Content-Type: text/event-stream", "Content-Encoding: br"),
		respond("control character", 200, "X-Odd: a\x01b"),
		respond("delete character", 200, "X-Odd: a\x7fb"),
		respond("tab and Latin-1", 200, "X-Odd: a\tb \u00e9"),
	}
	for _, location := range []string{"/v1/files/x?y", "{upstream}/v1/files/x", "https://evil.example/v1/files",
		"//evil.example/v1", "javascript:alert(1)", "https:evil", "http://user:pass@evil.example/", "other",
		"other?a=b", "data:text/html,x",
		"///evil.example/x", `/\evil.example/x`, `\\evil.example/x`, "{upstream}//evil.example/x", "/v1/../../x",
		"/v1/other?a=b"} {
		list = append(list, respond("location "+location, 302, "Location: "+location))
	}
	for _, location := range []string{"/base/v1/x?y#z", "{upstream}/base/v1/x", "{upstream}/base", "{upstream}?x",
		"/v1/x",
		"/based/v1/x", "other", "?x", "/base/v1/a%2Fb", "/base/v1/a%2f..%2fb", "/base//evil.example"} {
		v := respond("location below a base path "+location, 307, "Location: "+location)
		list = append(list, under([]string{"RELAY_UPSTREAMS={upstream}/base/v1"}, v)...)
		v.Request.Target = "/t/" + vectorToken + "/v1/models"
		list = append(list, under([]string{"RELAY_UPSTREAMS={upstream}/base", "RELAY_ACCESS_TOKENS=" + vectorToken,
			"RELAY_PATH_TOKENS=true"}, v)...)
	}
	return list
}

// streamVectors are of event streams that are cut. Without RELAY_KEEPALIVE the Worker
// does not see what it passes, so there only cuts inside a line are the same.
func streamVectors() []vectors.Vector {
	cut := func(target, body string, silence int) vectors.Vector {
		v := get("stream cut after "+strconv.Quote(body), target)
		v.Response = &vectors.Message{Status: 200, Headers: []string{"Content-Type: text/event-stream"}, Body: body,
			Silence: silence, Cut: true}
		return v
	}
	seen := []string{"RELAY_KEEPALIVE=1s", "RELAY_PATHS=/v1/,/openai/"}
	var list []vectors.Vector
	for _, target := range []string{"/v1/chat/completions", "/v1/responses", "/v1/messages"} {
		list = append(list, cut(target, "data: {\"x\":", 0), cut(target, event+"data: {\"x\":1}", 0))
		for _, body := range []string{"", event, "data: 1\r\n\r\n", "data: 1\r\r", ": hello\n", event + ": hel",
			event + "data: 1\n", event + "data: 1\n: hello\n", event + "data: {\"x\":", event + "data: 1\r",
			"data: 1\r\n\r", "event: x\r\ndata: 1\r\n"} {
			list = append(list, under(seen, cut(target, body, 0))...)
		}
	}
	for _, body := range []string{"event: response.created\ndata: {}\n\n", "data: {\"type\":\"response.created\"}\n\n",
		"data:{\"type\":\"response.created\"}\r\n\r\n", "data: {\"x\":\"response.created\"}\n\n",
		": event: response.created\n",
		"data: {\"type\": \"response.created\"}\n\n", "data: { \"type\" : \"response.created\"}\n\n",
		"event: message_start\ndata: {}\n\n", "event:message_start\n", "data: {\"type\":\"message_start\"}\n\n",
		"data: {\"type\": \"message_start\"", "event: message\n\n", "data: {\"type\":\"message\"}\n\n"} {
		list = append(list, under(seen, cut("/openai/deployments/d", body, 0))...)
	}
	for _, target := range []string{"/v1/messages?beta=true", "/openai/v1/messages", "/v1/threads/t/messages",
		"/v1/messages/batches"} {
		list = append(list, under(seen, cut(target, event, 0))...)
	}
	return append(list, under(seen, cut("/v1/chat/completions", event, 1800),
		cut("/v1/chat/completions", event+": hello\n", 1800), cut("/v1/chat/completions", event+"data: 1\n", 1800))...)
}

// refusalVectors are of what browsers may not do, and of tokens in wrong places.
func refusalVectors() []vectors.Vector {
	const evil = "Origin: https://evil.example"
	listed := under([]string{"RELAY_ALLOWED_ORIGINS=https://chat.example"},
		get("origin that is not listed", "/v1/models", evil),
		get("origin null", "/v1/models", "Origin: null"),
		get("cross-site without an origin", "/v1/models", "Sec-Fetch-Site: cross-site"),
		get("same-site is another site", "/v1/models", "Sec-Fetch-Site: same-site", "Origin: https://b.example"),
		get("listed and cross-site", "/v1/models", "Sec-Fetch-Site: cross-site", "Origin: https://chat.example"),
		post("text/plain from elsewhere", "{}", evil, "Content-Type: text/plain"),
		get("health from elsewhere", "/relay/health", evil),
		get("a link to an unknown path", "/v2/models", "Sec-Fetch-Site: cross-site"),
	)
	none := under([]string{"RELAY_ALLOWED_ORIGINS=none"},
		get("origin beside none", "/v1/models", "Origin: https://chat.example"),
		get("the relay's own origin", "/v1/models", "Origin: http://{host}"),
		get("the relay's own host by another scheme", "/v1/models", "Origin: https://{host}"),
		get("same origin by Sec-Fetch-Site", "/v1/models", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty"),
		get("two sites", "/v1/models", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"),
	)
	list := slices.Concat(listed, none)
	for _, dest := range []string{"", "document", "iframe", "script", "worker", "sharedworker", "serviceworker",
		"style", "embed", "object", "image", "audio", "empty", "websocket"} {
		list = append(list, get("destination "+dest, "/v1/models", "Sec-Fetch-Dest: "+dest))
	}
	list = append(list, get("service worker", "/v1/models", "Service-Worker: script"),
		get("navigation", "/v1/models", "Sec-Fetch-Mode: navigate"))
	token := "X-Relay-Token: " + vectorToken
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + vectorToken))
	for _, held := range []string{"", "RELAY_API_KEY=sk-held"} {
		list = append(list, under(strings.Fields("RELAY_ACCESS_TOKENS="+vectorToken+",short-1 "+held),
			get("token in a second key header", "/v1/models", token, "X-Goog-Api-Key: k-"+vectorToken),
			get("token in a key header without its prefix", "/v1/models", token, "Api-Key: "+vectorToken),
			get("token as the organization", "/v1/models", token, "OpenAI-Organization: "+vectorToken),
			get("token quoted", "/v1/models", token, `X-Other: "rt_`+vectorToken+`"`),
			get("token in a header's name", "/v1/models", token, "X-"+vectorToken+": x"),
			get("token in Basic credentials", "/v1/models", token, "X-Other: Basic "+basic),
			get("token in the query", "/v1/models?api_key="+vectorToken, token),
			get("token in the query, escaped", "/v1/models?api_key=%76"+vectorToken[1:], token),
			get("token in the path", "/v1/models/"+vectorToken, token),
			get("another token in the path", "/v1/models/short-1", token),
			get("a short token as part of a word", "/v1/models/ashort-12", "X-Relay-Token: short-1"),
			get("token in Google's key header", "/v1/models", "X-Goog-Api-Key: rt_"+vectorToken+".k"),
			get("token in Google's key header, no key", "/v1/models", "X-Goog-Api-Key: rt_"+vectorToken),
			get("two key headers", "/v1/models", token, "Api-Key: a", "Api-Key: b"),
			get("subprotocols", "/v1/models",
				"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.rt_"+vectorToken+
					".sk-client, openai-organization.org-1"),
			get("subprotocols, other case", "/v1/models", token,
				"Sec-WebSocket-Protocol: realtime, OpenAI-Insecure-API-Key.sk-client, x"),
		)...)
	}
	return list
}

// webSocketVectors are handshakes that something on their way has damaged.
func webSocketVectors() []vectors.Vector {
	return []vectors.Vector{
		get("WebSocket without its Upgrade", "/v1/realtime", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
	}
}
