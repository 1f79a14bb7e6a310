package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// errProxy does not quote the value, which may hold a password.
var errProxy = errors.New("is not the address of a proxy, such as http://proxy.example:3128: " +
	"correct it, or unset it to connect directly")

// checkProxy reports why the proxy in environ cannot be used, or nil. net/http
// ignores one that it cannot parse and connects directly, bypassing whatever the
// proxy enforces.
func checkProxy(environ []string) error {
	// In net/http's order. HTTP_PROXY does not matter, see core.ProxyFromEnvironment.
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		value := lookup(environ, name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		if !isProxy(value) {
			return fmt.Errorf("%s: %w", name, errProxy)
		}
		return nil
	}
	return nil
}

// lookup returns the value of name in environ, or "". The last entry counts.
func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isProxy reports whether net/http can use the proxy at address.
func isProxy(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
