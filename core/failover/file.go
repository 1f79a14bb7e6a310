package failover

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"example.com/relay/core/protocol"
)

// ParseFile returns the base URLs that a file names for a pool with opts, in the
// form that [New] takes. The file holds JSON: what terraform output -json endpoints
// prints, a list of objects with url and, if they like, name, token and api_key; a
// list of URLs; or one of the two as "endpoints" of an object, bare or as the "value"
// there. It may be in UTF-16, as PowerShell writes it, and may begin with a byte order
// mark. The error names the entry and never quotes it.
func ParseFile(data []byte, opts Options) ([]string, error) {
	data, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	urls, err := ParseList(data)
	if err != nil {
		return nil, err
	}
	known := make(map[string]int)
	for i, address := range urls {
		if err := CheckURL(address, opts); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		base, _ := Base(address)
		if first, ok := known[base.String()]; ok {
			return nil, fmt.Errorf("entry %d: is the same upstream as entry %d", i+1, first)
		}
		known[base.String()] = i + 1
	}
	return urls, nil
}

// ParseList is [ParseFile] for JSON in UTF-8, without a check of whether a pool accepts
// the URLs.
func ParseList(data []byte) ([]string, error) {
	entries, err := fileEntries(data, 0)
	if err != nil {
		return nil, err
	}
	urls := make([]string, len(entries))
	for i, entry := range entries {
		if urls[i], err = entry.address(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("names no upstream")
	}
	return urls, nil
}

// A fileEntry is an upstream in a file.
type fileEntry struct {
	URL    string `json:"url"`
	Name   string `json:"name"`
	Token  string `json:"token"`
	APIKey string `json:"api_key"`
}

var errFile = errors.New(`must be a JSON list of objects with "url", "name", "token" and "api_key", ` +
	"as terraform output -json endpoints prints it")

// fileEntries returns the entries in data, which may wrap the list.
func fileEntries(data []byte, depth int) ([]fileEntry, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || depth > 3 {
		return nil, errFile
	}
	switch data[0] {
	case '[':
		return listEntries(data)
	case '{':
		var outer struct{ Endpoints, Value json.RawMessage }
		if json.Unmarshal(data, &outer) != nil || (outer.Endpoints == nil) == (outer.Value == nil) {
			return nil, errFile
		}
		if outer.Endpoints != nil {
			return fileEntries(outer.Endpoints, depth+1)
		}
		return fileEntries(outer.Value, depth+1)
	case '"': // JSON inside JSON
		var text string
		if json.Unmarshal(data, &text) != nil {
			return nil, errFile
		}
		return fileEntries([]byte(text), depth+1)
	}
	return nil, errFile
}

// listEntries returns the entries of a list of objects or of URLs.
func listEntries(data []byte) ([]fileEntry, error) {
	var urls []string
	if json.Unmarshal(data, &urls) == nil {
		entries := make([]fileEntry, len(urls))
		for i, u := range urls {
			entries[i].URL = u
		}
		return entries, nil
	}
	var members []map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return nil, errFile
	}
	for i, entry := range members {
		for name := range entry { // a misspelt "token" would be ignored
			if !slices.ContainsFunc(fileMembers, func(m string) bool { return strings.EqualFold(m, name) }) {
				return nil, fmt.Errorf(`entry %d: has %s, but may have "url", "name", "token" and "api_key" only`,
					i+1, member(name))
			}
		}
	}
	var entries []fileEntry
	if json.Unmarshal(data, &entries) != nil {
		return nil, errFile
	}
	return entries, nil
}

// fileMembers are the members of a fileEntry.
var fileMembers = []string{"url", "name", "token", "api_key"}

// member names an unknown member, unless it may be something else in its place.
func member(name string) string {
	if len(name) > 16 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "an unknown member"
	}
	return "the unknown member " + strconv.Quote(name)
}

// toUTF8 returns a text in UTF-8 without a byte order mark. Text in UTF-16 needs none:
// JSON begins with an ASCII character.
func toUTF8(data []byte) ([]byte, error) {
	if text, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		return text, nil
	}
	var order binary.ByteOrder
	switch {
	case len(data) < 2:
		return data, nil
	case data[0] == 0xff && data[1] == 0xfe, data[0] != 0 && data[1] == 0:
		order = binary.LittleEndian
	case data[0] == 0xfe && data[1] == 0xff, data[0] == 0 && data[1] != 0:
		order = binary.BigEndian
	default:
		return data, nil
	}
	if len(data)%2 != 0 {
		return nil, errors.New("is cut off: UTF-16 has an even number of bytes")
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	if units[0] == 0xfeff {
		units = units[1:]
	}
	return []byte(string(utf16.Decode(units))), nil
}

// address returns the entry as one URL.
func (e fileEntry) address() (string, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" {
		return "", errors.New("needs a url such as https://relay.example")
	}
	if _, hasKey := u.User.Password(); hasKey {
		return "", errors.New("must not hold a user name or password in its url: an API key is named api_key")
	}
	user := u.User.Username()
	if e.Token != "" {
		if u.User != nil {
			return "", errors.New("has a token in its url and another beside it")
		}
		user = protocol.TokenPrefix + strings.TrimPrefix(e.Token, protocol.TokenPrefix)
	}
	switch {
	case e.APIKey != "":
		u.User = url.UserPassword(user, e.APIKey)
	case user != "":
		u.User = url.User(user)
	}
	if e.Name != "" {
		u.Fragment = e.Name
	}
	return u.String(), nil
}
