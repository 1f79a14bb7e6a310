// Package build makes what is deployed and released: programs, the zip for AWS
// Lambda, that for Google Cloud Functions, and other archives. The same sources
// give the same bytes on every machine. Tests and benchmarks build by it, too, so
// that they run what is deployed.
//
//	build.go    programs and their flags
//	version.go  the version in sources
//	zip.go      archives; tar.go those for Unix
//	source.go   what the archive for Google Cloud Functions holds
//	cmd         the command for make dist
package build

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "example.com/relay"

// flags are those of every program: no paths, no version control.
var flags = []string{"-trimpath", "-buildvcs=false"}

// linkerFlags are those of every program: no symbols, no build id.
const linkerFlags = "-s -w -buildid="

// A Program is a main package of this module.
type Program struct {
	Package string
	Flags   []string // beyond those of every program
}

// Relay is the relay as a server of its own. What it spends its time on, the
// compiler knows from a profile.
var Relay = Program{module + "/cmd/relay", []string{"-pgo=bench/relay.pgo"}}

// GCF is the function for Google Cloud Functions in a program, such as Google
// builds of its source.
var GCF = Program{Package: module + "/gcf/cmd"}

// Lambda is the function for AWS Lambda.
//
// Without lambda.norpc there would be a server for a runtime that is gone.
// With nethttpomithttp2 there is no HTTP/2: to its upstreams the function speaks
// HTTP/1.1 (core.Platform.SingleRequest), to everything else plain HTTP on its
// own host. In packages that run once for a connection, or hardly at all,
// functions are not inlined (-l), which makes the zip smaller by 80 KB.
var Lambda = Program{module + "/lambda", []string{
	"-tags=lambda.norpc,nethttpomithttp2",
	"-gcflags=crypto/tls=-l",
	"-gcflags=crypto/x509/...=-l",
	"-gcflags=encoding/asn1=-l",
	"-gcflags=fmt=-l",
	"-gcflags=math/big=-l",
	"-gcflags=mime/...=-l",
	"-gcflags=net=-l",
	"-gcflags=os=-l",
	"-gcflags=vendor/golang.org/x/...=-l",
}}

// A Target is what a program is to run on. If OS or Arch is empty, it is what the
// environment says, or else this machine. If Version is empty, it is that of the
// source.
type Target struct{ OS, Arch, Version string }

// Build builds the program into a file.
func (p Program) Build(ctx context.Context, t Target, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	env := []string{"CGO_ENABLED=0"}
	if t.OS != "" {
		env = append(env, "GOOS="+t.OS)
	}
	if t.Arch != "" {
		env = append(env, "GOARCH="+t.Arch)
	}
	link := linkerFlags
	if t.Version != "" {
		if err := CheckVersion(t.Version); err != nil {
			return err // the linker splits its flags at spaces
		}
		link += " -X " + module + "/core.Version=" + t.Version
	}
	args := slices.Concat([]string{"build", "-ldflags", link}, flags, p.Flags, []string{"-o", file, p.Package})
	return Go(ctx, env, args...)
}

// BuildHere builds the program for this machine.
func (p Program) BuildHere(ctx context.Context, file string) error {
	return p.Build(ctx, Target{}, file)
}

// Go runs the go command at the root of the module, with env added to this
// process's own environment.
func Go(ctx context.Context, env []string, args ...string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Root returns the folder of the module, also for the modules within it.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Versions returns the modules in an executable, such as "aws-lambda-go v1.55.1".
func Versions(file string) (string, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return "", err
	}
	var list []string
	for _, module := range info.Deps {
		list = append(list, filepath.Base(module.Path)+" "+module.Version)
	}
	return strings.Join(list, ", "), nil
}
