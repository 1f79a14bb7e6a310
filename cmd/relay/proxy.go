package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// checkProxy reports why the proxy in environ cannot be used, or nil. net/http
// takes no notice of one that it cannot parse, and goes direct: past whatever the
// proxy was to keep.
func checkProxy(environ []string) error {
	// As net/http chooses it. HTTP_PROXY is none of ours: plain http goes to
	// loopback addresses only, and never by way of a proxy.
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		value := lookup(environ, name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		if !isProxy(value) {
			// The value may hold a password.
			return fmt.Errorf("%s: %w", name, errors.New("is not the address of a proxy, such as http://proxy.example:3128: correct it, or unset it to connect directly"))
		}
		return nil
	}
	return nil
}

// lookup returns the value of name in environ, of which the last one counts.
func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isProxy reports whether address is that of a proxy which net/http can use.
func isProxy(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
