package fronts

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	release "example.com/relay/internal/build"
)

// executables are the programs of the fronts.
type executables struct{ relay, lambda, gcf, vercel string }

// programs are built once, in buildDir.
var (
	programs executables
	buildDir string
)

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 4 {
		_ = flag.Set("test.parallel", "4") // rows wait more than they compute
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torture-")
		if err == nil {
			defer os.RemoveAll(dir)
			buildDir = dir
			programs, err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build builds the programs in dir; flags are go build's.
func build(dir string, flags ...string) (executables, error) {
	var p executables
	for _, program := range []struct {
		file      *string
		name, pkg string
		flags     []string
	}{
		{&p.relay, "relay", "example.com/relay/cmd/relay", nil},
		{&p.lambda, "bootstrap", "example.com/relay/lambda", release.Lambda.Flags},
		{&p.gcf, "gcf", "example.com/relay/gcf/cmd", nil},
		{&p.vercel, "vercel", "example.com/relay/vercel", nil},
	} {
		*program.file = filepath.Join(dir, program.name)
		args := slices.Concat([]string{"build", "-o", *program.file}, program.flags, flags, []string{program.pkg})
		if err := release.Go(context.Background(), nil, args...); err != nil {
			return p, err
		}
	}
	return p, nil
}
