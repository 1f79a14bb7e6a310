package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"example.com/relay/internal/proc"
)

// An initTrace is what a process did before its first /next.
type initTrace struct {
	used     proc.Usage
	packages []packageInit
}

// A packageInit is what the initialisers of a package took.
type packageInit struct {
	name  string
	clock float64 // ms
	bytes float64
}

// startIdle starts a bootstrap, waits for its first /next, looks at it and ends
// it. The emulator cannot say when: it starts a process because it has an event.
func startIdle(ctx context.Context, bootstrap string, env map[string]string) (*initTrace, error) {
	asked := make(chan struct{}, 1)
	api, err := silentAPI(asked)
	if err != nil {
		return nil, err
	}
	defer api.Close()
	var stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	cmd := exec.CommandContext(ctx, bootstrap)
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + api.Addr, "_HANDLER=bootstrap", "AWS_REGION=us-east-1",
		"GODEBUG=inittrace=1"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	used, err := idleUsage(ctx, cmd.Process.Pid, asked)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return &initTrace{used: used, packages: parseInits(stderr.Bytes())}, err
}

// idleUsage waits until a process has asked for an event and returns what it has
// used until then.
func idleUsage(ctx context.Context, pid int, asked <-chan struct{}) (proc.Usage, error) {
	select {
	case <-asked:
	case <-ctx.Done():
		return proc.Usage{}, ctx.Err()
	}
	time.Sleep(10 * time.Millisecond) // the asking itself may not be over
	return proc.UsageOf(pid)
}

// silentAPI serves a Runtime API that has no events, and says when it is asked.
func silentAPI(asked chan<- struct{}) (*http.Server, error) {
	return serve(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-req.Context().Done()
	}))
}

// parseInits returns what GODEBUG=inittrace=1 printed.
func parseInits(output []byte) (packages []packageInit) {
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "init ") {
			continue
		}
		var p packageInit
		var at float64
		if n, _ := fmt.Sscanf(lines.Text(), "init %s @%f ms, %f ms clock, %f bytes", &p.name, &at, &p.clock,
			&p.bytes); n == 4 {
			packages = append(packages, p)
		}
	}
	return packages
}
