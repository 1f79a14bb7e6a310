package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"example.com/relay/internal/lambdaemu"
)

// A contender is a function that relays.
type contender struct {
	name string
	pkg  string
	mode lambdaemu.Mode
	env  func(mode lambdaemu.Mode, upstream string) map[string]string
}

// contenders are all of them, in the order of the report.
var contenders = []contender{
	{"relay", "example.com/relay/lambda", lambdaemu.ResponseStream, relayEnv},
	{"lambdaurl + ReverseProxy", "example.com/relay/bench/lambda/stockurl", lambdaemu.ResponseStream, stockEnv},
	{"api-proxy + ReverseProxy, BUFFERED", "example.com/relay/bench/lambda/stockproxy", lambdaemu.Buffered, stockEnv},
}

// relayEnv leaves everything else as it is by default: it logs every request.
func relayEnv(mode lambdaemu.Mode, upstream string) map[string]string {
	return map[string]string{"RELAY_UPSTREAMS": upstream, "RELAY_LAMBDA_INVOKE_MODE": string(mode)}
}

func stockEnv(_ lambdaemu.Mode, upstream string) map[string]string {
	return map[string]string{"UPSTREAM": upstream}
}

// architectures are those that Lambda has.
var architectures = []string{"arm64", "amd64"}

// A build is a contender's executable, and what it weighs.
type build struct {
	bootstrap   string           // for this machine
	size, inZip map[string]int64 // bytes by architecture
	versions    string           // of the libraries that it is made of
}

// buildIn builds c in dir as make dist does, for each architecture.
func (c contender) buildIn(ctx context.Context, dir string) (b *build, err error) {
	b = &build{size: make(map[string]int64), inZip: make(map[string]int64)}
	for _, arch := range architectures {
		file := filepath.Join(dir, filepath.Base(c.pkg)+"-"+arch)
		if b.size[arch], b.inZip[arch], err = c.buildFor(ctx, arch, file); err != nil {
			return nil, err
		}
		if arch == runtime.GOARCH {
			b.bootstrap = file
		}
	}
	b.versions, err = versions(b.bootstrap)
	return b, err
}

// buildFor builds and packs c for one architecture. It returns what file
// weighs, and what its zip does.
func (c contender) buildFor(ctx context.Context, arch, file string) (size, inZip int64, err error) {
	err = command(ctx, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch},
		"build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", file, c.pkg)
	if err != nil {
		return 0, 0, err
	}
	if err := command(ctx, nil, "run", "example.com/relay/internal/pack", "-o", file+".zip", "bootstrap="+file); err != nil {
		return 0, 0, err
	}
	executable, err := os.Stat(file)
	if err != nil {
		return 0, 0, err
	}
	archive, err := os.Stat(file + ".zip")
	if err != nil {
		return 0, 0, err
	}
	return executable.Size(), archive.Size(), nil
}

// command runs the go command.
func command(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// versions returns the modules in an executable, such as "aws-lambda-go v1.55.1".
func versions(file string) (list string, err error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("this machine runs no build of linux/arm64 or linux/amd64: %w", err)
	}
	for i, module := range info.Deps {
		if i > 0 {
			list += ", "
		}
		list += filepath.Base(module.Path) + " " + module.Version
	}
	return list, nil
}
