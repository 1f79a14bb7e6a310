// Package apikey finds and replaces the API keys in requests' headers.
package apikey

import (
	"net/http"
	"slices"
	"strings"
)

// Headers are the headers besides Authorization in which clients send API keys. The
// list is read-only.
var Headers = []string{"Api-Key", "X-Api-Key", "X-Goog-Api-Key"}

// accountHeaders name the organization and the project of a key.
var accountHeaders = []string{"Openai-Organization", "Openai-Project"}

const (
	// Protocol begins the WebSocket subprotocol in which browsers carry the API key,
	// since they cannot set headers (openai-node, realtime).
	Protocol = "openai-insecure-api-key."

	// These two name the organization and the project of the key.
	organizationProtocol = "openai-organization."
	projectProtocol      = "openai-project."
)

const protocolHeader = "Sec-Websocket-Protocol"

// IsIn reports whether h has an API key, wherever clients send one.
func IsIn(h http.Header) bool {
	hasValue := func(name string) bool {
		return slices.ContainsFunc(h[name], func(value string) bool { return strings.Trim(value, " \t") != "" })
	}
	isKey := func(protocol string) bool { return strings.HasPrefix(bare(protocol), Protocol) }
	isScheme := func(value string) bool { return strings.EqualFold(strings.Trim(value, " \t"), "Bearer") }
	return hasValue("Authorization") && !slices.ContainsFunc(h["Authorization"], isScheme) ||
		slices.ContainsFunc(Headers, hasValue) || slices.ContainsFunc(protocols(h), isKey)
}

// Replace removes every API key from h, with what names its organization and
// project, and sets key as the only one, unless it is "". It replaces values and
// does not change them.
func Replace(h http.Header, key string) {
	for _, name := range slices.Concat(Headers, accountHeaders) {
		delete(h, name)
	}
	if offered := protocols(h); slices.ContainsFunc(offered, IsCredential) {
		rest := slices.DeleteFunc(offered, IsCredential)
		delete(h, protocolHeader)
		if len(rest) > 0 {
			h[protocolHeader] = []string{strings.Join(rest, ", ")}
		}
	}
	delete(h, "Authorization")
	if key != "" {
		h["Authorization"] = []string{"Bearer " + key}
	}
}

// protocols returns the WebSocket subprotocols that h offers.
func protocols(h http.Header) (list []string) {
	for _, value := range h[protocolHeader] {
		for protocol := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(protocol))
		}
	}
	return list
}

// IsCredential reports whether a subprotocol carries an API key, or the organization
// or project of one, however it is quoted or capitalized.
func IsCredential(protocol string) bool {
	protocol = bare(protocol)
	return strings.HasPrefix(protocol, Protocol) ||
		strings.HasPrefix(protocol, organizationProtocol) || strings.HasPrefix(protocol, projectProtocol)
}

func bare(protocol string) string { return strings.ToLower(strings.Trim(protocol, "\"' \t")) }
