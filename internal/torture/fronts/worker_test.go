package fronts

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/workerd"
)

// The column "worker" is cloudflare/worker.js on workerd, the runtime of
// Cloudflare. The rows of all fronts and of all servers apply to it too.

// A workerException says why the Worker does not hold a row. Without a reason it
// holds the row, although the row's own fronts or exceptions leave it out.
type workerException struct {
	reason  string
	instead bool // whether the row's test runs, and asserts what holds instead
}

// On the platform, Cloudflare's edge is between clients and the runtime.
const (
	edgeSpeaks      = "the edge of Cloudflare speaks HTTP with the client; what it lets through is a clean request"
	edgePaces       = "the edge takes in what clients send and hands out what they get, so that the setting is refused"
	fetchKeeps      = "fetch keeps the connections to the upstream, and does not tell what became of a request"
	elasticIsolates = "the platform bounds what one isolate gets, and starts more of them"
	noEvent         = "requests come by HTTP, not as events"
	oneOnly         = "its several upstreams are those of cloudflare's TestSeveralUpstreams"
)

var workerExceptions = map[string]workerException{
	"A02": {"a client that resets is noticed at once, one that closes at the next write; neither has a line in the log",
		true},
	"A04": {},
	"A05": {edgeSpeaks, false},
	"A06": {edgePaces, false},
	"A07": {edgePaces, false},
	"A08": {edgePaces, false},
	"A10": {edgeSpeaks, false},
	"A11": {edgeSpeaks, false},
	"B01": {"fetch fails in one way for all, so that the error is upstream_reset", true},
	"B07": {"streams pass without being read, so that the log does not tell", true},
	"B17": {"the runtime closes on a client that still sends; the edge reads to the end", false},
	"B18": {fetchKeeps + ": what closes amid a request's body is a 502 that SDKs retry", true},
	"B19": {fetchKeeps + "; the runtime speaks HTTP/1.1 outside of Cloudflare", false},
	"B24": {},
	"D04": {"of several Host headers the edge reads one", true},
	"D05": {edgeSpeaks, false},
	"D07": {edgeSpeaks, false},
	"D10": {"a URL of more than 64 KiB is refused by the runtime itself", true},
	"D11": {edgeSpeaks, false},
	"D15": {"Workers are called by any name that leads to them, domains of one's own included", false},
	"D16": {},
	"D19": {"HTTP/2 ends at the edge", false},
	"D24": {edgeSpeaks, false},
	"D26": {elasticIsolates, false},
	"D32": {"fetch joins repeated headers: their bytes are limited, their lines are not", true},
	"D33": {oneOnly, false},
	"D34": {oneOnly, false},
	"D35": {"it does not resume", false},
	"E01": {elasticIsolates, false},
	"E03": {elasticIsolates, false},
	"E05": {elasticIsolates, false},
	"E09": {"the platform ends isolates without telling them", false},
	"E10": {"nobody sets the clock of an isolate, which keeps no times but those for which it avoids upstreams",
		false},
	"F01":  {noEvent, false},
	"F02":  {noEvent, false},
	"F04":  {noEvent, false},
	"F06":  {noEvent, false},
	"F07":  {"no input is known that makes the Worker throw what is not its own", false},
	"F08":  {"the platform limits CPU time, and does not tell a Worker how much is left", false},
	"F09":  {noEvent, false},
	"F10":  {"row B11", false},
	"F11":  {"concerns Google's framework only", false},
	"F12":  {"concerns Google's framework only", false},
	"F13":  {"there is no writer: streams pass natively", false},
	"F14":  {"there is nothing that rewrites paths", false},
	"F15":  {},
	"F16":  {"reads no secret by itself: secrets are bindings", false},
	"F17":  {"is not frozen by anything the tests could do as the platform does; B18 shows stale connections", false},
	"F18":  {"no limit of the platform's below the relay's own, which is row A13", false},
	"soak": {"how long an isolate lives is up to the platform; row E02 has many streams at once", false},
}

// withWorker returns the row with what it is on the Worker.
func (row row) withWorker() row {
	e, ok := workerExceptions[row.id]
	if !ok {
		return row
	}
	row.except = with(row.except, excepting(e.reason, worker))
	switch {
	case e.reason == "":
		delete(row.except, worker)
		if !slices.Contains(row.fronts, worker) {
			row.fronts = append(slices.Clone(row.fronts), worker)
		}
	case !e.instead:
		row.fronts = slices.DeleteFunc(slices.Clone(row.fronts), func(front string) bool { return front == worker })
	}
	return row
}

// halfClosedServed closes the client's half after its request, and reads on: it gets
// the whole response.
func (r *rig) halfClosedServed() {
	for _, body := range []string{chat, stream} {
		w := r.dial()
		w.say(post(chatPath, body, "Fake-Fault: gap=20ms\r\n"))
		_ = w.CloseWrite()
		if a := w.response("POST"); !a.complete() || body == stream && !strings.Contains(a.body, "[DONE]") {
			r.Errorf("got %v, want all of it", a)
		}
		w.Close()
	}
	r.wantUpstream(2)
	r.wantNext()
}

// workerModule returns the Worker with the page in it.
var workerModule = sync.OnceValues(cloudflare.Module)

// startWorker starts the Worker and returns its base URL. Of a setting that is
// given twice the last one counts.
func (r *rig) startWorker(env ...string) string {
	r.Helper()
	module, err := workerModule()
	if err != nil {
		r.Fatal(err)
	}
	w := workerd.Worker{Module: module, Bindings: make(map[string]string)}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		w.Bindings[name] = value
	}
	if w.Address, err = proc.FreeAddr(); err != nil {
		r.Fatal(err)
	}
	config, err := workerd.Write(r.TempDir(), w)
	if err != nil {
		r.Fatal(err)
	}
	p := &program{log: new(proc.Buffer), base: "http://" + w.Address}
	p.Process, err = proc.Start(proc.Options{Log: p.log, Out: p.log}, workerd.Program(r.T), "serve", config)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Kill)
	if err := p.AwaitListening(r.Context(), w.Address); err != nil {
		r.Fatal(err)
	}
	r.processes = append(r.processes, p)
	return p.base
}

// dialContext returns how clients connect. The Worker's clients disconnect by a reset:
// its runtime notices an orderly close at the next write only, while on the
// platform the edge reports it.
func (r *rig) dialContext() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if r.front != worker {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return conn, err
	}
}

// leave disconnects a client as [rig.dialContext] says.
func (w *wire) leave() {
	if w.r.is(worker) {
		w.rst()
		return
	}
	w.Close()
}
