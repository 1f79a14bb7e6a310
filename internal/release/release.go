package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/build"
)

// allPlatforms are the platforms for which the command relay is released.
var allPlatforms = []string{
	"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
}

// serverFiles are released as they are in docs/server.
var serverFiles = []string{"relay.service", "relay.socket", "compose.yaml"}

// Names of artifacts that are used in several places.
const (
	sumsFile  = "SHA256SUMS"
	imageFile = "relay-image.tar"
)

// A release is the parameters of make.
type release struct {
	version   string     // without v
	source    string     // URL of the repository, or ""
	sbomTool  string     // module and version of cyclonedx-gomod
	platforms []platform // of the command relay; the image and the zips for Lambda are made for those of Linux
	out       string     // folder

	root string // of the repository
	work string // a temporary folder
}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// parsePlatforms parses a list such as linux/amd64,darwin/arm64.
func parsePlatforms(list string) ([]platform, error) {
	var platforms []platform
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(allPlatforms, name) {
			return nil, fmt.Errorf("platform %q: want one of %s", name, strings.Join(allPlatforms, ", "))
		}
		system, arch, _ := strings.Cut(name, "/")
		platforms = append(platforms, platform{system, arch})
	}
	return platforms, nil
}

// make makes the release in an emptied folder, and prints its SHA256SUMS.
func (r *release) make(ctx context.Context, stdout io.Writer) (err error) {
	if err := pinEnvironment(); err != nil {
		return err
	}
	if r.root, err = build.Root(ctx); err != nil {
		return err
	}
	if r.version, err = resolveVersion(ctx, r.root, r.version); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "release"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if err := emptyFolder(r.out); err != nil {
		return err
	}
	for _, p := range r.platforms {
		if err := r.relay(ctx, p); err != nil {
			return err
		}
		if p.os != "linux" {
			continue
		}
		if err := r.lambda(ctx, p.arch); err != nil {
			return err
		}
	}
	steps := []func(context.Context) error{r.gcf, r.worker, r.image, r.server}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	sums, err := writeSums(r.out)
	if err == nil {
		_, err = fmt.Fprintf(stdout, "relay %s\n%s", r.version, sums)
	}
	return err
}

// pinEnvironment fixes the variables by which this machine's settings would change what
// the go command builds.
func pinEnvironment() error {
	return errors.Join(
		os.Setenv("GOFLAGS", "-mod=readonly"), os.Setenv("GOAMD64", "v1"), os.Setenv("GOARM64", "v8.0"),
		os.Unsetenv("GOEXPERIMENT"), os.Unsetenv("GOOS"), os.Unsetenv("GOARCH"),
	)
}

// emptyFolder makes a folder, or empties it. A folder with folders in it is an error,
// as it cannot be that of a release.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, fs.DirEntry.IsDir) {
		return fmt.Errorf("%s has folders in it, so it is not that of a release: name another", dir)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// relay makes the archive of the command relay for a platform.
func (r *release) relay(ctx context.Context, p platform) error {
	program := r.program(p)
	target := build.Target{OS: p.os, Arch: p.arch, Version: r.version}
	if err := build.Relay.Build(ctx, target, program); err != nil {
		return err
	}
	name, write := archiveName(p), build.WriteTarGz
	if p.os == "windows" {
		write = build.WriteZip
	}
	files := map[string]string{filepath.Base(program): program, "LICENSE.txt": filepath.Join(r.root, "LICENSE")}
	if _, err := write(r.file(name), files); err != nil {
		return err
	}
	return r.programSBOM(ctx, name, program)
}

// archiveName returns the name of the archive of the command relay.
func archiveName(p platform) string {
	if p.os == "windows" {
		return "relay-" + p.os + "-" + p.arch + ".zip"
	}
	return "relay-" + p.os + "-" + p.arch + ".tar.gz"
}

// program returns the path of the command relay for a platform.
func (r *release) program(p platform) string {
	name := "relay"
	if p.os == "windows" {
		name = "relay.exe"
	}
	return filepath.Join(r.work, p.os+"-"+p.arch, name)
}

// lambda makes the zip for AWS Lambda, for an architecture of Linux.
func (r *release) lambda(ctx context.Context, arch string) error {
	bootstrap := filepath.Join(r.work, "lambda-"+arch, "bootstrap")
	target := build.Target{OS: "linux", Arch: arch, Version: r.version}
	if err := build.Lambda.Build(ctx, target, bootstrap); err != nil {
		return err
	}
	name := "lambda-" + arch + ".zip"
	if _, err := build.WriteZip(r.file(name), map[string]string{"bootstrap": bootstrap}); err != nil {
		return err
	}
	return r.programSBOM(ctx, name, bootstrap)
}

// gcf makes the zip of the source from which Google builds its function. Its SBOM
// is that of a build of it.
func (r *release) gcf(ctx context.Context) error {
	files, err := build.Source(ctx)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(r.root, build.VersionFile))
	if err != nil {
		return err
	}
	if text, err = build.SetVersion(text, r.version); err != nil {
		return fmt.Errorf("%s: %w", build.VersionFile, err)
	}
	versioned := filepath.Join(r.work, "version.go")
	if err := os.WriteFile(versioned, text, 0o644); err != nil {
		return err
	}
	if files[build.VersionFile] == "" {
		return fmt.Errorf("the source for Google has no %s", build.VersionFile)
	}
	files[build.VersionFile] = versioned
	const name = "gcf.zip"
	if _, err := build.WriteZip(r.file(name), files); err != nil {
		return err
	}
	program := filepath.Join(r.work, "gcf")
	target := build.Target{OS: "linux", Arch: "amd64", Version: r.version}
	if err := build.GCF.Build(ctx, target, program); err != nil {
		return err
	}
	return r.programSBOM(ctx, name, program)
}

// worker makes the file for Cloudflare.
func (r *release) worker(context.Context) error {
	module, err := cloudflare.Module()
	if err != nil {
		return err
	}
	if module, err = build.SetVersion(module, r.version); err != nil {
		return fmt.Errorf("worker.js: %w", err)
	}
	const name = "worker.js"
	if err := os.WriteFile(r.file(name), module, 0o644); err != nil {
		return err
	}
	return r.fileSBOM(name)
}

// server copies serverFiles.
func (r *release) server(context.Context) error {
	for _, name := range serverFiles {
		text, err := os.ReadFile(filepath.Join(r.root, "docs", "server", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.file(name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// file returns the path of an artifact.
func (r *release) file(name string) string { return filepath.Join(r.out, name) }

// writeSums writes SHA256SUMS, as sha256sum -c reads it, and returns it.
func writeSums(dir string) (string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", err
	}
	var sums strings.Builder
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return sums.String(), os.WriteFile(filepath.Join(dir, sumsFile), []byte(sums.String()), 0o644)
}
