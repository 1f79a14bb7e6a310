package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"example.com/relay/bench/upstream"
)

// A rig is what all contenders share: the upstream, and where programs are.
type rig struct {
	dir      string // temporary
	upstream *upstream.Upstream
	builds   []*build // by contender
	progress io.Writer
}

// newRig builds the contenders and starts the upstream. It must be closed.
func newRig(ctx context.Context, progress io.Writer) (r *rig, err error) {
	r = &rig{progress: progress}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "bench-servers-"); err != nil {
		return r, err
	}
	for _, c := range contenders {
		r.say("building %s", c.pkg)
		b, err := c.buildIn(ctx, r.dir)
		if err != nil {
			return r, err
		}
		r.builds = append(r.builds, b)
	}
	r.upstream, err = upstream.Start()
	return r, err
}

// rows returns a row for each contender, and before them one for direct.
func (r *rig) rows() []*row {
	rows := []*row{{name: "direct, no server"}}
	for i, c := range contenders {
		rows = append(rows, &row{name: c.name, c: &c, built: r.builds[i]})
	}
	return rows
}

// url returns the base URL of the scripted upstream.
func (r *rig) url() string { return "http://" + r.upstream.Addr() }

func (r *rig) close() {
	if r.upstream != nil {
		r.upstream.Close()
	}
	_ = os.RemoveAll(r.dir)
}

func (r *rig) say(format string, args ...any) {
	fmt.Fprintf(r.progress, format+"\n", args...)
}
