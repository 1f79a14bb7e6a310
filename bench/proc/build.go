package proc

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

// Go runs the go command with env added to this process's own environment.
func Go(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// Root returns the folder of the module.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// Build builds a package for Linux as make dist does, for the architecture and
// with further flags.
func Build(ctx context.Context, arch string, flags []string, file, pkg string) error {
	args := slices.Concat([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}, flags, []string{"-o", file, pkg})
	return Go(ctx, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}, args...)
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
