// Command release makes everything that users download, in one folder. The same
// source gives the same bytes every time. make release runs it:
//
//	release [-version 1.2.3] [-platforms linux/amd64,…] [-source URL] -sbom TOOL -o FOLDER
//	release push [-from FOLDER] IMAGE
//
// The first empties the folder and fills it with archives of the command relay, the
// zips for functions, worker.js, a container image, an SBOM for each of them, the
// files for servers, and SHA256SUMS of all. The second pushes the image to a registry,
// with the login of docker, and prints its digest.
//
//	release.go  the list of what is released
//	sbom.go     the SBOM of each artifact
//	image.go    the image; layout.go its file; push.go
//	version.go  the version, from git
//
// It has its own module so that the relay's go.mod does not name the dependencies that
// images need.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// folder is where the release is, unless the command line says otherwise.
const folder = "dist/release"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 && args[0] == "push" {
		return runPush(ctx, args[1:], stdout)
	}
	var r release
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", "", "`version`, with or without v; if empty, what git describes")
	platforms := flags.String("platforms", strings.Join(allPlatforms, ","), "`platforms` to release for")
	flags.StringVar(&r.source, "source", "", "`URL` of the repository, for the image's labels")
	flags.StringVar(&r.sbomTool, "sbom", "", "`module@version` of cyclonedx-gomod")
	flags.StringVar(&r.out, "o", folder, "`folder` to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || r.sbomTool == "" {
		return fmt.Errorf("usage: release -sbom TOOL [flags], or release push IMAGE; got %q", args)
	}
	var err error
	if r.platforms, err = parsePlatforms(*platforms); err != nil {
		return err
	}
	return r.make(ctx, stdout)
}

// runPush is run for the command push.
func runPush(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("release push", flag.ContinueOnError)
	from := flags.String("from", folder, "`folder` of the release")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("push takes the image's name, such as ghcr.io/owner/relay:1.2.3; got %q", flags.Args())
	}
	digest, err := push(ctx, *from, flags.Arg(0))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}
