package regions

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"example.com/relay/internal/build"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// Options are how a fleet is made. The zero value is three regions over http.
type Options struct {
	Regions int       // if zero, 3
	TLS     bool      // https, with HTTP/2
	HTTP1   bool      // no HTTP/2 over https
	Env     []string  // settings of the regions, such as "RELAY_ACCESS_TOKENS=t"
	First   []string  // more settings of the first region
	Log     io.Writer // gets the logs of the regions; may be nil

	// Relay is the path of the program; if empty, it is built.
	Relay string
	// Script says how the upstream responds, in the directives of package fakeopenai.
	Script func(*http.Request) string
}

// A Fleet is several regions in front of one upstream, which records every request.
type Fleet struct {
	Upstream *fakeopenai.Upstream
	Regions  []*Region

	opts      Options
	dir       string
	relay     string
	authority *Authority // nil over http
}

// Start starts a fleet. It must be closed.
func Start(ctx context.Context, opts Options) (f *Fleet, err error) {
	opts.Regions = cmp.Or(opts.Regions, 3)
	f = &Fleet{opts: opts, relay: opts.Relay, Upstream: fakeopenai.NewUpstream()}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "regions-"); err != nil {
		return nil, err
	}
	if f.relay == "" {
		f.relay = filepath.Join(f.dir, "relay")
		if err := Build(ctx, f.relay); err != nil {
			return nil, err
		}
	}
	if opts.TLS {
		if err := f.makeAuthority(); err != nil {
			return nil, err
		}
	}
	f.startUpstream()
	return f, f.startRegions(ctx)
}

// StartTest starts a fleet, by default of [Program], and closes it when the test
// ends.
func StartTest(t testing.TB, opts Options) *Fleet {
	t.Helper()
	if opts.Relay == "" {
		opts.Relay = Program.Path(t)
	}
	f, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// GatewayTest starts a gateway, and stops it when the test ends.
func (f *Fleet) GatewayTest(t testing.TB, opts proc.Options) *Gateway {
	t.Helper()
	g, err := f.StartGateway(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

// Program is the relay for tests of a package, built once. The package's TestMain
// must call its Main.
var Program = proc.NewProgram("relay", Build)

// Build builds the relay program at path, for Options.Relay. Tests that start
// several fleets need it only once.
func Build(ctx context.Context, path string) error {
	return build.Go(ctx, nil, "build", "-o", path, "example.com/relay/cmd/relay")
}

// URLs returns the base URLs of the regions.
func (f *Fleet) URLs() []string {
	var urls []string
	for _, r := range f.Regions {
		urls = append(urls, r.Front.URL())
	}
	return urls
}

// Authority returns the authority of the regions' certificates, or nil over http.
func (f *Fleet) Authority() *Authority { return f.authority }

// Close stops the regions and the upstream.
func (f *Fleet) Close() {
	for _, r := range f.Regions {
		r.close()
	}
	f.Upstream.Close()
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}

func (f *Fleet) certFile() string { return filepath.Join(f.dir, "authority.pem") }

func (f *Fleet) makeAuthority() (err error) {
	if f.authority, err = NewAuthority(); err != nil {
		return err
	}
	return f.authority.WriteFile(f.certFile())
}

func (f *Fleet) startUpstream() {
	server := httptest.NewUnstartedServer(f.Upstream)
	server.Config.ErrorLog = silent
	server.Start()
	f.Upstream.Server, f.Upstream.URL = server, server.URL
	f.Upstream.SetFault(f.opts.Script)
}

func (f *Fleet) startRegions(ctx context.Context) error {
	for i := range f.opts.Regions {
		r := &Region{Name: fmt.Sprintf("region-%d", i+1), fleet: f}
		if err := r.makeFront(); err != nil {
			return err
		}
		f.Regions = append(f.Regions, r)
		if err := r.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// makeFront makes the region's front.
func (r *Region) makeFront() (err error) {
	if r.fleet.authority == nil {
		r.Front, err = NewFront(nil)
		return err
	}
	config, err := r.config(r.fleet.authority, r.fleet.opts.HTTP1)
	if err != nil {
		return err
	}
	r.Front, err = NewFront(config)
	return err
}
