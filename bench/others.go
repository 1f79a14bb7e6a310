package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/relay/internal/proc"
)

// nginxConfig makes nginx a relay: nothing is buffered, and connections to the
// upstream are kept. Its arguments are the user line, the upstream's address,
// the own one, the scheme, the file of roots.
const nginxConfig = `
%sdaemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 20000; }
http {
	access_log off;
	tcp_nodelay on;
	client_max_body_size 32m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 100000000;
	upstream api {
		server %s;
		keepalive 512;
		keepalive_requests 100000000;
	}
	server {
		listen %s;
		location / {
			proxy_pass %s://api;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_request_buffering off;
			proxy_read_timeout 600s;
			proxy_ssl_verify on;
			proxy_ssl_name localhost;
			proxy_ssl_trusted_certificate %s;
		}
	}
}
`

func startNginx(ctx context.Context, r *rig, w *row) (*running, error) {
	version, ok := proc.Output(ctx, "nginx", "-v")
	if !ok {
		return nil, errNotInstalled
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root root;\n" // who else could enter a temporary directory of root's
	}
	dir, addr, err := r.place("nginx")
	if err != nil {
		return nil, err
	}
	scheme, _, _ := strings.Cut(r.url(w.on), ":")
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, r.upstreams[w.on], addr, scheme, r.roots),
		0o600); err != nil {
		return nil, err
	}
	_, version, _ = strings.Cut(version, "nginx/")
	return startAt(ctx, addr, version, proc.Options{Dir: dir}, "nginx", "-p", dir, "-c", config)
}

// haproxyConfig makes haproxy a relay that hands on what comes at once and
// shares connections to the upstream. Its arguments are how many clients it serves,
// the own address, the upstream's, and the options of TLS.
const haproxyConfig = `
global
	maxconn %d
defaults
	mode http
	timeout connect 5s
	timeout client 600s
	timeout server 600s
	option http-no-delay
	http-reuse always
frontend relay
	bind %s
	default_backend api
backend api
	server api %s%s
`

func startHAProxy(ctx context.Context, r *rig, w *row) (*running, error) {
	version, ok := proc.Output(ctx, "haproxy", "-v")
	if !ok {
		return nil, errNotInstalled
	}
	dir, addr, err := r.place("haproxy")
	if err != nil {
		return nil, err
	}
	options := map[string]string{
		https1: " ssl verify required alpn http/1.1 ca-file " + r.roots,
		https2: " ssl verify required alpn h2 ca-file " + r.roots,
	}
	config := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(config,
		fmt.Appendf(nil, haproxyConfig, fitting(12_000), addr, r.upstreams[w.on], options[w.on]), 0o600); err != nil {
		return nil, err
	}
	_, version, _ = strings.Cut(version, "version ")
	version, _, _ = strings.Cut(version, " ")
	return startAt(ctx, addr, version, proc.Options{Dir: dir}, "haproxy", "-db", "-f", config)
}

// caddyConfig makes Caddy a relay that flushes at once. Its arguments are the
// address, the upstream and the transport.
const caddyConfig = `{
	"admin": {"disabled": true, "config": {"persist": false}},
	"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
	"apps": {"http": {"servers": {"relay": {
		"listen": [%q],
		"automatic_https": {"disable": true},
		"routes": [{"handle": [{
			"handler": "reverse_proxy",
			"flush_interval": -1,
			"upstreams": [{"dial": %q}],
			"transport": {"protocol": "http"%s}
		}]}]
	}}}}
}
`

func startCaddy(ctx context.Context, r *rig, w *row) (*running, error) {
	version, ok := proc.Output(ctx, "caddy", "version")
	if !ok {
		return nil, errNotInstalled
	}
	dir, addr, err := r.place("caddy")
	if err != nil {
		return nil, err
	}
	transport := ""
	if w.on != plain { // which version of HTTP it is the upstream decides
		transport = `, "tls": {}`
	}
	config := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, caddyConfig, addr, r.upstreams[w.on], transport),
		0o600); err != nil {
		return nil, err
	}
	if version == "unknown" { // as builds by go install say of themselves
		version = moduleVersion("caddy")
	}
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), " ")
	opts := proc.Options{Dir: dir,
		Env: []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir, "SSL_CERT_FILE=" + r.roots}}
	return startAt(ctx, addr, version, opts, "caddy", "run", "--config", config)
}

// moduleVersion returns the version of the module that a Go program on PATH was
// built from, or "".
func moduleVersion(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	if info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, dep := range info.Deps { // as of a main package of one's own, which Caddy's docs propose
		if filepath.Base(strings.TrimSuffix(dep.Path, "/v2")) == name {
			return dep.Version
		}
	}
	return ""
}

// place returns a new directory and a free address for a program.
func (r *rig) place(name string) (dir, addr string, err error) {
	if dir, err = os.MkdirTemp(r.dir, name+"-"); err != nil {
		return "", "", err
	}
	addr, err = proc.FreeAddr()
	return dir, addr, err
}
