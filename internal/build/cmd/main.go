// Command cmd makes files that are deployed. The name of each says what it is:
//
//	go run ./internal/build/cmd [-os OS] [-arch ARCH] dist/relay dist/lambda.zip dist/gcf.zip
//
// The Lambda function is for Linux always, and for arm64 if nothing else is said.
// Its program stays beside its archive, as bootstrap.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"example.com/relay/internal/build"
)

func main() {
	var target build.Target
	flag.StringVar(&target.OS, "os", "", "operating `system`, in place of this machine's")
	flag.StringVar(&target.Arch, "arch", "", "`architecture`, in place of this machine's, or of arm64 for Lambda")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "build: usage: build [-os OS] [-arch ARCH] FILE...")
		os.Exit(2)
	}
	for _, file := range flag.Args() {
		if err := run(context.Background(), file, target); err != nil {
			fmt.Fprintln(os.Stderr, "build:", err)
			os.Exit(1)
		}
	}
}

// run makes a file.
func run(ctx context.Context, file string, target build.Target) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	switch filepath.Base(file) {
	case "relay":
		return build.Relay.Build(ctx, target, file)
	case "lambda.zip":
		bootstrap := filepath.Join(filepath.Dir(file), "bootstrap")
		target = build.Target{OS: "linux", Arch: cmp.Or(target.Arch, "arm64")}
		if err := build.Lambda.Build(ctx, target, bootstrap); err != nil {
			return err
		}
		return zip(file, map[string]string{"bootstrap": bootstrap})
	case "gcf.zip":
		files, err := build.Source(ctx)
		if err != nil {
			return err
		}
		return zip(file, files)
	}
	return fmt.Errorf("%s: is none of relay, lambda.zip, gcf.zip", file)
}

func zip(file string, files map[string]string) error {
	line, err := build.WriteZip(file, files)
	if err != nil {
		return err
	}
	fmt.Println(line)
	return nil
}
