package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"example.com/relay/core"
	"example.com/relay/core/failover"
)

// notes returns a sentence for each thing on this machine that is likely to keep the
// relay from working as expected. None stops the relay from starting: it may be
// intended, or change.
func notes(environ []string, listen string, upstreams []core.Secret) []string {
	var list []string
	if port := lookup(environ, "PORT"); port != "" && listen == defaultListen {
		list = append(list, "PORT is set, but not read: pass the address to listen on as -listen")
	}
	hosts := remoteHosts(upstreams)
	if slices.ContainsFunc(hosts, func(u remoteHost) bool { return u.https }) && lacksRoots() {
		list = append(list, "this system has no CA certificates, so that no upstream can be trusted: install them "+
			"(ca-certificates), or name a file of them in SSL_CERT_FILE")
	}
	if slices.ContainsFunc(hosts, func(u remoteHost) bool { return u.named }) && lacksResolver() {
		list = append(list, "this system has no resolver: there is no /etc/resolv.conf, so that names of upstreams "+
			"resolve only if a name server runs on this machine")
	}
	return list
}

// A remoteHost is the host of an upstream that is not on this machine.
type remoteHost struct{ https, named bool }

func remoteHosts(upstreams []core.Secret) []remoteHost {
	if len(upstreams) == 0 {
		return []remoteHost{{https: true, named: true}}
	}
	var hosts []remoteHost
	for _, u := range upstreams {
		base, _ := failover.Base(string(u)) // they were checked
		if isLoopback(base.Hostname()) {
			continue
		}
		_, err := netip.ParseAddr(base.Hostname())
		hosts = append(hosts, remoteHost{https: base.Scheme == "https", named: err != nil})
	}
	return hosts
}

// lacksRoots reports whether the system has no CA certificates. Windows and macOS
// keep theirs where Go does not list them.
func lacksRoots() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return false
	}
	roots, err := x509.SystemCertPool()
	return err != nil || roots.Equal(x509.NewCertPool())
}

// lacksResolver reports whether Go would use a name server on this machine, because
// none is configured.
func lacksResolver() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return false
	}
	_, err := os.Stat("/etc/resolv.conf")
	return errors.Is(err, fs.ErrNotExist)
}
