package fronts

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/torture"
)

var (
	elastic = excepting("the platform limits the load of one process, and starts more", lambda, buffered, gcf, vercel)
	beyond  = excepting("it is the same program as the local front", gateway)
)

func TestExhaustion(t *testing.T) {
	runRows(t, []row{
		{"E01", "idle connections", []string{local}, with(elastic, beyond), nil, idleConnections},
		{"E02", "many streams at once", servers, deafStreams, nil, manyStreams},
		{"E03", "more than the limit in flight", relays, elastic, []string{"RELAY_MAX_IN_FLIGHT=20"}, inFlight},
		{"E04", "memory of a request of 10 KiB", servers, excepting("one request at a time", lambdas...), nil,
			memoryOfRequests},
		{"E05", "out of file descriptors", []string{local}, with(elastic, beyond), nil, noDescriptorsLeft},
		{"E06", "many cancels", servers, deaf, nil, manyCancels},
		{"E07", "one token over its rate", append([]string{process}, servers...),
			excepting("Lambda starts an environment for each request in flight, and each counts its own", lambdas...),
			[]string{`RELAY_ACCESS_TOKENS=[{"name":"limited","token":"` + limitedToken + `","per_minute":20},"` +
				canaryToken + `"]`}, overItsRate},
		{"E08", "fuzzing", nil, excepting("Go functions are fuzzed, not fronts: make torture runs scripts/fuzz, "+
			"which fills the last column", all...), nil, nil},
		{"E09", "SIGTERM amid streams", []string{local, gcf, vercel},
			with(beyond, excepting("Lambda ends an environment only while it is idle", lambdas...)), nil, sigterm},
		{"E10", "clocks that jump", relays, with(
			excepting("row F17 sets the clock of a frozen function", lambdas...),
			excepting("it is core behind net/http's server, as in the local front", gcf, vercel)), nil, clockJumps},
	})
}

var deafStreams = excepting("Lambda starts an environment for each request", lambdas...)

func idleConnections(r *rig) {
	n := torture.Pick(500, 2000)
	before := r.resident()
	var wires []*wire
	for range n {
		w := r.dial()
		w.say("GET /relay/health HTTP/1.1\r\n" + canaries + "\r\n")
		if a := w.response("GET"); a.status != 200 {
			r.Fatalf("got %v", a)
		}
		wires = append(wires, w)
	}
	each := (r.resident() - before) / int64(n)
	r.note(fmt.Sprintf("%d KiB for each of %d%s", each>>10, n,
		torture.Pick("; the long form shows that they are closed after 3 min", ", closed after 3 min")))
	if each > 32<<10 {
		r.Errorf("%d KiB for each, want 32", each>>10)
	}
	if torture.Long {
		begun := time.Now()
		_ = wires[n-1].SetDeadline(time.Now().Add(4 * time.Minute))
		if _, err := wires[n-1].ReadByte(); err != io.EOF || time.Since(begun) < 170*time.Second {
			r.Errorf("ended by %v after %v, want the idle timeout of 3 min", err, time.Since(begun))
		}
	}
	for _, w := range wires {
		w.Close()
	}
}

// A tally counts how streams ended.
type tally struct {
	whole, aborted, cut, silent atomic.Int64
}

// streams keeps n streams open for a time. Of each hundred, the client abandons
// five and the upstream resets five.
func (r *rig) streams(n int, d time.Duration, fault string) *tally {
	var counts tally
	var wait sync.WaitGroup
	end := time.Now().Add(d)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: n}
	defer transport.CloseIdleConnections()
	for range n {
		wait.Go(func() {
			for time.Now().Before(end) && !r.Failed() {
				r.stream(transport, &counts, fault)
			}
		})
	}
	wait.Wait()
	return &counts
}

func (r *rig) stream(transport *http.Transport, counts *tally, fault string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	what := rand.IntN(100)
	if what < 5 {
		fault += " reset=3"
	}
	res, err := transport.RoundTrip(request(r, "POST", r.base+chatPath, stream, "Fake-Fault", fault).WithContext(ctx))
	if err != nil {
		r.Errorf("%v", err)
		return
	}
	defer res.Body.Close()
	if what >= 5 && what < 10 {
		_, _ = io.ReadFull(res.Body, make([]byte, 300))
		counts.aborted.Add(1)
		return
	}
	body, err := io.ReadAll(res.Body)
	done := strings.Contains(string(body), "[DONE]")
	switch {
	case what < 5 && err != nil && strings.Contains(string(body), "upstream_interrupted") && !done:
		counts.cut.Add(1)
	case what < 5:
		counts.silent.Add(1)
	case err != nil || !done:
		r.Errorf("%v: %.200s", err, body)
	default:
		counts.whole.Add(1)
	}
}

func manyStreams(r *rig) {
	n, d := torture.Pick(60, 500), torture.Pick(2*time.Second, time.Minute)
	r.KeepLast(1)
	t := r.streams(n, d, torture.Pick("gap=30ms", "events=50 gap=100ms"))
	r.note(fmt.Sprintf("%d at a time for %v: %d complete, %d abandoned, %d truncated, %d silently truncated", n, d,
		t.whole.Load(), t.aborted.Load(), t.cut.Load(), t.silent.Load()))
	if t.silent.Load() > 0 {
		r.Errorf("%d silent truncations", t.silent.Load())
	}
	r.idle(n)
}

// idle allows as many idle connections to the upstream as there were requests
// at a time: they are kept, to be used again. A region has as many from its
// gateway; and a gateway on a busy machine, whose connects take their time, may
// have connected to every region for each of them.
func (r *rig) idle(n int) {
	each := 2
	if r.is(gateway) {
		each = 3
	}
	for _, p := range r.processes {
		p.fds += each * n
	}
}

func inFlight(r *rig) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var open []*http.Response
	for range 20 {
		open = append(open, r.open(ctx, stream, "events=30 gap=50ms"))
	}
	r.WaitArrived(r, 20)
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			a := r.send("POST", chatPath, chat)
			r.wantError(a, http.StatusServiceUnavailable, "relay_overloaded")
			if a.header.Get("Retry-After-Ms") == "" {
				r.Error("no Retry-After-Ms")
			}
		})
	}
	wait.Wait()
	for _, res := range open {
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), "[DONE]") {
			r.Errorf("one of the others: %v %.200s", err, body)
		}
	}
	r.wantUpstream(20)
	r.idle(20)
	r.wantNext()
}

const limitedToken = "a-token-that-may-send-20-requests-a-minute"

// overItsRate sends ten times as many requests as the token may: those beyond are
// refused at once, and other tokens notice nothing.
func overItsRate(r *rig) {
	begun, served := time.Now(), 0
	for range 200 {
		a := r.send("POST", chatPath, chat, "X-Relay-Token", limitedToken)
		if a.status == http.StatusOK {
			served++
			continue
		}
		r.wantError(a, http.StatusTooManyRequests, "token_rate_limited")
		if wait, err := strconv.Atoi(a.header.Get("Retry-After-Ms")); err != nil || wait < 1 || wait > 8000 {
			r.Errorf("Retry-After-Ms %q", a.header.Get("Retry-After-Ms"))
		}
	}
	if most := 20 + int(time.Since(begun)/(3*time.Second)) + 1; served < 20 || served > most {
		r.Errorf("%d requests were forwarded, want 20 to %d", served, most)
	}
	r.wantUpstream(served)
	r.wantNext()
}

func memoryOfRequests(r *rig) {
	n := torture.Pick(100, 500)
	big := strings.Replace(chat, "abcdefgh", strings.Repeat("x", 5<<10), 1)
	hang := func(n int) (cancel func()) {
		ctx, cancel := context.WithCancel(r.Context())
		first := r.Arrived()
		for range n {
			go func() {
				res, err := r.transport.RoundTrip(request(r, "POST", r.base+chatPath, big, "Fake-Fault", "hang",
					"X-Padding", strings.Repeat("y", 5<<10)).WithContext(ctx))
				if err == nil {
					res.Body.Close()
				}
			}()
		}
		r.WaitArrived(r, first+n)
		return cancel
	}
	hang(5)()
	before := r.resident()
	cancel := hang(n)
	each := (r.resident() - before) / int64(n)
	cancel()
	r.note(fmt.Sprintf("%d KiB for each of %d", each>>10, n))
	if each > 1<<20 {
		r.Errorf("%d KiB for each, want less than 1 MiB", each>>10)
	}
	for i := range n + 5 {
		r.Wait(r, i+1).WaitCanceled(r)
	}
	if r.is(gateway) {
		r.idle(n) // what was connected to in vain
	}
}

func noDescriptorsLeft(r *rig) {
	limited := filepath.Join(r.TempDir(), "relay")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n 256\nexec %s \"$@\"\n", r.programs.relay)
	if err := os.WriteFile(limited, []byte(script), 0o755); err != nil {
		r.Fatal(err)
	}
	r.programs.relay = limited
	r.start(r.URL)
	ctx, cancel := context.WithCancel(r.Context())
	var refused atomic.Int64
	var wait sync.WaitGroup
	for range 200 { // each takes two
		wait.Go(func() {
			res, err := r.transport.RoundTrip(request(r, "POST", r.base+chatPath, chat, "Fake-Fault",
				"hang").WithContext(ctx))
			if err != nil {
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if ctx.Err() == nil {
				refused.Add(1)
				r.wantError(response{res.StatusCode, res.Header, string(body), err}, http.StatusServiceUnavailable,
					"relay_overloaded")
			}
		})
	}
	// Nothing else refuses them. How many descriptors are in use by then depends on
	// whether accepting or connecting was faster.
	if !eventually(20*time.Second, func() bool { return refused.Load() > 0 }) {
		r.Errorf("none refused, with %d descriptors", descriptors(r.processes[0].PID()))
	}
	cancel()
	wait.Wait()
	r.transport.CloseIdleConnections()
	if !eventually(10*time.Second, func() bool { return r.send("POST", chatPath, chat).status == 200 }) {
		r.Error("does not recover")
	}
	r.note(fmt.Sprintf("%d of 200 got a 503; it recovers", refused.Load()))
}

func manyCancels(r *rig) {
	n := torture.Pick(300, 10_000)
	r.KeepLast(1)
	var wait sync.WaitGroup
	begun := time.Now()
	for range 20 {
		wait.Go(func() {
			for range n / 20 {
				ctx, cancel := context.WithTimeout(r.Context(), time.Duration(rand.IntN(5000))*time.Microsecond)
				res, err := r.transport.RoundTrip(request(r, "POST", r.base+chatPath, stream, "Fake-Fault",
					"gap=5ms").WithContext(ctx))
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	wait.Wait()
	r.note(fmt.Sprintf("%d cancels, %.0f/s", n, float64(n)/time.Since(begun).Seconds()))
	r.idle(20)
	r.wantNext()
}

func sigterm(r *rig) {
	n := torture.Pick(20, 100)
	type end struct {
		body string
		err  error
	}
	ends := make([]end, n)
	var wait sync.WaitGroup
	for i := range n {
		fault := "gap=50ms"
		if i%2 == 1 {
			fault = "events=2000 gap=50ms"
		}
		res := r.open(r.Context(), stream, fault)
		wait.Go(func() {
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			ends[i] = end{string(body), err}
		})
	}
	begun := time.Now()
	if err := r.processes[0].Signal(syscall.SIGTERM); err != nil {
		r.Fatal(err)
	}
	wait.Wait()
	<-r.processes[0].Ended()
	for i, e := range ends {
		if whole := e.err == nil && strings.Contains(e.body, "[DONE]"); whole != (i%2 == 0) {
			r.Errorf("stream %d ends with %v: %.300s", i, e.err, e.body[max(0, len(e.body)-300):])
		} else if !whole && !strings.Contains(e.body, `"code":"relay_shutdown"`) {
			r.Errorf("stream %d has no error event", i)
		}
	}
	r.note(fmt.Sprintf("%d drained, %d ended with an error event, after %.0f s", (n+1)/2, n/2,
		time.Since(begun).Seconds()))
}

// TestSoak keeps 500 streams open for ten minutes, or for TORTURE_SOAK, and checks
// that memory and descriptors do not grow. In the short form it is 100 for ten
// seconds, which shows that it works and little more.
func TestSoak(t *testing.T) {
	n, d := 100, 10*time.Second
	if torture.Long {
		n, d = 500, 10*time.Minute
	}
	if given := os.Getenv("TORTURE_SOAK"); given != "" {
		var err error
		if d, err = time.ParseDuration(given); err != nil {
			t.Fatal(err)
		}
		n = 500
	}
	runRows(t, []row{{"soak", fmt.Sprintf("%d streams", n), []string{local}, nil, nil, func(r *rig) { r.soak(n, d) }}})
}

// A sample is what a process uses at a moment.
type sample struct{ rss, fds, goroutines int64 }

func (s sample) String() string {
	return fmt.Sprintf("%.1f MiB, %d descriptors, %d goroutines", float64(s.rss)/(1<<20), s.fds, s.goroutines)
}

// median returns the median of each figure.
func median(list []sample) (m sample) {
	of := func(figure func(*sample) *int64) {
		var all []int64
		for _, s := range list {
			all = append(all, *figure(&s))
		}
		slices.Sort(all)
		*figure(&m) = all[len(all)/2]
	}
	of(func(s *sample) *int64 { return &s.rss })
	of(func(s *sample) *int64 { return &s.fds })
	of(func(s *sample) *int64 { return &s.goroutines })
	return m
}

func (r *rig) soak(n int, d time.Duration) {
	r.KeepLast(1)
	r.stop()
	var err error
	if r.programs, err = settable(); err != nil {
		r.Fatal(err)
	}
	count := filepath.Join(r.TempDir(), "goroutines")
	r.start(r.URL, "TORTURE_GOROUTINES="+count)
	goroutines := func() (n int64) {
		text, _ := os.ReadFile(count)
		n, _ = strconv.ParseInt(string(text), 10, 64)
		return n
	}
	pid := r.processes[0].PID()
	var samples []sample
	done := make(chan bool)
	go func() {
		defer close(done)
		for begun := time.Now(); time.Since(begun) < d; time.Sleep(d / 40) {
			samples = append(samples, sample{r.resident(), int64(descriptors(pid)), goroutines()})
		}
	}()
	counts := r.streams(n, d, "events=50 gap=100ms")
	<-done
	// Quarters of the time; in the first, usage still rises.
	quarter := len(samples) / 4
	begin, middle, end := median(samples[quarter:2*quarter]), median(samples[2*quarter:3*quarter]),
		median(samples[3*quarter:])
	r.note(fmt.Sprintf("%d at a time for %v: %d complete, %d abandoned, %d truncated, %d silently truncated; "+
		"medians of the second, third and last quarter: %v; %v; %v",
		n, d, counts.whole.Load(), counts.aborted.Load(), counts.cut.Load(), counts.silent.Load(), begin, middle, end))
	if end.goroutines < int64(n) {
		r.Errorf("%d goroutines, of %d streams: they are not counted", end.goroutines, n)
	}
	const mib = 1 << 20
	if end.rss > begin.rss*11/10+4*mib || end.fds > begin.fds*11/10+20 || end.goroutines > begin.goroutines*11/10+50 ||
		counts.silent.Load() > 0 {
		r.Errorf("not flat: %v", samples)
	}
	r.idle(n)
	// Without requests there are only the servers' goroutines: idle connections have
	// none of their own.
	if !eventually(10*time.Second, func() bool { return goroutines() <= 50 }) {
		r.Errorf("%d goroutines are left", goroutines())
	}
}
