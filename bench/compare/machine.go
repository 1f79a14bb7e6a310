package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"example.com/relay/bench/proc"
)

// A machine is where and of what the figures are.
type machine struct {
	cpu, kernel, load, commit string // "" if not known
}

func thisMachine(ctx context.Context) machine {
	m := machine{cpu: cpuModel()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(b), " ")
	}
	m.commit = commit(ctx)
	return m
}

// commit returns the commit that is checked out, and whether anything was
// changed since.
func commit(ctx context.Context) string {
	id, ok := proc.Output(ctx, "git", "rev-parse", "--short", "--verify", "--quiet", "HEAD")
	if !ok || id == "" || strings.Contains(id, " ") { // no git, no commit, no repository
		return ""
	}
	// With locks, git would refresh its index, which is not ours to write.
	if changes, _ := proc.Output(ctx, "git", "--no-optional-locks", "status", "--porcelain"); changes != "" {
		return id + " with changes"
	}
	return id
}

// cpuModel returns what the CPU calls itself.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String returns the machine in a few words.
func (m machine) String() string {
	words := fmt.Sprintf("%d cores", runtime.NumCPU())
	if m.cpu != "" {
		words += " (" + m.cpu + ")"
	}
	words += ", " + runtime.GOOS + "/" + runtime.GOARCH
	if m.kernel != "" {
		words += " " + m.kernel
	}
	return words
}
