package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"example.com/relay/internal/build"
	"example.com/relay/internal/proc"
)

// A rig is what all contenders share: the upstreams, and the programs.
type rig struct {
	dir       string       // temporary, for programs and configurations
	self      string       // this program, for its roles
	relay     string       // the relay, built for the occasion
	upstreams [ends]string // addresses
	roots     string       // file with the certificate of who signed the upstreams'
	trust     *tls.Config  // the same for this process
	process   *proc.Process
	progress  io.Writer
}

// newRig builds the relay and starts the upstreams. It must be closed.
func newRig(ctx context.Context, progress io.Writer) (*rig, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, self: self, relay: filepath.Join(dir, "relay"), roots: filepath.Join(dir, "roots.pem"), progress: progress}
	if err := r.start(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) start(ctx context.Context) error {
	r.say("building the relay")
	if err := build.Relay.Build(ctx, build.Target{}, r.relay); err != nil {
		return err
	}
	return r.startUpstreams(ctx)
}

// startUpstreams starts the process that is all of them.
func (r *rig) startUpstreams(ctx context.Context) (err error) {
	if r.process, err = proc.Start(proc.Options{}, r.self, roleUpstream, r.roots); err != nil {
		return err
	}
	line, err := r.process.Await(ctx, addrPrefix)
	if err != nil {
		return err
	}
	if n := copy(r.upstreams[:], strings.Fields(line)); n != int(ends) {
		return fmt.Errorf("%d upstreams listen, not %d", n, ends)
	}
	pem, err := os.ReadFile(r.roots)
	if err != nil {
		return err
	}
	r.trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	if !r.trust.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: holds no certificate", r.roots)
	}
	return nil
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
