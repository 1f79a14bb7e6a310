package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	program "example.com/relay/internal/build"
	"example.com/relay/internal/lambdaemu"
)

// A contender is a function that relays.
type contender struct {
	name  string
	pkg   string
	flags []string // of the build, beyond those of make dist
	mode  lambdaemu.Mode
	env   func(mode lambdaemu.Mode, upstream string) map[string]string
}

// contenders are all of them, in the order of the report.
var contenders = []contender{
	{"relay", "example.com/relay/lambda", program.Lambda.Flags, lambdaemu.ResponseStream, relayEnv},
	{"lambdaurl + ReverseProxy", "example.com/relay/bench/lambda/stockurl", noRPC, lambdaemu.ResponseStream, stockEnv},
	{"api-proxy + ReverseProxy, BUFFERED", "example.com/relay/bench/lambda/stockproxy", noRPC, lambdaemu.Buffered, stockEnv},
}

// noRPC leaves out a server for a runtime that is gone.
var noRPC = []string{"-tags=lambda.norpc"}

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
	if b.versions, err = program.Versions(b.bootstrap); err != nil {
		return nil, fmt.Errorf("this machine runs no build of linux/arm64 or linux/amd64: %w", err)
	}
	return b, nil
}

// buildFor builds and packs c for one architecture. It returns what file
// weighs, and what its zip does.
func (c contender) buildFor(ctx context.Context, arch, file string) (size, inZip int64, err error) {
	release := program.Program{Package: c.pkg, Flags: c.flags}
	if err := release.Build(ctx, program.Target{OS: "linux", Arch: arch}, file); err != nil {
		return 0, 0, err
	}
	if _, err := program.WriteZip(file+".zip", map[string]string{"bootstrap": file}); err != nil {
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
