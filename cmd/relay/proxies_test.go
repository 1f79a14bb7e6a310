package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// A reverseProxy is a program of Debian that docs/server.md has a recipe for.
type reverseProxy struct {
	name string
	file string // the recipe, in docs/server

	// plain replaces what in the recipe listens, with TLS, by what listens on ADDR
	// without.
	plain [][2]string

	// command returns the program for a configuration, in a directory of its own.
	command func(dir, config string) []string
}

var nginx = reverseProxy{
	name: "nginx", file: "nginx.conf",
	plain: [][2]string{
		{"listen 443 ssl http2;", "listen ADDR;"},
		{"    ssl_certificate     /etc/ssl/relay.example.pem;\n    ssl_certificate_key /etc/ssl/relay.example.key;\n",
			""},
	},
	command: func(dir, config string) []string {
		main := "daemon off; worker_processes 1; pid nginx.pid; error_log stderr error; events {}\n" +
			"http { access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n" +
			"uwsgi_temp_path uwsgi; scgi_temp_path scgi; include " + config + "; }\n"
		file := filepath.Join(dir, "main.conf")
		if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
			panic(err)
		}
		return []string{"nginx", "-p", dir, "-e", "stderr", "-c", file}
	},
}

var caddy = reverseProxy{
	name: "caddy", file: "Caddyfile",
	plain: [][2]string{
		{"relay.example {\n", "{\n\tadmin off\n}\n\nhttp://ADDR {\n"},
	},
	command: func(_, config string) []string {
		return []string{"caddy", "run", "--config", config, "--adapter", "caddyfile"}
	},
}

var haproxy = reverseProxy{
	name: "haproxy", file: "haproxy.cfg",
	plain: [][2]string{
		{"bind :443 ssl crt /etc/ssl/relay.example.pem alpn http/1.1", "bind ADDR"},
	},
	command: func(_, config string) []string { return []string{"haproxy", "-db", "-f", config} },
}

// inFrontOf starts the proxy by its recipe in front of the relay at base, and
// returns its own base URL.
func (p reverseProxy) inFrontOf(t *testing.T, base string) string {
	t.Helper()
	recipe, err := os.ReadFile(filepath.Join("../../docs/server", p.file))
	if err != nil {
		t.Fatal(err)
	}
	addr, err := proc.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	config := string(recipe)
	for _, change := range append([][2]string{{"127.0.0.1:8787", strings.TrimPrefix(base, "http://")}}, p.plain...) {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("docs/server/%s has no %q any more", p.file, change[0])
		}
		config = strings.ReplaceAll(config, change[0], strings.ReplaceAll(change[1], "ADDR", addr))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, p.file)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := p.command(dir, file)
	run, err := proc.Start(proc.Options{
		Dir: dir, Env: []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
	}, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Stop)
	if err := run.AwaitListening(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	p.await(t, addr)
	return "http://" + addr
}

// await returns once the proxy relays: HAProxy checks the relay first.
func (p reverseProxy) await(t *testing.T, addr string) {
	t.Helper()
	for range 200 {
		res, err := http.Get("http://" + addr + "/relay/health")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not relay", p.name)
}

// The recipes of docs/server.md, each with the real program in front of relay
// serve, keep the contract that adapters keep.
func TestBehindReverseProxies(t *testing.T) {
	for _, p := range []reverseProxy{nginx, caddy, haproxy} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.name); err != nil {
				t.Skipf("%s is not installed: apt-get install %s", p.name, p.name)
			}
			t.Run("contract", func(t *testing.T) {
				exceptions := []contract.Option{
					contract.Without(contract.Misconfigured, "it refuses to start, which its user sees at once"),
				}
				if p.name == "caddy" {
					exceptions = append(exceptions, contract.Unhurried())
				}
				if p.name == "caddy" && endsTruncatedCleanly(t) {
					exceptions = append(exceptions,
						contract.Without(contract.Aborting, "Caddy 2.6 ends truncated responses cleanly"))
				}
				contract.TestAdapter(t, func(t *testing.T, environ []string) string {
					return p.inFrontOf(t, startServe(t, append(environ, "RELAY_LOG_LEVEL=off")).base)
				}, exceptions...)
			})
			t.Run("body too large", p.testBodyTooLarge)
		})
	}
}

// endsTruncatedCleanly reports whether the installed Caddy is of version 2.6, which
// ends truncated responses as if they were complete.
func endsTruncatedCleanly(t *testing.T) bool {
	t.Helper()
	version, ok := proc.Output(t.Context(), "caddy", "version")
	if !ok {
		t.Fatal("caddy does not print its version")
	}
	return strings.HasPrefix(strings.TrimPrefix(version, "v"), "2.6.")
}

// The relay's own 413 arrives, however large the body is.
func (p reverseProxy) testBodyTooLarge(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	url := p.inFrontOf(t, startServe(t,
		[]string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=off", "RELAY_MAX_BODY_BYTES=4194304"}).base)
	for range 8 {
		res, err := http.Post(url+"/v1/chat/completions", "application/json", io.LimitReader(zeros{}, 6<<20))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "body_too_large") {
			t.Errorf("got %s %s", res.Status, body)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A model may think for longer than the minute after which proxies give up by
// default. The proxies wait at the same time.
func TestSilenceBehindReverseProxies(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	base := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=off"}).base
	var all sync.WaitGroup
	for _, p := range []reverseProxy{nginx, caddy, haproxy} {
		if _, err := exec.LookPath(p.name); err != nil {
			t.Logf("%s is not installed: apt-get install %s", p.name, p.name)
			continue
		}
		r := stream(t, p.inFrontOf(t, base), "events=1 gap=61s")
		all.Go(func() {
			_, err := r.ReadString('\n') // of the first event, whose line was read
			line := ""
			if err == nil {
				line, err = r.ReadString('\n')
			}
			if err != nil || !strings.HasPrefix(line, "data: {") {
				t.Errorf("%s: after a minute of silence comes %q, %v", p.name, line, err)
			}
		})
	}
	all.Wait()
}
