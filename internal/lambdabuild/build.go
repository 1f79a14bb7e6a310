// Package lambdabuild builds the function for AWS Lambda as make dist does, for
// those who test it.
package lambdabuild

import (
	"fmt"
	"os"
	"os/exec"
)

// Tags are the build tags of the function, as the Makefile has them.
//
// Without lambda.norpc there would be a server for a runtime that is gone.
// With nethttpomithttp2 there is no HTTP/2: to its upstreams the function speaks
// HTTP/1.1 (core.Platform.SingleRequest), to everything else plain HTTP on its
// own host.
const Tags = "lambda.norpc,nethttpomithttp2"

// Build builds the function for this machine, from the sources of the module
// around dir, or around the present folder if dir is empty.
func Build(dir, file string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-tags", Tags, "-o", file, "example.com/relay/lambda")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the function: %w\n%s", err, out)
	}
	return nil
}
