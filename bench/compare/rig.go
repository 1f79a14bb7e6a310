package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"example.com/relay/bench/proc"
)

// A rig is what all contenders share: the upstream, and the programs.
type rig struct {
	dir      string // temporary, for programs and configurations
	self     string // this program, for its roles
	relay    string // the relay, built for the occasion
	upstream string // address
	process  *proc.Process
	progress io.Writer
}

// newRig builds the relay and starts the upstream. It must be closed.
func newRig(ctx context.Context, progress io.Writer) (*rig, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, self: self, relay: filepath.Join(dir, "relay"), progress: progress}
	if err := r.start(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) start(ctx context.Context) error {
	r.say("building the relay")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.relay, "example.com/relay/cmd/relay")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	var err error
	if r.process, err = proc.Start(proc.Options{}, r.self, roleUpstream); err != nil {
		return err
	}
	r.upstream, err = r.process.Await(ctx, addrPrefix)
	return err
}

func (r *rig) close() {
	if r.process != nil {
		r.process.Stop()
	}
	_ = os.RemoveAll(r.dir)
}

func (r *rig) say(format string, args ...any) {
	fmt.Fprintf(r.progress, format+"\n", args...)
}
