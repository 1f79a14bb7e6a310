package main

import (
	"archive/zip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// unpack unpacks the zip at path into dir, and returns the path of its
// bootstrap. It is an error if Lambda, or this machine, could not run it.
func unpack(path, dir string) (bootstrap string, err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	defer archive.Close()
	if err := checkBootstrap(&archive.Reader); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range archive.File {
		if err := extract(f, dir); err != nil {
			return "", fmt.Errorf("%s: %s: %w", path, f.Name, err)
		}
	}
	bootstrap = filepath.Join(dir, "bootstrap")
	if err := checkMachine(bootstrap); err != nil {
		return "", fmt.Errorf("%s: bootstrap %w", path, err)
	}
	return bootstrap, nil
}

// checkBootstrap returns an error if Lambda would find no executable bootstrap.
func checkBootstrap(archive *zip.Reader) error {
	for _, f := range archive.File {
		if f.Name != "bootstrap" {
			continue
		}
		if !f.Mode().IsRegular() || f.Mode().Perm()&0o555 != 0o555 {
			return fmt.Errorf("bootstrap has mode %v, and Lambda would not start it: "+
				"chmod 755 bootstrap before it is zipped", f.Mode())
		}
		return nil
	}
	return errors.New("there is no file bootstrap in its root, and Lambda would have nothing to start")
}

func extract(f *zip.File, dir string) error {
	if !filepath.IsLocal(f.Name) {
		return errors.New("the name leaves the folder")
	}
	path := filepath.Join(dir, f.Name)
	if f.Mode().IsDir() {
		return os.MkdirAll(path, 0o755)
	}
	if !f.Mode().IsRegular() {
		return fmt.Errorf("is not a regular file: %v", f.Mode())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// machines are Lambda's and Go's names of Lambda's architectures.
var machines = map[elf.Machine]struct{ lambda, goarch string }{
	elf.EM_X86_64:  {"x86_64", "amd64"},
	elf.EM_AARCH64: {"arm64", "arm64"},
}

// checkMachine returns an error if this machine cannot run the file. Scripts are
// assumed to run anywhere.
func checkMachine(path string) error {
	file, err := elf.Open(path)
	if _, ok := errors.AsType[*elf.FormatError](err); ok || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) {
		return checkScript(path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	built, known := machines[file.Machine]
	if !known {
		return fmt.Errorf("is built for %v, which Lambda does not support: set GOARCH to arm64 or amd64", file.Machine)
	}
	if runtime.GOOS != "linux" || built.goarch != runtime.GOARCH {
		return fmt.Errorf("is built for linux/%s (Lambda's %s), and this machine is %s/%s: run it on linux/%s",
			built.goarch, built.lambda, runtime.GOOS, runtime.GOARCH, built.goarch)
	}
	return nil
}

func checkScript(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	start := make([]byte, 2)
	if _, err := io.ReadFull(file, start); err != nil || string(start) != "#!" {
		return errors.New("is neither a Linux executable nor a script: build it with GOOS=linux")
	}
	return nil
}
