package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Post posts body and returns what came of it. The error is that of a broken
// answer, or of one that takes longer than life.
func Post(ctx context.Context, addr, target, contentType string, body []byte, life time.Duration) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+target, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer sk-bench")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// Ending says what a client sees of an event stream that the upstream breaks
// off, by what [Post] returned for it.
func Ending(status int, body string, err error) string {
	switch told := strings.Contains(body, `"error"`); {
	case status != http.StatusOK:
		return fmt.Sprintf("error %d", status)
	case told && err != nil:
		return "error event, then the connection breaks"
	case told:
		return "error event"
	case err != nil:
		return "the connection breaks"
	case hasProse(body):
		return "**a complete answer** with a sentence in it"
	}
	return "**a complete answer**"
}

// hasProse reports whether a stream has lines that are no fields of events,
// which clients skip.
func hasProse(stream string) bool {
	for line := range strings.Lines(stream) {
		if name, _, _ := strings.Cut(line, ":"); strings.TrimSpace(name) != "" && name != "data" && name != "event" && name != "id" && name != "retry" {
			return true
		}
	}
	return false
}
