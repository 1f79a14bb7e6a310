package figures

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"example.com/relay/internal/proc"
)

// A Machine is the machine and the commit that were measured.
type Machine struct {
	cpu, kernel, load, commit string // "" if not known
}

// ThisMachine returns the machine that this process runs on.
func ThisMachine(ctx context.Context) Machine {
	m := Machine{cpu: cpuModel()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(b), " ")
	}
	m.commit = commit(ctx)
	return m
}

// commit returns the commit that is checked out, with a note if files have changed
// since.
func commit(ctx context.Context) string {
	id, ok := proc.Output(ctx, "git", "rev-parse", "--short", "--verify", "--quiet", "HEAD")
	if !ok || id == "" || strings.Contains(id, " ") { // no git, no commit, or no repository
		return ""
	}
	// Without --no-optional-locks git would rewrite its index.
	if changes, _ := proc.Output(ctx, "git", "--no-optional-locks", "status", "--porcelain"); changes != "" {
		return id + " with changes"
	}
	return id
}

// cpuModel returns the CPU's model name, or "".
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
func (m Machine) String() string {
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

// Lines returns the report's list items on the machine and the date.
func (m Machine) Lines(began time.Time, took time.Duration) string {
	lines := fmt.Sprintf("- Machine: %s. Clients, relay and upstream share it, all on 127.0.0.1.\n", m)
	if m.load != "" {
		lines += fmt.Sprintf("- Load average before the start: %s. "+
			"If it is not near 0, other processes were running and widened the spreads.\n", m.load)
	}
	return lines + fmt.Sprintf("- Date: %s. Commit: %s. It took %s.\n",
		began.UTC().Format(time.DateOnly), cmp.Or(m.commit, "none yet"), took.Round(time.Second))
}
