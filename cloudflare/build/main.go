// Command build writes worker.js with the page in it, for the dashboard, wrangler
// and Terraform, and prints its SHA-256.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"example.com/relay/cloudflare"
)

func main() {
	out := flag.String("o", "dist/worker.js", "file to write")
	flag.Parse()
	if err := build(*out); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(out string) error {
	module, err := cloudflare.Module()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(out, module, 0o644); err != nil {
		return err
	}
	fmt.Printf("%x  %s\n", sha256.Sum256(module), out)
	return nil
}
