package core

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/core/protocol"
)

// foreignAPIs are what APIs say that are not OpenAI's and have no relay's marker.
var foreignAPIs = []struct {
	name        string
	status      int
	contentType string
	body        string
}{
	{"Azure's key", 401, "application/json",
		`{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}`},
	{"Azure's deployment", 404, "application/json",
		`{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`},
	{"Azure's resource", 404, "application/json", `{"error":{"code":"404","message":"Resource not found"}}`},
	{"vLLM's key", 401, "application/json", `{"error":"Unauthorized"}`},
	{"vLLM's model", 404, "application/json",
		`{"object":"error","message":"The model does not exist.","type":"NotFoundError","param":null,"code":404}`},
	{"FastAPI's path", 404, "application/json", `{"detail":"Not Found"}`},
	{"FastAPI's validation", 422, "application/json", `{"detail":[{"loc":["body"],"msg":"field required"}]}`},
	{"FastAPI's crash", 500, "text/plain; charset=utf-8", "Internal Server Error"},
	{"text", 401, "text/plain", "Unauthorized"},
	{"text of another path", 404, "text/plain", "404 page not found\n"},
	{"HTML", 403, "text/html", "<html><h1>403 Forbidden</h1></html>"},
	{"HTML of a bad gateway", 502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"},
	{"nothing", 404, "", ""},
	{"busy", 503, "text/plain", "no available server"},
	{"too many", 429, "text/html", "slow down"},
	{"too large", 413, "application/json",
		`{"error":{"message":"Request too large for model","code":"rate_limit_exceeded"}}`},
	{"a redirect", 307, "text/html", "moved"},
}

// The word of an API that is no relay is never a 502 of the gateway, and never
// takes the upstream from anybody. If nobody has a better one, it is what the
// client gets.
func TestForeignAPIs(t *testing.T) {
	for _, api := range foreignAPIs {
		says := func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			if api.contentType != "" {
				w.Header().Set("Content-Type", api.contentType)
			}
			w.WriteHeader(api.status)
			_, _ = io.WriteString(w, api.body)
		}
		for _, others := range []struct {
			name  string
			list  []http.HandlerFunc
			state string
		}{
			{"twice", []http.HandlerFunc{says, says}, "up up"},
			{"before a dead region", []http.HandlerFunc{says, nil}, "up "},
			{"after a dead region", []http.HandlerFunc{nil, says}, " up"},
			{"before a busy platform", []http.HandlerFunc{says, platformPage(503)}, "up "},
		} {
			t.Run(api.name+" "+others.name, func(t *testing.T) {
				t.Parallel()
				g := newGateway(t, nil, others.list...)
				for i := range 4 {
					res, body := send(t, "POST", g.URL+"/v1/chat/completions", "{}", "Authorization",
						"Bearer "+canaryKey)
					if res.StatusCode != api.status || body != api.body || res.Header.Get(protocol.ErrorCode) != "" {
						t.Fatalf("request %d: %d %q %s", i, res.StatusCode, body, res.Header.Get(protocol.ErrorCode))
					}
					if res.Header.Get("Content-Type") != api.contentType {
						t.Errorf("Content-Type %q", res.Header.Get("Content-Type"))
					}
				}
				for i, u := range g.health(t).Upstreams {
					if state := strings.Split(others.state, " ")[i]; state != "" && u.State != state {
						t.Errorf("%+v", u)
					}
				}
			})
		}
	}
}

// platformPage responds with a page that no relay has seen, of a region that has
// shown to be one.
func platformPage(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == protocol.HealthPath {
			w.Header().Set("X-Relay", "relay; origin=relay")
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>")
	}
}

// Through relays, what broke is an upstream, by its name, and not the API.
func TestErrorsNameTheUpstream(t *testing.T) {
	cut := func(head string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, head)
			_ = conn.(*net.TCPConn).Close()
		}
	}
	const marker = "X-Relay: behind; origin=upstream\r\n"
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		code   string
	}{
		{"died before", cut(""), "upstream_reset"},
		{"died amid JSON", cut("HTTP/1.1 200 OK\r\n" + marker +
			"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"), "upstream_interrupted"},
		{"died amid a stream", cut("HTTP/1.1 200 OK\r\n" + marker +
			"Content-Type: text/event-stream\r\nContent-Length: 100\r\n\r\ndata: {}\n\n"), "upstream_interrupted"},
		{"invalid", cut("HTTP/1.1 700 What\r\n" + marker + "Content-Length: 0\r\n\r\n"), "upstream_invalid_response"},
		{"refused", nil, "all_regions_failed"},
	} {
		for _, several := range []bool{true, false} {
			if test.name == "died amid JSON" && !several {
				continue // passes as it comes, and breaks off
			}
			t.Run(fmt.Sprintf("%s, several %t", test.name, several), func(t *testing.T) {
				list := []http.HandlerFunc{test.answer}
				if several {
					list = append(list, test.answer)
				}
				g := newGateway(t, func(cfg *Config) {
					for i, u := range cfg.Upstreams {
						cfg.Upstreams[i] = Secret(strings.Replace(string(u), "://", "://rt_"+canaryToken+"@", 1))
					}
				}, list...)
				res, err := http.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				text, _ := io.ReadAll(res.Body) // a stream is cut on purpose
				body, code := string(text), test.code
				if code == "all_regions_failed" && !several {
					code = "upstream_connect"
				}
				if !strings.Contains(body, `"code":"`+code+`"`) || strings.Contains(body, "The API ") ||
					strings.Contains(body, "to the API") {
					t.Errorf("got %s", body)
				}
				if !strings.Contains(body, "pstream") || strings.Contains(body, "127.0.0.1") {
					t.Errorf("the message does not name the upstream: %s", body)
				}
				if named := strings.Contains(body, " a: ") || strings.Contains(body, " was a."); named != several {
					t.Errorf("named %t: %s", named, body)
				}
			})
		}
	}
}

// A body that no region takes is refused once and for all, with the regions' names.
func TestBodyTooLargeForAllRegions(t *testing.T) {
	relay := func(limit int64) http.HandlerFunc {
		return newFront(t, ok, func(cfg *Config) { cfg.MaxBodyBytes = limit }).relay.ServeHTTP
	}
	page := func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == protocol.HealthPath {
			w.Header().Set("X-Relay", "relay; origin=relay")
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		names   string // in the message; "" if it is a region's own
	}{
		{"relays", []http.HandlerFunc{relay(1000), relay(2000)}, ""},
		{"platforms", []http.HandlerFunc{page, page}, "They are: a: platform_413, b: platform_413."},
		{"one and a dead region", []http.HandlerFunc{page, nil}, "They are: a: platform_413, b: refused."},
		{"a dead region and one", []http.HandlerFunc{nil, page}, "They are: a: refused, b: platform_413."},
	} {
		for _, size := range []int{5000, 2 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", test.name, size), func(t *testing.T) {
				g := newGateway(t, nil, test.answers...)
				res, body := send(t, "POST", g.URL+"/v1/files", strings.Repeat("x", size), "Authorization",
					"Bearer "+canaryKey)
				wantError(t, res, body, errTooLargeEverywhere)
				if !strings.Contains(body, test.names) {
					t.Errorf("body %s", body)
				}
				for _, u := range g.health(t).Upstreams {
					if u.LastError != "" && u.LastError != "refused" {
						t.Errorf("%+v", u)
					}
				}
			})
		}
	}
}
