// Command serve runs the Worker on this machine, on the runtime of Cloudflare,
// with the RELAY_* variables of the environment.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/workerd"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8788", "address to listen on")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// serve serves until it is interrupted.
func serve(listen string) error {
	program, err := workerd.Install()
	if err != nil {
		return err
	}
	module, err := cloudflare.Module()
	if err != nil {
		return err
	}
	p, err := workerd.Start(program, workerd.Worker{Module: module, Bindings: bindings(os.Environ()),
		Address: listen}, os.Stderr)
	if err != nil {
		return err
	}
	defer p.Stop()
	fmt.Printf("The Worker runs. Base URL for clients:\n\n  %s/v1\n", p.URL)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	<-interrupted
	return nil
}

// bindings returns the RELAY_* variables of environ.
func bindings(environ []string) map[string]string {
	found := make(map[string]string)
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "RELAY_") {
			found[name] = value
		}
	}
	return found
}
