package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Post posts body and returns the response. The error is that of a truncated
// response, or a timeout.
func Post(ctx context.Context, addr, target, contentType string, body []byte, timeout time.Duration) (
	status int, response string, err error,
) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
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

// Ending describes what a client sees of an event stream that the upstream
// truncates, from the results of [Post].
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
		return "**a complete response** with a sentence in it"
	}
	return "**a complete response**"
}

// hasProse reports whether a stream has lines that are not fields of events. SSE
// clients skip them.
func hasProse(stream string) bool {
	for line := range strings.Lines(stream) {
		name, _, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "" && !slices.Contains([]string{"data", "event", "id", "retry"}, name) {
			return true
		}
	}
	return false
}
