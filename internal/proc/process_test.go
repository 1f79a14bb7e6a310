package proc

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the child as well.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_PROC_CHILD") == "" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot listen")
		os.Exit(1)
	}
	fmt.Printf("noise\naddress: %s\n", ln.Addr())
	if os.Getenv("BENCH_PROC_CHILD") == "fail" {
		fmt.Fprintln(os.Stderr, "it hurts")
		os.Exit(3)
	}
	time.Sleep(time.Minute) // until it is stopped
}

func startChild(t *testing.T, how string) *Process {
	t.Helper()
	p, err := Start(Options{Env: []string{"BENCH_PROC_CHILD=" + how}}, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestProcess(t *testing.T) {
	p := startChild(t, "run")
	addr, err := p.Await(t.Context(), "address: ")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitListening(t.Context(), addr); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		if u, err := p.Usage(); err != nil || u.RSS == 0 {
			t.Errorf("Usage() = %+v, %v, want some memory", u, err)
		}
	}
	begin := time.Now()
	p.Stop()
	if took := time.Since(begin); took >= stopTimeout {
		t.Errorf("Stop() took %v", took)
	}
}

func TestProcessThatFails(t *testing.T) {
	p := startChild(t, "fail")
	_, err := p.Await(t.Context(), "no such line")
	if err == nil || !strings.Contains(err.Error(), "it hurts") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Await() = %v, want what the child said", err)
	}
}

func TestOutput(t *testing.T) {
	if got, ok := Output(t.Context(), "no-such-program-anywhere"); ok {
		t.Errorf("Output() of no program = %q", got)
	}
}
