package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/failover"
)

// drainTime is how long streams may go on after SIGTERM. Tests shorten it.
var drainTime = 10 * time.Second

const (
	defaultListen = "127.0.0.1:8787"

	// maxServerHeader is above the relay's own limit of 64 KiB, so that the
	// relay itself answers most headers that are too large.
	maxServerHeader = 128 << 10
)

// serve runs a relay until ctx ends or a signal comes, and returns the exit
// status.
func serve(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("relay serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", defaultListen, "address to listen on")
	file := flags.String("upstreams-file", "", "JSON `file` that names the upstreams in place of RELAY_UPSTREAMS, as terraform output -json endpoints\nprints it; read again when it changes")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { serveUsage(flags) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if *version {
		fmt.Fprintln(stdout, "relay", core.Version)
		return exitOK
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "relay: serve takes no %q: settings come from RELAY_* variables, see relay serve -h\n", flags.Arg(0))
		return exitUsage
	}
	cfg, err := core.ParseEnv(environ)
	upstreams := upstreamsFile{name: *file}
	if err == nil && *file != "" {
		cfg.Upstreams, err = upstreams.read(cfg.Upstreams)
	}
	if err == nil {
		err = checkProxy(environ)
	}
	if err == nil {
		cfg.ProxyFromEnvironment = true
		cfg.Public = isPublic(cfg.AllowedHosts, *listen)
		cfg.AllowedHosts = allowedHosts(cfg.AllowedHosts, *listen)
		cfg.Logger = slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
		var relay *core.Relay
		if relay, err = core.New(cfg); err == nil {
			if *file != "" {
				ctx, stop := context.WithCancel(ctx)
				defer stop()
				go upstreams.watch(ctx, relay, cfg.Logger)
			}
			return listenAndServe(ctx, relay, cfg, *listen, stdout, stderr)
		}
	}
	fmt.Fprintln(stderr, "relay: bad settings:", err)
	return exitUsage
}

// serveUsage prints the flags and the settings.
func serveUsage(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprint(out, "relay serve starts a relay and prints the base URL to use. Flags:\n\n")
	flags.PrintDefaults()
	fmt.Fprint(out, "\nSettings, from the environment:\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range core.Settings() {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", s.Name, s.Default, s.Usage)
	}
	table.Flush()
}

// allowedHosts returns the names by which a relay on a loopback address may be
// called, unless some are configured: a web page whose name is made to lead to
// this machine (DNS rebinding) is none of them. On other addresses any name
// will do.
func allowedHosts(configured []string, listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if len(configured) > 0 || err != nil || !isLoopback(host) {
		return configured
	}
	return []string{host, "localhost", "127.0.0.1", "::1", "host.docker.internal"}
}

// isPublic reports whether others than the programs of this machine reach a relay
// on an address: from other machines, or as web pages by DNS rebinding.
func isPublic(hosts []string, listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err != nil || !isLoopback(host) || slices.Contains(hosts, "*")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// heapRoom is how much more may be allocated before the garbage collector runs.
// A relay keeps little and allocates much: a heap of a megabyte would be cleaned
// up after every two hundred requests. It is held as an array that nobody
// touches, so that it takes no memory by itself: the collector runs when as much
// was allocated as is in use. Who sets GOGC or GOMEMLIMIT has ideas of his own.
const heapRoom = 16 << 20

func listenAndServe(ctx context.Context, relay *core.Relay, cfg core.Config, listen string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		fmt.Fprintf(stderr, "relay: cannot listen on %s: %v\n", listen, err)
		return exitError
	}
	server := &http.Server{
		Handler:           relay,
		ReadHeaderTimeout: 10 * time.Second,
		// No WriteTimeout, which would end every stream: each write has its own.
		IdleTimeout:    60 * time.Second,
		MaxHeaderBytes: maxServerHeader,
		ErrorLog:       log.New(serverLog{cfg.Logger}, "", 0),
		// net/http would answer OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
	var ballast []byte
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, heapRoom)
	}
	defer runtime.KeepAlive(ballast)
	log.SetOutput(serverLog{cfg.Logger}) // net/http's client quotes stray bytes of upstreams there
	greet(stdout, ln.Addr(), cfg)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(relay.Listen(server, ln)) }()
	select {
	case err := <-failed:
		fmt.Fprintln(stderr, "relay:", err)
		return exitError
	case <-ctx.Done():
	}
	stop() // a second signal ends the process at once
	return shutdown(server, relay, stdout)
}

// shutdown stops accepting, lets streams finish for a while, and then ends
// them with an error event.
func shutdown(server *http.Server, relay *core.Relay, stdout io.Writer) int {
	fmt.Fprintf(stdout, "relay: stopping, streams have up to %s to finish\n", drainTime)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	// The server keeps new connections out at once, and then waits as the relay
	// does; but it knows nothing of hijacked connections, and ends nothing.
	closed := make(chan error, 1)
	go func() { closed <- server.Shutdown(ctx) }()
	err := relay.Shutdown(ctx)
	if err == nil {
		<-closed // it still writes the ends of the last answers
	}
	_ = server.Close()
	if err != nil {
		fmt.Fprintln(stdout, "relay: stopped, ending the streams that were left")
		return exitOK
	}
	fmt.Fprintln(stdout, "relay: stopped, everything finished")
	return exitOK
}

// greet prints what a user needs to use the relay.
func greet(out io.Writer, addr net.Addr, cfg core.Config) {
	base := "http://" + reachable(addr) + "/v1"
	access, key := "no access token needed", "$OPENAI_API_KEY"
	if len(cfg.AccessTokens) > 0 {
		access, key = "access token needed", "rt_$TOKEN.$OPENAI_API_KEY"
		if cfg.APIKey != "" {
			key = "rt_$TOKEN"
		}
	}
	page := ""
	if !cfg.NoPage {
		page = "page:     " + strings.TrimSuffix(base, "v1") + "\n"
	}
	fmt.Fprintf(out, `relay %s to %s, %s
base URL: %s
%s
try it:
  curl -N %s/chat/completions -H "Authorization: Bearer %s" -H "Content-Type: application/json" \
    -d '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'

`, core.Version, upstreamNames(cfg.Upstreams), access, base, page, base, key)
}

// upstreamNames returns the upstreams without their access tokens.
func upstreamNames(urls []core.Secret) string {
	if len(urls) == 0 {
		return "https://api.openai.com"
	}
	names := make([]string, len(urls))
	for i, u := range urls {
		base, _ := failover.Base(string(u)) // they were checked
		names[i] = base.String()
	}
	return strings.Join(names, ", ")
}

// reachable returns addr as a client on this machine can call it.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

// A serverLog takes what net/http says about connections. Its lines hold
// addresses of clients and may quote what they sent, so only their kind is
// logged.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(p []byte) (int, error) {
	kind := "other"
	for _, known := range []string{"http: TLS handshake error", "http: Accept error", "http: panic serving", "http: superfluous response.WriteHeader"} {
		if strings.HasPrefix(string(p), known) {
			kind = strings.TrimPrefix(known, "http: ")
		}
	}
	l.logger.Warn("server", "kind", kind)
	return len(p), nil
}
