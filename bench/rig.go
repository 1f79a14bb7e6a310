package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"example.com/relay/internal/build"
	"example.com/relay/internal/proc"
)

// Kinds of upstream.
const (
	plain  = "plain HTTP"
	https1 = "TLS, HTTP/1.1"
	https2 = "TLS, HTTP/2" // and HTTP/1.1
)

// kinds are all of them, in the order of the report.
var kinds = []string{plain, https1, https2}

// A rig is what all contenders share: the upstreams, and the programs.
type rig struct {
	dir       string            // temporary, for programs and configurations
	self      string            // this program, for its roles
	programs  map[string]*built // by package
	upstreams map[string]string // addresses by kind
	roots     string            // file with the certificate that the upstreams' are signed with
	trust     *tls.Config       // the same for this process
	process   *proc.Process
	progress  io.Writer
}

// newRig starts the upstreams. It must be closed.
func newRig(ctx context.Context, progress io.Writer) (*rig, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, self: self, programs: make(map[string]*built), progress: progress}
	r.roots = filepath.Join(dir, "roots.pem")
	if err := r.startUpstreams(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// startUpstreams starts the process of all upstreams.
func (r *rig) startUpstreams(ctx context.Context) (err error) {
	if r.process, err = proc.Start(proc.Options{}, r.self, roleUpstream, r.roots); err != nil {
		return err
	}
	line, err := r.process.Await(ctx, addrPrefix)
	if err != nil {
		return err
	}
	addrs := strings.Fields(line)
	if len(addrs) != len(kinds) {
		return fmt.Errorf("%d upstreams listen, not %d", len(addrs), len(kinds))
	}
	r.upstreams = make(map[string]string)
	for i, kind := range kinds {
		r.upstreams[kind] = addrs[i]
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

// url returns the base URL of the upstream of a kind.
func (r *rig) url(kind string) string {
	if kind == plain {
		return "http://" + r.upstreams[kind]
	}
	return "https://" + r.upstreams[kind]
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

// A built is a program with its sizes.
type built struct {
	file      string           // for this machine
	size, zip map[string]int64 // bytes by architecture
	versions  string           // of its libraries
}

// architectures are Lambda's.
var architectures = []string{"arm64", "amd64"}

// build builds a program as make dist does, once: for this machine, or as a zip for
// each of Lambda's architectures.
func (r *rig) build(ctx context.Context, p build.Program, zipped bool) (*built, error) {
	if b := r.programs[p.Package]; b != nil {
		return b, nil
	}
	r.say("building %s", p.Package)
	b := &built{size: make(map[string]int64), zip: make(map[string]int64)}
	wanted := []string{runtime.GOARCH}
	if zipped {
		wanted = architectures
	}
	name := strings.ReplaceAll(p.Package, "/", "-")
	for _, arch := range wanted {
		file := filepath.Join(r.dir, name+"-"+arch)
		if err := p.Build(ctx, build.Target{OS: "linux", Arch: arch}, file); err != nil {
			return nil, err
		}
		if zipped {
			if _, err := build.WriteZip(file+".zip", map[string]string{"bootstrap": file}); err != nil {
				return nil, err
			}
			b.zip[arch] = sizeOf(file + ".zip")
		}
		b.size[arch] = sizeOf(file)
		if arch == runtime.GOARCH {
			b.file = file
		}
	}
	var err error
	if b.versions, err = build.Versions(b.file); err != nil {
		return nil, fmt.Errorf("this machine cannot run builds for linux/%s: %w", strings.Join(wanted, " or linux/"),
			err)
	}
	r.programs[p.Package] = b
	return b, nil
}

// sizeOf returns the size of a file that was just written.
func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}
