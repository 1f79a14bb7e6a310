package wire

import (
	"bytes"
	"strconv"
	"time"
)

// stampPrefix is how an event with a time in it begins.
var stampPrefix = []byte(`data: {"sent":`)

// stampInfix stands between the time and the number, of which it has a digit that keeps
// the zeros.
var stampInfix = []byte(`,"n":1`)

const (
	// stampDigits is the length of a time in nanoseconds until the year 2286.
	stampDigits = 19
	// numberDigits is the length of a number, after the digit that keeps its zeros.
	numberDigits = 7
	firstNumber  = 10_000_000
)

// AppendStamp appends the beginning of an event that says when it was sent, and its
// number in its stream, which may have up to ten million. Its length is always the
// same. The end is the caller's: at least "}" and an empty line.
func AppendStamp(b []byte, sent time.Time, number int) []byte {
	b = append(b, stampPrefix...)
	b = strconv.AppendInt(b, sent.UnixNano(), 10)
	b = append(b, stampInfix[:len(stampInfix)-1]...)
	return strconv.AppendInt(b, firstNumber+int64(number), 10)
}

// StampSize is how many bytes AppendStamp appends.
var StampSize = len(stampPrefix) + stampDigits + len(stampInfix) + numberDigits

// Number returns the number of the event that line begins, which has a time. It
// reports false for other lines.
func Number(line []byte) (int, bool) {
	if len(line) < StampSize || !bytes.HasPrefix(line, stampPrefix) {
		return 0, false
	}
	digits, ok := bytes.CutPrefix(line[len(stampPrefix)+stampDigits:StampSize], stampInfix)
	n, err := strconv.Atoi(string(digits))
	return n, ok && err == nil
}

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
