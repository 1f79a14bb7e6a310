// Package lambdabuild builds the function for AWS Lambda as make dist does, for
// those who test it. The Makefile reads the same file of flags.
package lambdabuild

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

//go:embed flags
var flags string

// Flags returns the function's own build flags.
//
// Without lambda.norpc there would be a server for a runtime that is gone.
// With nethttpomithttp2 there is no HTTP/2: to its upstreams the function speaks
// HTTP/1.1 (core.Platform.SingleRequest), to everything else plain HTTP on its
// own host. In packages that run once for a connection, or hardly at all,
// functions are not inlined (-l), which makes the zip smaller by 80 KB.
func Flags() []string { return strings.Fields(flags) }

// Build builds the function for this machine, from the sources of the module
// around dir, or around the present folder if dir is empty.
func Build(dir, file string) error {
	args := slices.Concat([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}, Flags(), []string{"-o", file, "example.com/relay/lambda"})
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the function: %w\n%s", err, out)
	}
	return nil
}
