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
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/serve"
)

const (
	defaultListen = "127.0.0.1:8787"

	// defaultDrainTimeout leaves a second to end streams in, and another one before
	// docker stop kills the process after 10 s.
	defaultDrainTimeout = 8 * time.Second

	// defaultIdleConnectionTimeout is longer than nginx, AWS's load balancers (60 s),
	// Go's clients (90 s) and Caddy (2 minutes) keep connections.
	defaultIdleConnectionTimeout = 3 * time.Minute
)

// runServe runs relay serve until ctx ends or a signal arrives, and returns the
// exit status.
func runServe(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("relay serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", defaultListen, "address to listen on")
	file := flags.String("upstreams-file", "", "JSON `file` with the upstreams, in place of RELAY_UPSTREAMS,\n"+
		"as terraform output -json endpoints prints it; read again when it changes")
	metricsAddress := flags.String("metrics", "", "`address` at which Prometheus gets metrics, such as\n"+
		"127.0.0.1:9090; everyone who reaches it can read them")
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
		fmt.Fprintf(stderr, "relay: serve accepts no argument %q: "+
			"settings come from RELAY_* variables, see relay serve -h\n", flags.Arg(0))
		return exitUsage
	}
	socket, err := passedSocket(environ)
	if err != nil {
		fmt.Fprintln(stderr, "relay:", err)
		return exitError
	}
	if socket != nil {
		defer socket.Close()
		*listen = socket.Addr().String() // who reaches the relay depends on where it really listens
	}
	logs := newLogQueue(stderr)
	defer logs.close(logFlushTimeout)
	upstreams := upstreamsFile{name: *file}
	cfg, err := serveConfig(environ, *listen, &upstreams)
	var relay *core.Relay
	observed := newMetrics(*metricsAddress)
	if err == nil {
		cfg.Observe = observed.observer()
		cfg.Logger = slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: cfg.LogLevel}))
		relay, err = core.New(cfg)
	}
	if err != nil {
		fmt.Fprintln(stderr, "relay: bad settings:", err)
		return exitUsage
	}
	if *file != "" {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		go upstreams.watch(ctx, relay, cfg.Logger)
	}
	return server{relay, cfg, observed, environ, socket, stdout, stderr}.run(ctx, *listen)
}

// serveConfig returns the settings of environ, and of the file of upstreams if
// it has a name, for a relay that listens on an address.
func serveConfig(environ []string, listen string, upstreams *upstreamsFile) (core.Config, error) {
	cfg, err := core.ParseEnv(environ)
	upstreams.options.AllowPrivateHTTP = cfg.AllowPrivateHTTP
	if err != nil && lookup(environ, "RELAY_LISTEN") != "" {
		err = fmt.Errorf("%w; the address to listen on is the flag -listen", err)
	}
	if err == nil && upstreams.name != "" {
		cfg.Upstreams, err = upstreams.read(cfg.Upstreams)
	}
	if err == nil {
		err = checkProxy(environ)
	}
	if err == nil && isOpen(cfg, listen) {
		err = errOpen
	}
	cfg.ProxyFromEnvironment = true
	cfg.Public = isPublic(cfg.AllowedHosts, listen)
	cfg.AllowedHosts = allowedHosts(cfg.AllowedHosts, listen)
	return cfg, err
}

// errOpen is the error for a relay that others could find and use.
var errOpen = errors.New("-listen, or the socket of LISTEN_FDS: other machines can reach this address, and anyone " +
	"who does could use the relay: set RELAY_ACCESS_TOKENS to a token, which openssl rand -hex 32 makes, or " +
	"RELAY_ALLOW_ANYONE=true if that is intended")

// isOpen reports whether a relay on an address lets other machines use it without an
// access token, although RELAY_ALLOW_ANYONE is not set.
func isOpen(cfg core.Config, listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && !isLoopback(host) && !cfg.TokenNeeded() && !cfg.AllowAnyone
}

// serveUsage prints the flags and the settings.
func serveUsage(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprint(out, "relay serve starts a relay and prints the base URL to use. Flags:\n\n")
	flags.PrintDefaults()
	fmt.Fprint(out, "\nSettings, from the environment:\n\n")
	for _, s := range core.Settings() {
		fmt.Fprintf(out, "  %s\n    \t%s", s.Name, strings.ReplaceAll(s.Usage, "`", ""))
		if s.Default != "" {
			fmt.Fprintf(out, " (default %s)", s.Default)
		}
		fmt.Fprintln(out)
	}
}

// allowedHosts returns the host names that a relay on an address accepts. On a
// loopback address they are those of this machine and what is configured: a web page
// whose name was made to resolve to this machine (DNS rebinding) has none of them. On
// other addresses they are what is configured.
func allowedHosts(configured []string, listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || !isLoopback(host) || slices.Contains(configured, "*") {
		return configured
	}
	return append([]string{host, "localhost", "127.0.0.1", "::1", "host.docker.internal"}, configured...)
}

// isPublic reports whether a relay on an address can be reached by more than the
// programs of this machine: from other machines, or from web pages through DNS
// rebinding.
func isPublic(hosts []string, listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err != nil || !isLoopback(host) || slices.Contains(hosts, "*")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// stopSignals returns the signals that drain the relay. SIGHUP is not one if it is
// ignored, as by nohup.
func stopSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// ballastSize is the size in bytes of an array that makes the garbage collector run
// less often, after about as many bytes of allocations. A relay's live heap is about
// one megabyte, so without it Go would collect every two hundred requests. The array
// is never touched, so it occupies no memory. It is left out if GOGC or GOMEMLIMIT is
// set.
const ballastSize = 16 << 20

// A server serves a relay on an address of this machine.
type server struct {
	relay          *core.Relay
	cfg            core.Config // of relay
	metrics        *metrics    // nil: none
	environ        []string
	socket         net.Listener // to serve on in place of the address; nil: none
	stdout, stderr io.Writer
}

// run listens on an address and serves until ctx ends or a signal arrives. Then it
// drains the relay. It returns the exit status.
func (s server) run(ctx context.Context, listen string) int {
	signal.Ignore(syscall.SIGPIPE) // a log reader that goes away must not end serving
	ctx, stop := signal.NotifyContext(ctx, stopSignals()...)
	defer stop()
	ln, err := s.listen(ctx, listen)
	if err != nil {
		fmt.Fprintf(s.stderr, "relay: cannot listen on %s: %s\n", listen, err)
		return exitError
	}
	stopMetrics, err := s.metrics.serve(s.relay)
	if err != nil {
		_ = ln.Close()
		fmt.Fprintln(s.stderr, "relay:", err)
		return exitError
	}
	defer stopMetrics()
	srv := serve.New(s.relay)
	srv.IdleTimeout = orDefault(s.cfg.IdleConnectionTimeout, defaultIdleConnectionTimeout)
	srv.ErrorLog = log.New(serverLog{s.cfg.Logger}, "", 0)
	log.SetOutput(serverLog{s.cfg.Logger}) // net/http's client quotes stray bytes of upstreams there
	var ballast []byte
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastSize)
	}
	defer runtime.KeepAlive(ballast)
	greet(s.stdout, ln.Addr(), s.cfg, append(s.metrics.notes(), notes(s.environ, listen, s.cfg.Upstreams)...))
	notify(s.environ, "READY=1")
	if err := serve.Serve(ctx, srv, s.relay, ln); err != nil {
		fmt.Fprintln(s.stderr, "relay:", err)
		return exitError
	}
	stop() // a second signal ends the process at once
	notify(s.environ, "STOPPING=1")
	drain := orDefault(s.cfg.DrainTimeout, defaultDrainTimeout)
	fmt.Fprintf(s.stdout, "relay: stopping, streams have up to %s to finish\n", drain)
	if serve.Shutdown(srv, s.relay, drain) != nil {
		fmt.Fprintln(s.stdout, "relay: stopped, the remaining streams are truncated")
		return exitOK
	}
	fmt.Fprintln(s.stdout, "relay: stopped, everything finished")
	return exitOK
}

// listen returns the socket to serve on.
func (s server) listen(ctx context.Context, address string) (net.Listener, error) {
	if s.socket != nil {
		return s.socket, nil
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// orDefault returns d, or the default if d is zero, or zero if d is negative.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// A serverLog logs net/http's messages about connections. They contain addresses of
// clients and may quote what clients sent, so only their kind is logged.
type serverLog struct{ logger *slog.Logger }

// serverMessages are the prefixes of the messages that are logged by kind; all
// others are "other".
var serverMessages = []string{
	"http: TLS handshake error", "http: Accept error", "http: panic serving", "http: superfluous response.WriteHeader",
}

func (l serverLog) Write(p []byte) (int, error) {
	kind := "other"
	for _, known := range serverMessages {
		if strings.HasPrefix(string(p), known) {
			kind = strings.TrimPrefix(known, "http: ")
		}
	}
	l.logger.Warn("server", "kind", kind)
	return len(p), nil
}
