package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// healthTimeout is the timeout of the health check.
const healthTimeout = 5 * time.Second

// runHealth checks whether a relay serves, without a proxy, and returns the exit
// status: exitOK if it does, whatever the state of its upstreams. It is for
// containers, whose health checks run inside them.
func runHealth(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("relay health", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "relay health [URL] checks whether a relay serves (default http://%s).\n"+
			"Exit status: 0 if it does, 1 if not. relay check finds out why not.\n", defaultListen)
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	base := "http://" + defaultListen
	if flags.NArg() > 0 {
		base = flags.Arg(0)
	}
	u, err := url.Parse(base)
	if err != nil || flags.NArg() > 1 || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		fmt.Fprintln(stderr, "relay: health takes one URL, such as http://"+defaultListen)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	about, err := askHealth(ctx, strings.TrimSuffix(strings.TrimRight(base, "/"), "/v1")+protocol.HealthPath)
	if err != nil {
		fmt.Fprintln(stderr, "relay: health:", err)
		return exitError
	}
	fmt.Fprintf(stdout, "%s: %s, version %s\n", about.Status, about.Name, about.Version)
	return exitOK
}

// askHealth gets the health of a relay.
func askHealth(ctx context.Context, address string) (about protocol.Health, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return about, err
	}
	req.Header.Set("User-Agent", "relay-health/"+core.Version)
	transport := &http.Transport{DisableKeepAlives: true} // no proxy
	res, err := transport.RoundTrip(req)
	if err != nil {
		return about, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return about, fmt.Errorf("status %d", res.StatusCode)
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&about)
	if err == nil && about.Status != "ok" {
		err = errors.New("the response is not a relay's")
	}
	return about, err
}
