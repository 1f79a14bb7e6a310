// Package check is relay check: it diagnoses a relay anywhere, from DNS to buffered
// streams, and says what to do about it.
//
// A doctor (doctor.go) runs its probes in order: net.go, relay.go, access.go,
// cors.go, body.go, stream.go. Each returns a result (report.go). If the relay
// cannot be reached, explain.go says why; if a platform responds instead of the
// relay, page.go says what that means.
package check

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// defaultTimeout is how long a probe may take unless -timeout says otherwise.
const defaultTimeout = 10 * time.Second

// options is the command line of check.
type options struct {
	base       *url.URL // of the relay, without /v1 and trailing slashes
	token, key core.Secret
	json       bool
	timeout    time.Duration // for each probe
}

// Exit statuses.
const (
	exitOK    = 0 // no probe failed, whatever the warnings
	exitError = 1 // a probe failed
	exitUsage = 2 // the command line is wrong
)

// Run probes the relay at the URL in args, the command line after "relay
// check", prints what it finds, and returns the exit status. It prints neither
// token nor key.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "relay: check:", err)
		return exitUsage
	}
	d := newDoctor(opts)
	defer d.client.CloseIdleConnections()
	return d.examine(ctx, newReporter(stdout, opts.json))
}

// parse reads the command line; flags may come before or after the URL. Its errors
// do not quote the URL, which may be a token in the wrong place.
func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("relay check", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints the error
	flags.StringVar((*string)(&opts.token), "token", "", "access `token` of the relay, such as \"$RELAY_TOKEN\"")
	flags.StringVar((*string)(&opts.key), "key", "",
		"API `key` to try, such as \"$OPENAI_API_KEY\"; without one, everything up to the key is checked")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object")
	flags.DurationVar(&opts.timeout, "timeout", defaultTimeout, "`timeout` of each probe")
	var urls []string
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			usage(flags)
		}
		if err != nil {
			return opts, err
		}
		if flags.NArg() == 0 {
			break
		}
		urls, args = append(urls, flags.Arg(0)), flags.Args()[1:]
	}
	if len(urls) != 1 {
		return opts, fmt.Errorf("needs one URL, not %d, such as https://relay.example/v1; see relay check -h",
			len(urls))
	}
	var err error
	if opts.base, err = parseRelayURL(urls[0]); err != nil {
		return opts, err
	}
	return opts, opts.tidy()
}

// tidy trims the space that a shell left around values, and reports what no header
// can hold.
func (opts *options) tidy() error {
	for name, secret := range map[string]*core.Secret{"-token": &opts.token, "-key": &opts.key} {
		*secret = core.Secret(strings.TrimSpace(string(*secret)))
		if strings.ContainsFunc(string(*secret), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return fmt.Errorf("%s has a space or another character that is not allowed in a header", name)
		}
	}
	if opts.timeout <= 0 {
		return errors.New("-timeout must be a positive duration such as 10s")
	}
	return nil
}

// parseRelayURL returns the URL of a relay's root for what users paste: a client's
// base URL, the root, or an endpoint.
func parseRelayURL(s string) (*url.URL, error) {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return nil, errors.New("the URL has no scheme: " +
			"begin it with https://, or with http:// for a relay on this machine")
	}
	if scheme = strings.ToLower(scheme); scheme != "https" && scheme != "http" {
		return nil, errors.New("the URL must begin with https:// or http://")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("this is not a URL such as https://relay.example/v1")
	case u.User != nil:
		return nil, errors.New("the URL must not hold a user name or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("the URL must not have a query or a fragment")
	}
	path := strings.TrimRight(u.EscapedPath(), "/") + "/"
	if strings.Contains(path, "/t/") {
		return nil, errors.New("the URL holds an access token: leave /t/<token> out and pass the token with -token")
	}
	path, _, _ = strings.Cut(path, "/v1/")
	path = strings.TrimRight(strings.TrimSuffix(path, protocol.HealthPath+"/"), "/")
	return url.Parse(u.Scheme + "://" + u.Host + path)
}

// usage prints the flags and explains the output.
func usage(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprint(out, `relay check URL diagnoses a relay and says what to do about each problem:

  relay check https://relay.example/v1 -token "$RELAY_TOKEN" -key "$OPENAI_API_KEY"

`)
	flags.PrintDefaults()
	fmt.Fprint(out, `
Each probe is ok, warn (works, with a problem), fail or skip (could not be checked).
The exit status is 0 if none failed, 1 if one did, 2 for a usage error.
It sends a few small requests, none of which uses tokens of the API, and honors
HTTPS_PROXY as clients do.
`)
}
