package wire

import (
	"bytes"
	"strconv"
	"time"
)

// stampPrefix is how an event with a time in it begins.
var stampPrefix = []byte(`data: {"sent":`)

// stampDigits is the length of a time in nanoseconds until the year 2286.
const stampDigits = 19

// AppendStamp appends the beginning of an event that says when it was sent.
// Its length is always the same. The end is the caller's: at least "}" and an
// empty line.
func AppendStamp(b []byte, sent time.Time) []byte {
	b = append(b, stampPrefix...)
	return strconv.AppendInt(b, sent.UnixNano(), 10)
}

// StampSize is how many bytes AppendStamp appends.
var StampSize = len(stampPrefix) + stampDigits

// Lag returns how long before now the event that line begins was sent. It
// reports false for lines that begin none. Sender and receiver must share a
// clock.
func Lag(line []byte, now time.Time) (time.Duration, bool) {
	rest, ok := bytes.CutPrefix(line, stampPrefix)
	if !ok || len(rest) < stampDigits {
		return 0, false
	}
	sent, err := strconv.ParseInt(string(rest[:stampDigits]), 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(now.UnixNano() - sent), true
}
