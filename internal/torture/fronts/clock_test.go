package fronts

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
)

// A clock is the wall clock of processes, which a test can set: the programs are
// built with a package time that adds an offset from a file. The monotonic clock is
// left alone. So a process sees what it sees when the clock is set, or when its
// machine was frozen: wall-clock time has passed, monotonic time has not.
type clock struct {
	file *os.File
	by   time.Duration
}

// startClock returns a clock without an offset.
func startClock(t testing.TB) *clock {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "clock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	c := &clock{file: file}
	c.jump(t, 0)
	return c
}

// env is the variable that gives the clock to a process.
func (c *clock) env() string { return "TORTURE_CLOCK=" + c.file.Name() }

// jump sets the clock forward, or back.
func (c *clock) jump(t testing.TB, d time.Duration) {
	t.Helper()
	c.by += d
	b := binary.NativeEndian.AppendUint64(nil, uint64(c.by/time.Second))
	if _, err := c.file.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// settable builds the programs with a clock that can be set, once. The program
// relay counts its goroutines, too.
var settable = sync.OnceValues(func() (executables, error) {
	dir := filepath.Join(buildDir, "settable")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return executables{}, err
	}
	overlay, err := overlay(dir)
	if err != nil {
		return executables{}, err
	}
	return build(dir, "-overlay", overlay)
})

const (
	readsClock = "sec, nsec, mono := runtimeNow()\n"
	setClock   = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var setBy = new(int64)

func init() {
	name, ok := syscall.Getenv("TORTURE_CLOCK")
	if !ok {
		return
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	_ = syscall.Close(fd)
	setBy = (*int64)(unsafe.Pointer(&b[0]))
}

func set() int64 { return atomic.LoadInt64(setBy) }
`
	countsGoroutines = `package main

import (
	"os"
	"runtime"
	"strconv"
	"time"
)

func init() {
	if name := os.Getenv("TORTURE_GOROUTINES"); name != "" {
		go func() {
			for range time.Tick(100 * time.Millisecond) {
				_ = os.WriteFile(name+".new", []byte(strconv.Itoa(runtime.NumGoroutine())), 0o644)
				_ = os.Rename(name+".new", name)
			}
		}()
	}
}
`
)

// overlay writes a go build overlay, which changes package time and adds a file to
// the program relay, and returns its path.
func overlay(dir string) (string, error) {
	root, ok := proc.Output(context.Background(), "go", "env", "GOROOT")
	if !ok {
		return "", errors.New("go env GOROOT fails")
	}
	pkg := filepath.Join(strings.TrimSpace(root), "src", "time")
	source, err := os.ReadFile(filepath.Join(pkg, "time.go"))
	if err != nil {
		return "", err
	}
	// Only Now: Since and Until use the monotonic clock.
	now := strings.Replace(string(source), readsClock, readsClock+"\tsec += set()\n", 1)
	if now == string(source) {
		return "", fmt.Errorf("%s: time.Now has changed, and this test must follow", pkg)
	}
	relay, err := filepath.Abs("../../../cmd/relay")
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for path, text := range map[string]string{
		filepath.Join(pkg, "time.go"): now, filepath.Join(pkg, "set.go"): setClock,
		filepath.Join(relay, "goroutines.go"): countsGoroutines,
	} {
		file := filepath.Join(dir, filepath.Base(path))
		replace[path] = file
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o644)
}

// setClock gives the front a clock that can be set, from its next start on.
func (r *rig) setClock() *clock {
	r.Helper()
	var err error
	if r.programs, err = settable(); err != nil {
		r.Fatal(err)
	}
	return startClock(r)
}

// A forgetter is an upstream behind a NAT that forgets connections: those made
// before it last forgot get no response.
type forgetter struct {
	*script
	forgot atomic.Int64
}

func forgetful(t testing.TB) *forgetter {
	f := new(forgetter)
	f.script = scripted(t, func(c *turn) {
		for {
			if _, _, err := c.request(); err != nil {
				return
			}
			if c.n <= f.forgot.Load() {
				_, _ = io.Copy(io.Discard, c)
				return
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	return f
}

// forget forgets all connections so far.
func (f *forgetter) forget() { f.forgot.Store(f.conns.Load()) }

// jumps are the offsets by which the clock is set, in order.
var jumps = []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour, 10 * time.Minute}

// clockJumps sets the wall clock amid streams, before idle connections that
// nothing answers on any more, and while a region is down.
func clockJumps(r *rig) {
	c := r.setClock()
	r.start(r.URL, c.env())
	for _, by := range jumps {
		res := r.open(r.Context(), stream, "events=20 gap=20ms")
		if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
			r.Fatal(err)
		}
		c.jump(r, by)
		if rest, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
			r.Errorf("a stream during a jump of %v: %v %q", by, err, rest)
		}
		res.Body.Close()
		r.wantNext()
	}
	r.wantUpstream(2 * len(jumps))
	r.wantLeftBehind(c)
	r.note(fmt.Sprintf("%d jumps: streams went on, no POST on a connection that was idle before", len(jumps)))
	if r.is(gateway) {
		r.returnsInTime(c)
	}
}

// wantLeftBehind fails if a POST goes by a connection that was idle when the
// clock jumped: it would hang.
func (r *rig) wantLeftBehind(c *clock) {
	r.Helper()
	f := forgetful(r)
	r.start(f.URL, c.env())
	for i, by := range jumps {
		if a := r.send("POST", chatPath, chat); a.status != 200 || a.body != "{}" {
			r.Fatalf("after %d jumps: %v", i, a)
		}
		f.forget()
		c.jump(r, by)
	}
	if a := r.send("POST", chatPath, chat); a.status != 200 {
		r.Errorf("after the last jump: %v", a)
	}
	if n := f.requests.Load(); n != int64(len(jumps))+1 {
		r.Errorf("upstream saw %d requests, want %d", n, len(jumps)+1)
	}
}

// returnsInTime has a region be down when the clock jumps: it must be used
// again as soon as ever, not an hour later.
func (r *rig) returnsInTime(c *clock) {
	r.Helper()
	r.start(r.URL, c.env(), "RELAY_PROBE_INTERVAL=off") // a probe would end it early
	by := func() string {
		a := r.send("POST", chatPath, chat)
		if a.status != 200 {
			r.Errorf("got %v", a)
		}
		return a.header.Get("X-Relay-Upstream")
	}
	first := by()
	var slowest time.Duration
	for _, jump := range []time.Duration{-time.Hour, time.Hour} {
		region := r.processes[0]
		region.Kill()
		if !eventually(10*time.Second, func() bool { return by() != first && r.isDown() }) {
			r.Error("the region that was killed is not down")
		}
		c.jump(r, jump)
		r.processes[0] = r.relayAt(strings.TrimPrefix(region.base, "http://"), "RELAY_UPSTREAMS="+r.URL,
			"RELAY_ACCESS_TOKENS="+canaryToken, c.env())
		r.settle()
		begun := time.Now()
		if !eventually(20*time.Second, func() bool { return by() == first }) {
			r.Errorf("after a jump of %v the region is not used any more", jump)
		}
		slowest = max(slowest, time.Since(begun))
	}
	r.note(fmt.Sprintf("%d jumps: streams went on, no POST on a connection that was idle before, a region that was "+
		"down was used again after %.1f s", len(jumps), slowest.Seconds()))
	if slowest > 5*time.Second {
		r.Errorf("a region that was down is used again after %v, want 5 s", slowest)
	}
}

// isDown reports whether the gateway's health says that a region is down.
func (r *rig) isDown() bool {
	r.Helper()
	return strings.Contains(r.send("GET", "/relay/health", "").body, `"down"`)
}

// farDeadline is the timeout of a function whose clock is set: the emulator passes
// the deadline as a time of day by its own clock.
const farDeadline = 24 * time.Hour

// thawed has ten minutes pass between two invocations of a frozen function,
// while the connection that it kept is forgotten.
func (r *rig) thawed() {
	r.Helper()
	r.stop()
	c := r.setClock()
	f := forgetful(r)
	r.restartLambda(lambdaemu.Function{Freeze: true, Concurrency: 1, Timeout: farDeadline}, f.URL, c.env())
	const n = 10
	for i := range n {
		if a := r.send("POST", chatPath, chat); a.status != 200 || a.body != "{}" {
			r.Fatalf("after %d times ten minutes: %v", i, a)
		}
		f.forget()
		c.jump(r, 10*time.Minute)
	}
	if got := f.requests.Load(); got != n {
		r.Errorf("upstream saw %d requests, want %d", got, n)
	}
	r.wantAlive(1)
}
