// Command relay relays api.openai.com.
//
//	relay [serve] [-listen 127.0.0.1:8787] [-upstreams-file urls.json] [-metrics 127.0.0.1:9090] [-version]
//	relay check URL [-token TOKEN] [-key KEY] [-json]
//	relay health [URL]
//	relay token new NAME
//	relay version
//
// serve, the default, starts a relay with the settings of the environment and
// prints the base URL to use. check diagnoses a relay anywhere. health is the
// health check of containers. token makes an access token. Each has -h.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/relay/cmd/relay/internal/check"
)

// Exit statuses. Those of check are its own.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve":
		return runServe(ctx, args, environ, stdout, stderr)
	case "check":
		return check.Run(ctx, args, stdout, stderr)
	case "health":
		return runHealth(ctx, args, stdout, stderr)
	case "token":
		return runToken(args, stdout, stderr)
	case "version":
		return runServe(ctx, []string{"-version"}, environ, stdout, stderr)
	case "help":
		return runServe(ctx, []string{"-h"}, environ, stdout, stderr)
	}
	fmt.Fprintf(stderr, "relay: unknown command %q: use serve, check, health, token or version, with -h for help\n",
		name)
	return exitUsage
}
