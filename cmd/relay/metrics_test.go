package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// startMetrics runs relay serve with metrics, and returns their URL.
func startMetrics(t *testing.T, environ []string, args ...string) (s *served, address string) {
	t.Helper()
	s = startServe(t, environ, append([]string{"-metrics", "127.0.0.1:0"}, args...)...)
	_, rest, ok := strings.Cut(s.stdout.String(), "metrics are at ")
	if !ok {
		t.Fatalf("the greeting does not say where the metrics are: %s", s.stdout)
	}
	address, _, _ = strings.Cut(rest, "\n")
	return s, address
}

// scrape returns the samples at an address by their series, as in
// relay_attempts_total{route="chat"}.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("a scrape got %s, %v: %s", res.Status, err, text)
	}
	if bytes.Contains(text, []byte("CANARY")) {
		t.Errorf("the metrics hold a secret:\n%s", text)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if line[0] == '#' || i < 0 {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			t.Errorf("sample %q: %v", line, err)
		}
		samples[line[:i]] = value
	}
	return samples
}

// awaitSamples scrapes until the samples are those that are wanted: a request is
// counted when its response has ended, which its client may see before.
func awaitSamples(t *testing.T, address string, want map[string]float64) {
	t.Helper()
	var wrong []string
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		wrong = nil
		got := scrape(t, address)
		for name, value := range want {
			if v, ok := got[name]; !ok || v != value {
				wrong = append(wrong, fmt.Sprintf("%s is %v (there: %t), want %v", name, v, ok, value))
			}
		}
		if len(wrong) == 0 {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

// call sends a request with a fault to a relay and returns what the response was.
func call(t *testing.T, method, address, fault, body string) (status int, text string) {
	t.Helper()
	return send(t, newCall(t, method, address, fault, body))
}

func newCall(t *testing.T, method, address, fault, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+serveKey)
	req.Header.Set("Content-Type", "application/json")
	if fault != "" {
		req.Header.Set("Fake-Fault", fault)
	}
	return req
}

func send(t *testing.T, req *http.Request) (status int, text string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(got)
}

const (
	chatBody   = `{"model":"m","messages":[{"role":"user","content":"CANARY"}]}`
	streamBody = `{"model":"m","stream":true,"messages":[{"role":"user","content":"CANARY"}]}`
)

func TestMetrics(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s, address := startMetrics(t, []string{
		"RELAY_UPSTREAMS=http://" + proc.RefusingAddr(t) + "#out," + u.URL + "#in", "RELAY_PROBE_INTERVAL=off",
	})
	chat := s.base + "/v1/chat/completions"
	call(t, "POST", chat, "", chatBody)
	call(t, "POST", chat, "", streamBody)
	call(t, "POST", chat, "status=429", chatBody)
	call(t, "POST", chat, "cut=2", streamBody)
	call(t, "GET", s.base+"/CANARY", "", "")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	res, err := http.DefaultTransport.RoundTrip(newCall(t, "POST", chat, "silence=1", streamBody).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	awaitSamples(t, address, map[string]float64{
		"relay_in_flight":                                   1,
		`relay_upstream_in_flight{upstream="in"}`:           1,
		`relay_upstream_in_flight{upstream="out"}`:          0,
		`relay_upstream_state{state="up",upstream="in"}`:    1,
		`relay_upstream_state{state="down",upstream="in"}`:  0,
		`relay_upstream_state{state="down",upstream="out"}`: 1,
	})
	leave()
	awaitSamples(t, address, map[string]float64{
		`relay_requests_total{route="chat",status="200",token="",upstream="in"}`: 3,
		`relay_requests_total{route="chat",status="429",token="",upstream="in"}`: 1,
		`relay_requests_total{route="chat",status="499",token="",upstream="in"}`: 1,
		`relay_requests_total{route="other",status="404",token="",upstream=""}`:  1,
		`relay_errors_total{code="upstream_interrupted",route="chat"}`:           1,
		`relay_errors_total{code="client_gone",route="chat"}`:                    1,
		`relay_cut_responses_total{route="chat",upstream="in"}`:                  1,
		`relay_failovers_total{upstream="in"}`:                                   3, // until "out" counts as down
		`relay_attempts_total{route="chat"}`:                                     8,
		`relay_request_duration_seconds_count{route="chat",upstream="in"}`:       5,
		`relay_first_byte_seconds_count{route="chat",upstream="in"}`:             5,
		"relay_in_flight":                         0,
		`relay_upstream_in_flight{upstream="in"}`: 0,
	})
	got := scrape(t, address)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes",
		`relay_body_bytes_total{direction="out"}`} {
		if got[name] <= 0 {
			t.Errorf("%s = %v", name, got[name])
		}
	}
}

// Metrics are nowhere but at their address, which serves nothing else, and which no
// web page reads by a name of its own.
func TestMetricsAddress(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s, address := startMetrics(t, []string{"RELAY_UPSTREAMS=" + u.URL})
	for _, test := range []struct {
		name, method, url, host string
		status                  int
	}{
		{"the metrics", "GET", address, "", 200},
		{"by a name of this machine", "GET", address, "localhost:9090", 200},
		{"by a name of the web", "GET", address, "rebound.example", 403},
		{"another method", "POST", address, "", 405},
		{"another path", "GET", strings.TrimSuffix(address, "metrics"), "", 404},
		{"the relay's API there", "GET", strings.TrimSuffix(address, "metrics") + "v1/models", "", 404},
		{"the metrics at the relay", "GET", s.base + "/metrics", "", 404},
		{"the metrics at the relay, relayed", "GET", s.base + "/v1/metrics", "", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != test.status || strings.Contains(string(text), "relay_in_flight") != (test.status == 200) {
			t.Errorf("%s: got %s %.200s, want status %d", test.name, res.Status, text, test.status)
		}
	}
	if without := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL}); strings.Contains(without.stdout.String(),
		"metrics") {
		t.Errorf("without -metrics: %s", without.stdout)
	}
}

// An address that is taken is said before anything is served.
func TestMetricsAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"serve", "-listen", "127.0.0.1:0", "-metrics", ln.Addr().String()}, nil,
		&stdout, &stderr)
	if status != exitError || !strings.Contains(stderr.String(), "relay: -metrics: listen tcp "+ln.Addr().String()) ||
		stdout.Len() > 0 {
		t.Errorf("exit status %d, %q, %q", status, stdout.String(), stderr.String())
	}
}

// Whatever clients and upstreams send, it makes no new series, and requests that are
// counted at the same time all count.
func TestMetricsAreBounded(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s, address := startMetrics(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=off"})
	round := func(n int) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				id := strconv.Itoa(n*100 + i)
				call(t, "GET", s.base+"/v1/family"+string(rune('a'+i))+"?CANARY="+id, "", "")
				call(t, "GET", s.base+"/CANARY"+id, "", "")
				call(t, "POST", s.base+"/v1/chat/completions", "status="+strconv.Itoa(530+(n*20+i)%60), chatBody)
				call(t, "M"+id, s.base+"/v1/models", "", "")
			})
		}
		wg.Wait()
	}
	relaySeries := func() (list []string, total float64) {
		for series, value := range scrape(t, address) {
			if strings.HasPrefix(series, "relay_") {
				list = append(list, series)
			}
			if strings.HasPrefix(series, "relay_requests_total{") {
				total += value
			}
		}
		slices.Sort(list)
		return list, total
	}
	await := func(want float64) (list []string) {
		for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
			var total float64
			if list, total = relaySeries(); total == want {
				return list
			}
		}
		t.Fatalf("the requests are not all counted, want %v", want)
		return nil
	}
	round(0)
	first := await(80)
	for n := 1; n < 4; n++ {
		round(n)
	}
	if last := await(320); !slices.Equal(first, last) {
		t.Errorf("series were\n%s\nand are\n%s", strings.Join(first, "\n"), strings.Join(last, "\n"))
	}
}

// dashboardQueries returns the queries of docs/server/grafana.json, with its
// variables replaced.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/server/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			list = append(list, strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr))
		}
	}
	if len(list) < 16 {
		t.Fatalf("the dashboard has %d queries", len(list))
	}
	return list
}

// metricNames are the names in PromQL and in the exposition format.
var metricNames = regexp.MustCompile(`\b(relay|go|process)_[a-z_]+`)

// The dashboard queries metrics that exist, and docs/server.md lists those of
// the relay.
func TestMetricsAreDocumented(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s, address := startMetrics(t, []string{
		"RELAY_UPSTREAMS=http://" + proc.RefusingAddr(t) + "#out," + u.URL + "#in", "RELAY_LOG_USAGE=true",
	})
	exercise(t, s)
	awaitSamples(t, address, map[string]float64{
		`relay_cut_responses_total{route="chat",upstream="in"}`: 1,
		`relay_usage_tokens_total{kind="output",token=""}`:      8, // of the one chat whose response reports usage
	})
	exposed := make(map[string]bool)
	for series := range scrape(t, address) {
		name, _, _ := strings.Cut(series, "{")
		exposed[name] = true
	}
	for _, query := range dashboardQueries(t) {
		names := metricNames.FindAllString(query, -1)
		if len(names) == 0 {
			t.Errorf("%s: no metric", query)
		}
		for _, name := range names {
			if !exposed[name] {
				t.Errorf("%s: there is no %s", query, name)
			}
		}
	}
	page, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range exposed {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if strings.HasPrefix(name, "relay_") && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/server.md does not have %s", name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(relay_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !exposed[row[1]] && !exposed[row[1]+"_count"] {
			t.Errorf("docs/server.md has %s, which there is not", row[1])
		}
	}
}

// exercise makes a relay count something of every kind but a resumed stream.
func exercise(t *testing.T, s *served) {
	t.Helper()
	req := newCall(t, "POST", s.base+"/v1/chat/completions", "", chatBody)
	req.Header.Set("Accept-Encoding", "identity")
	if status, text := send(t, req); status != http.StatusOK {
		t.Errorf("got %d %s", status, text)
	}
	call(t, "POST", s.base+"/v1/chat/completions", "cut=2", streamBody)
}

// Debian's Prometheus scrapes the relay and evaluates each query of the dashboard.
func TestDashboardInPrometheus(t *testing.T) {
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("prometheus is not installed: apt-get install prometheus")
	}
	u := fakeopenai.StartUpstream(t)
	s, address := startMetrics(t, []string{
		"RELAY_UPSTREAMS=http://" + proc.RefusingAddr(t) + "#out," + u.URL + "#in", "RELAY_LOG_USAGE=true",
	})
	base := startPrometheus(t, address)
	missing := dashboardQueries(t)
	for start := time.Now(); len(missing) > 0 &&
		time.Since(start) < 30*time.Second; time.Sleep(200 * time.Millisecond) {
		exercise(t, s) // rates need two scrapes with a request in between
		missing = slices.DeleteFunc(missing, func(query string) bool { return hasResult(t, base, query) })
	}
	for _, query := range missing {
		t.Errorf("%s: Prometheus has no result", query)
	}
}

// startPrometheus starts Prometheus, which scrapes the metrics at an address, and
// returns its base URL.
func startPrometheus(t *testing.T, address string) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n" +
		"scrape_configs: [{job_name: relay, static_configs: [{targets: ['" + target.Host + "']}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, err := proc.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start(proc.Options{Dir: dir}, "prometheus", "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := p.AwaitListening(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr
}

// hasResult reports whether Prometheus at base has a result of a query, and fails the
// test if it cannot evaluate it.
func hasResult(t *testing.T, base, query string) bool {
	t.Helper()
	res, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var reply struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	err = json.NewDecoder(res.Body).Decode(&reply)
	if res.StatusCode == http.StatusServiceUnavailable { // still starting
		return false
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: Prometheus says %s %s, %v", query, res.Status, reply.Error, err)
	}
	return len(reply.Data.Result) > 0
}
