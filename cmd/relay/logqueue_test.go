package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/internal/fakeopenai"
)

func TestLogQueueWritesAllInOrder(t *testing.T) {
	var out bytes.Buffer
	q := newLogQueue(&out)
	var want strings.Builder
	for i := range 1000 {
		line := fmt.Sprintln("line", i)
		want.WriteString(line)
		_, _ = q.Write([]byte(line))
	}
	q.close(time.Minute)
	if out.String() != want.String() {
		t.Errorf("wrote %d bytes, want %d", out.Len(), want.Len())
	}
	_, _ = q.Write([]byte("too late")) // must not panic
	q.close(time.Minute)
}

// A reader that stalls costs lines and nothing else, and learns how many.
func TestLogQueueDropsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := newLogQueue(w)
		const more = 10
		_, _ = q.Write([]byte("first\n"))
		synctest.Wait() // the first line is being written
		for range logQueueSize + more {
			_, _ = q.Write([]byte("x\n"))
		}
		start := time.Now()
		q.close(time.Second)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("close waited %v for a reader that stalls, want 1s", waited)
		}
		var read bytes.Buffer
		go func() {
			<-q.done
			w.Close()
		}()
		_, _ = io.Copy(&read, r)
		lines := strings.Split(strings.TrimSuffix(read.String(), "\n"), "\n")
		if len(lines) != 1+1+logQueueSize {
			t.Errorf("read %d lines, want %d", len(lines), 2+logQueueSize)
		}
		if want := fmt.Sprintf(`"level":"WARN","msg":"log lines dropped","count":%d}`,
			more); !strings.HasSuffix(lines[1], want) {
			t.Errorf("line 2 is %q, want it to end with %q", lines[1], want)
		}
	})
}

// The whole program, with a pipe as standard error that is not read: it keeps
// serving, and SIGTERM stops it.
func TestServeWithAStalledLog(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	u := fakeopenai.StartUpstream(t)
	cmd := exec.CommandContext(t.Context(), program.Path(t), "-listen", "127.0.0.1:0")
	cmd.Env = []string{"RELAY_UPSTREAMS=" + u.URL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var base string
	for lines := bufio.NewScanner(stdout); base == "" && lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "base URL: "); ok {
			base = strings.TrimSuffix(url, "/v1")
		}
	}
	for i := range logQueueSize + 1000 { // a pipe holds some 240 lines
		res, err := http.Get(base + "/relay/health")
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %s", i, res.Status)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(stderr)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the relay ends with %v", err)
	}
	if !bytes.Contains(said, []byte(`"msg":"log lines dropped","count":`)) {
		t.Errorf("the log says nothing of dropped lines: %d bytes", len(said))
	}
}
