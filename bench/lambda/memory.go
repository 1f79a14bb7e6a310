package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/load"
)

// What is uploaded. In base64 the file is as large as an event can be.
var (
	largeJSON = upstream.Call{Method: "POST", Target: upstream.Upload.Target, Type: "application/json", Body: 5_000_000}
	largeFile = upstream.Call{Method: "POST", Target: upstream.Upload.Target, Type: "application/octet-stream", Body: 4_000_000}
)

// warmChats are as many as make a function warm.
const warmChats = 100

// measureMemory takes what processes are resident with after their start, when
// warm, and after uploads, each upload in a process of its own.
func (w *row) measureMemory(ctx context.Context, r *rig) error {
	trace, err := startIdle(ctx, w.built.bootstrap, w.c.env(w.c.mode, r.url()))
	if err != nil {
		return err
	}
	w.idle = append(w.idle, trace.rss)
	w.inits = append(w.inits, trace)
	for _, upload := range []struct {
		call upstream.Call
		to   *[]float64
	}{{largeJSON, &w.afterJSON}, {largeFile, &w.afterFile}} {
		warm, after, err := w.residentAfter(ctx, r, upload.call)
		if err != nil {
			return err
		}
		w.warm = append(w.warm, warm)
		*upload.to = append(*upload.to, after)
	}
	return nil
}

// residentAfter returns what a new process is resident with when warm, and
// after an upload.
func (w *row) residentAfter(ctx context.Context, r *rig, upload upstream.Call) (warm, after float64, err error) {
	f, err := w.serve(r.url(), nil)
	if err != nil {
		return 0, 0, err
	}
	defer f.close()
	if _, err := chat(ctx, f.addr, warmChats); err != nil {
		return 0, 0, err
	}
	if warm, err = f.resident(); err != nil {
		return 0, 0, err
	}
	client := load.NewClient(f.addr, life)
	defer client.Close()
	if err := client.Do(upload.Request(f.addr)); err != nil {
		return 0, 0, fmt.Errorf("upload: %w", err)
	}
	after, err = f.resident()
	return warm, after, err
}

// resident returns what the function's process is resident with, in MiB.
func (s *function) resident() (float64, error) {
	pids := s.PIDs()
	if len(pids) != 1 {
		return 0, fmt.Errorf("%d processes, want 1", len(pids))
	}
	return residentOf(pids[0])
}

var errNoRSS = errors.New("no VmRSS in /proc/PID/status")

func residentOf(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseRSS(string(status))
}

// parseRSS returns the MiB in the line VmRSS of /proc/PID/status.
func parseRSS(status string) (float64, error) {
	for line := range strings.Lines(status) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib / 1024, nil
		}
	}
	return 0, errNoRSS
}
