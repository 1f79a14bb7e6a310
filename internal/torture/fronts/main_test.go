package fronts

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"example.com/relay/bench/proc"
	"example.com/relay/internal/lambdabuild"
	"example.com/relay/internal/regions"
)

// long says that rows take as long as the matrix says.
var long = os.Getenv("TORTURE_LONG") == "1"

// pick returns what a row takes in its short form, or in its long one.
func pick[T any](brief, full T) T {
	if long {
		return full
	}
	return brief
}

// programs are the executables of the fronts, built once.
var programs struct{ relay, lambda, gcf, vercel string }

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 4 {
		_ = flag.Set("test.parallel", "4") // rows wait more than they compute
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torture-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func build(dir string) error {
	ctx := context.Background()
	programs.relay = filepath.Join(dir, "relay")
	if err := regions.Build(ctx, programs.relay); err != nil {
		return err
	}
	programs.lambda = filepath.Join(dir, "bootstrap")
	if err := lambdabuild.Build("", programs.lambda); err != nil {
		return err
	}
	for _, p := range []struct {
		file      *string
		name, pkg string
	}{
		{&programs.gcf, "gcf", "example.com/relay/gcf/cmd"},
		{&programs.vercel, "vercel", "example.com/relay/vercel"},
	} {
		*p.file = filepath.Join(dir, p.name)
		if err := proc.Go(ctx, nil, "build", "-o", *p.file, p.pkg); err != nil {
			return err
		}
	}
	return nil
}
