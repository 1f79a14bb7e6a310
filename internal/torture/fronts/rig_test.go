package fronts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/torture"
)

// Secrets that must appear in no log and no response.
const (
	canaryKey   = "sk-CANARY-0123456789"
	canaryToken = "canary-token-0123456789"
)

const (
	chatPath = "/v1/chat/completions"
	chat     = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"abcdefgh"}]}`
	stream   = `{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"abcdefgh"}]}`
)

// The fronts.
const (
	local    = "local"
	lambda   = "lambda-stream"
	buffered = "lambda-buffered"
	gcf      = "gcf"
	vercel   = "vercel"
	gateway  = "gateway"
	worker   = "worker"  // see worker_test.go
	process  = "process" // see process_test.go
)

var (
	all        = []string{local, lambda, buffered, gcf, vercel, worker, gateway} // except process
	everywhere = append(slices.Clone(all), process)
	// clients connect to the process itself, or to the platform's runtime
	servers = []string{local, gcf, vercel, worker, gateway}
	lambdas = []string{lambda, buffered}
	relays  = []string{local, gateway} // the program relay, without a platform in front
)

// A row is a row of the matrix.
type row struct {
	id     string
	name   string
	fronts []string
	except map[string]string // excepted fronts, and why; one that is in fronts too tests what it promises instead
	env    []string          // settings of the relay
	run    func(r *rig)
}

// excepting returns one reason for several fronts.
func excepting(reason string, fronts ...string) map[string]string {
	m := make(map[string]string)
	for _, f := range fronts {
		m[f] = reason
	}
	return m
}

// with joins exceptions.
func with(maps ...map[string]string) map[string]string {
	out := make(map[string]string)
	for _, m := range maps {
		for f, reason := range m {
			out[f] = reason
		}
	}
	return out
}

// runRows runs rows, a test for each front of each.
func runRows(t *testing.T, rows []row) {
	for _, row := range rows {
		row = row.withWorker()
		t.Run(row.id, func(t *testing.T) {
			if _, excepted := row.except[worker]; !excepted && !slices.Contains(row.fronts, worker) {
				t.Error("the row does not say what it is on the Worker")
			}
			for front, reason := range row.except {
				if !slices.Contains(row.fronts, front) {
					torture.Except(t, row.id, front, reason)
				}
			}
			for _, front := range row.fronts {
				t.Run(front, func(t *testing.T) {
					var note func(string)
					if reason, ok := row.except[front]; ok {
						note = torture.Instead(t, row.id, front, reason)
					} else {
						note = torture.Row(t, row.id, front)
					}
					if front != process { // it inspects the test's process, where nothing else may run
						t.Parallel()
					}
					r := &rig{T: t, front: front, note: note, programs: programs}
					r.Upstream = fakeopenai.StartUpstream(t)
					r.start(r.Upstream.URL, row.env...)
					row.run(r)
					if !t.Failed() {
						r.finish()
					}
				})
			}
		})
	}
}

// A rig is a front with its upstream, for one test.
type rig struct {
	*testing.T
	*fakeopenai.Upstream // the front's, unless the row starts the front anew with another

	front string
	base  string       // URL of the front, without /v1
	note  func(string) // sets the note of the report

	programs  executables
	emulator  *lambdaemu.Server
	processes []*program
	inside    *inside
	transport *http.Transport

	mu     sync.Mutex
	output bytes.Buffer // everything that clients received; guarded by mu
}

// A program is a running program of ours.
type program struct {
	*proc.Process
	log  *proc.Buffer
	base string
	fds  int // descriptors once it is idle; 0 if not yet counted
}

// start starts the front in front of an upstream, and stops the previous one.
func (r *rig) start(upstream string, env ...string) {
	r.Helper()
	r.stop()
	r.transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100, DialContext: r.dialContext()}
	r.Cleanup(r.transport.CloseIdleConnections)
	env = append([]string{"RELAY_UPSTREAMS=" + upstream, "RELAY_ACCESS_TOKENS=" + canaryToken}, env...)
	switch r.front {
	case local:
		r.base = r.startRelay(env...)
	case gateway:
		var urls []string
		for i := range 3 {
			// The row's settings are the regions' as well, except for these two.
			region := r.startRelay(append(slices.Clone(env), "RELAY_NAME=region-"+strconv.Itoa(i+1),
				"RELAY_PROBE_INTERVAL=off")...)
			urls = append(urls, strings.Replace(region, "http://", "http://rt_"+canaryToken+"@", 1))
		}
		r.base = r.startRelay(append(env, "RELAY_UPSTREAMS="+strings.Join(urls, ","))...)
	case process:
		r.base = r.startInside(env...)
	case gcf:
		r.base = r.startServer(r.programs.gcf, append(env, "K_SERVICE=relay")...)
	case vercel:
		r.base = r.startServer(r.programs.vercel, env...)
	case worker:
		r.base = r.startWorker(env...)
	case lambda, buffered:
		r.startLambda(lambdaemu.Function{Concurrency: 200}, env...)
	}
	r.settle()
}

// startLambda starts the front's Lambda function, with the options in f.
func (r *rig) startLambda(f lambdaemu.Function, env ...string) {
	r.Helper()
	f.Mode, f.Env = lambdaemu.ResponseStream, make(map[string]string)
	if f.Bootstrap == "" {
		f.Bootstrap = r.programs.lambda
	}
	if r.front == buffered {
		f.Mode = lambdaemu.Buffered
	}
	f.Env["RELAY_LAMBDA_INVOKE_MODE"] = string(f.Mode)
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		f.Env[name] = value
	}
	r.emulator = lambdaemu.Start(r, f)
	r.base = r.emulator.URL
}

// startRelay starts the program relay and returns its base URL.
func (r *rig) startRelay(env ...string) string {
	r.Helper()
	p := r.relayAt("127.0.0.1:0", env...)
	r.processes = append(r.processes, p)
	return p.base
}

// relayAt starts the program relay at an address.
func (r *rig) relayAt(addr string, env ...string) *program {
	r.Helper()
	p := &program{log: new(proc.Buffer)}
	var err error
	if p.Process, p.base, err = proc.StartRelay(r.Context(), proc.Options{Env: env, Log: p.log}, r.programs.relay,
		addr); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Kill)
	return p
}

// startServer starts a program that listens on the port in PORT.
func (r *rig) startServer(name string, env ...string) string {
	r.Helper()
	p := &program{log: new(proc.Buffer)}
	running, addr, err := proc.Serve(r.Context(), proc.Options{Env: env, Log: p.log}, name)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(running.Kill)
	p.Process, p.base = running, "http://"+addr
	r.processes = append(r.processes, p)
	return p.base
}

// settle counts the descriptors of idle processes.
func (r *rig) settle() {
	r.Helper()
	for _, p := range r.processes {
		if p.fds > 0 {
			continue
		}
		// The first request opens what is opened once.
		if res, err := http.DefaultTransport.(*http.Transport).RoundTrip(request(r, "GET", p.base+"/relay/health",
			"")); err != nil {
			r.Fatal(err)
		} else {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		p.fds = descriptors(p.PID())
	}
}

// stop ends the front.
func (r *rig) stop() {
	if r.transport != nil {
		r.transport.CloseIdleConnections()
	}
	if r.emulator != nil {
		r.emulator.Close()
		r.emulator = nil
	}
	for _, p := range r.processes {
		p.Kill()
	}
	r.processes = nil
	if r.inside != nil {
		r.inside.close(r)
		r.inside = nil
	}
}

// finish checks what must hold after every row: no leaks, no panics, no canaries
// in logs or responses.
func (r *rig) finish() {
	r.Helper()
	r.transport.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	r.noDescriptors()
	logs := r.noGoroutines()
	if r.inside != nil {
		logs += r.inside.finish(r)
	}
	if at := panicked.FindStringIndex(logs); at != nil {
		r.Errorf("a panic in the log: %.2000s", logs[at[0]:])
	}
	if r.is(worker) && strings.Contains(logs, `"msg":"panic"`) {
		r.Errorf("the Worker has thrown an unexpected exception:\n%s", logs)
	}
	r.mu.Lock()
	output := r.output.String()
	r.mu.Unlock()
	for what, text := range map[string]string{"the log": logs, "a response": output} {
		for _, canary := range []string{canaryKey, canaryToken} {
			if at := strings.Index(text, canary); at >= 0 {
				r.Errorf("%s holds %s: %.300s", what, canary, text[max(0, at-100):])
			}
		}
	}
	for _, req := range r.Requests() {
		for name := range req.Header {
			if identifies(name) {
				r.Errorf("upstream got %s: %q", name, req.Header[name])
			}
		}
	}
}

// panicked matches a panic in a log, of the runtime, net/http, the functions
// framework, or an adapter.
var panicked = regexp.MustCompile(`panic( serving|:| in | occurred)|"kind":"panic|fatal error`)

// identifies reports whether a request header identifies clients or platforms, or
// is the relay's own. Row D02 tests which names a relay drops.
func identifies(name string) bool {
	return slices.ContainsFunc([]string{"X-Forwarded-", "X-Amz", "X-Relay-", "X-Real-Ip", "Via", "Forwarded", "Cookie",
		"Traceparent", "Function-Execution-Id", "X-Vercel-"},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// noDescriptors waits until the processes hold no more descriptors than when idle,
// except a few idle connections.
func (r *rig) noDescriptors() {
	r.Helper()
	const few = 5
	for _, p := range r.processes {
		if !eventually(10*time.Second, func() bool { return descriptors(p.PID()) <= p.fds+few }) {
			r.Errorf("%d descriptors, %d before", descriptors(p.PID()), p.fds)
		}
	}
}

// isServed reports whether a goroutine serves a request or holds a response, by
// its stack: any frame of core counts, except those of outliving. A rename then
// makes rows fail, where a list of frames to find would silently match nothing;
// [TestLiveRequestIsServed] asserts that it matches a live request.
func isServed(stack string) bool {
	if background.MatchString(stack) && !strings.Contains(stack, "net/http.(*conn).serve(") {
		return false
	}
	return ofCore.MatchString(outliving.ReplaceAllString(stack, ""))
}

var (
	// background matches goroutines that probe, and those of net/http that wait for what
	// an idle HTTP/2 connection brings.
	background = regexp.MustCompile(`(?m)^(` + regexp.QuoteMeta(corePath) +
		`/failover\.\(\*Pool\)\.(probe\w*|check|examine|askAlong)|net/http\.\(\*http2ClientConn\)\.readLoop)\(`)
	ofCore = regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(corePath) + `(/failover[a-z/]*)?\.`)
	// outliving matches frames of probes, and of sockets that wait for a request.
	outliving = regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(corePath) +
		`(/failover\.\(\*Pool\)\.(probe\w*|check|examine)|/failover\.ask|\.\(\*(client(Listener|Conn|Watch)|` +
		`reusedListener)\)).*$`)
)

// corePath is not written as a regexp, so that README's command to rename the
// module finds it.
const corePath = "example.com/relay/core"

// noGoroutines ends the processes with SIGQUIT, which makes the runtime print the
// stacks of all goroutines, and fails if one of them still serves a request. It
// returns the logs.
func (r *rig) noGoroutines() string {
	r.Helper()
	var logs strings.Builder
	for _, p := range r.processes {
		awaitIdle(p.PID())
		_ = p.Signal(syscall.SIGQUIT)
		select {
		case <-p.Ended():
		case <-time.After(10 * time.Second):
			r.Error("the process does not end on SIGQUIT")
		}
		logs.WriteString(p.log.String())
	}
	if r.emulator != nil {
		for _, pid := range r.emulator.PIDs() {
			if n := descriptors(pid); n > 20 {
				r.Errorf("a function holds %d descriptors", n)
			}
			awaitIdle(pid)
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
		eventually(5*time.Second, func() bool { return len(r.emulator.PIDs()) == 0 })
		r.emulator.Close()
		logs.WriteString(r.emulator.Logs())
	}
	for stack := range strings.SplitSeq(logs.String(), "\n\n") {
		if strings.HasPrefix(stack, "goroutine ") && isServed(stack) {
			r.Errorf("a goroutine still serves a request:\n%s", stack)
		}
	}
	return logs.String()
}

// awaitIdle waits until all threads of a process have been idle for a moment, and
// reports whether they were: responses may be complete a little before their
// handlers return.
func awaitIdle(pid int) bool {
	looks := 0
	return eventually(10*time.Second, func() bool {
		looks++
		states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, name := range states {
			text, _ := os.ReadFile(name)
			if _, state, _ := bytes.Cut(text, []byte(") ")); bytes.HasPrefix(state, []byte("R")) {
				looks = 0
			}
		}
		return looks >= 5
	})
}

// logs returns the front's logs so far.
func (r *rig) logs() string {
	var b strings.Builder
	for _, p := range r.processes {
		b.WriteString(p.log.String())
	}
	if r.emulator != nil {
		b.WriteString(r.emulator.Logs())
	}
	if r.inside != nil {
		b.WriteString(r.inside.log.String())
	}
	return b.String()
}

// is reports whether the front is one of fronts.
func (r *rig) is(fronts ...string) bool { return slices.Contains(fronts, r.front) }

// A response is what a client got.
type response struct {
	status int
	header http.Header
	body   string
	err    error // why it is truncated, or why there is none
}

func (a response) String() string {
	return fmt.Sprintf("%d %q %.400q %v", a.status, a.header.Get("X-Relay-Error"), a.body, a.err)
}

// complete reports whether a client would take the response for complete.
func (a response) complete() bool {
	return a.err == nil && a.status < 500 && !strings.Contains(a.body, `data: {"error":`)
}

// request returns a request with the canaries. headers are names and values in
// turn; an empty value removes the header.
func request(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		req.Body = nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+canaryKey)
	req.Header.Set("X-Relay-Token", canaryToken)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return req
}

// send sends a request and returns the response to it.
func (r *rig) send(method, path, body string, headers ...string) response {
	r.Helper()
	return r.roundTrip(request(r, method, r.base+path, body, headers...))
}

func (r *rig) roundTrip(req *http.Request) response {
	r.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), 60*time.Second)
	defer cancel()
	res, err := r.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return response{err: err}
	}
	return r.read(res)
}

// read returns what a client got.
func (r *rig) read(res *http.Response) response {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	r.received(res.Header, body)
	return response{res.StatusCode, res.Header, string(body), err}
}

// sendTo is send for a target that is sent as it is.
func (r *rig) sendTo(method, target string, headers ...string) response {
	r.Helper()
	req := request(r, method, r.base, "", headers...)
	req.URL.Opaque = "//" + req.URL.Host + target
	return r.roundTrip(req)
}

// fault sends a chat, streamed or not, with a fault for the upstream.
func (r *rig) fault(body, fault string) response {
	r.Helper()
	return r.send("POST", chatPath, body, "Fake-Fault", fault)
}

// open sends a chat with a fault and returns the response, unread.
func (r *rig) open(ctx context.Context, body, fault string) *http.Response {
	r.Helper()
	res, err := r.transport.RoundTrip(request(r, "POST", r.base+chatPath, body, "Fake-Fault", fault).WithContext(ctx))
	if err != nil {
		r.Fatal(err)
	}
	r.received(res.Header, nil)
	return res
}

// received keeps what a client received, in which finish looks for canaries.
func (r *rig) received(h http.Header, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = h.Write(&r.output)
	r.output.Write(body[:min(len(body), 1<<20)])
}

// wantError fails unless a is an error of the relay in OpenAI's shape, with that
// status and, unless it is empty, that code.
func (r *rig) wantError(a response, status int, code string) {
	r.Helper()
	var body struct {
		Error *struct{ Message, Type, Code string }
	}
	if a.err != nil || json.Unmarshal([]byte(a.body), &body) != nil || body.Error == nil ||
		body.Error.Type != "relay_error" || body.Error.Message == "" {
		r.Errorf("got %v, want an error in OpenAI's shape", a)
		return
	}
	if a.status != status || code != "" && body.Error.Code != code ||
		a.header.Get("Content-Type") != "application/json" || a.header.Get("X-Relay-Error") != body.Error.Code {
		r.Errorf("got %v, want %d %s", a, status, code)
	}
}

// wantUpstream fails unless the upstream got n requests.
func (r *rig) wantUpstream(n int) {
	r.Helper()
	if got := r.Arrived(); got != n {
		r.Errorf("upstream saw %d requests, want %d", got, n)
	}
}

// wantNext fails unless the front handles another request.
func (r *rig) wantNext() {
	r.Helper()
	if a := r.send("POST", chatPath, chat, "Fake-Fault", ""); a.status != 200 || !strings.Contains(a.body, "hgfedcba") {
		r.Errorf("the next request: %v", a)
	}
}

// eventually waits up to d until ok returns true, and reports whether it did.
func eventually(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// descriptors returns how many descriptors a process has open.
func descriptors(pid int) int {
	list, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(list)
}

// discard is the error log of servers with intended faults.
var discard = log.New(io.Discard, "", 0)

// restartLambda starts the front's Lambda function anew, with the options in f and
// more settings in env.
func (r *rig) restartLambda(f lambdaemu.Function, upstream string, env ...string) {
	r.Helper()
	r.stop()
	r.transport = &http.Transport{DisableCompression: true}
	r.startLambda(f, append([]string{"RELAY_UPSTREAMS=" + upstream, "RELAY_ACCESS_TOKENS=" + canaryToken}, env...)...)
}
