package core

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a string that no formatter, encoder or logger prints: all of
// them write "[redacted]", or nothing for an empty Secret. A conversion,
// string(s), gives its value; so would its use as the key of a map that is
// encoded as JSON, and printing a struct that holds it in an unexported field.
type Secret string

// String returns "[redacted]", or "" for an empty Secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// MarshalJSON returns what String returns, as JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalText returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
