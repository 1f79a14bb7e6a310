package upstream

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Call is a request that the upstream has a response for.
type Call struct {
	Method string
	Target string
	Type   string // of the body
	Body   int    // bytes of it
}

// Sizes of responses, and of what an upload sends.
const (
	ChatSize     = 600
	EmbedSize    = 30_000
	DownloadSize = 2 << 20
	UploadSize   = 5 << 20
)

// Key is what clients send to be let in.
const Key = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz"

// EventCount is the number of events in a stream, and PacedGap the time between
// two of those that are paced.
const (
	EventCount = 200
	PacedCount = 100
	PacedGap   = 5 * time.Millisecond
	BriefCount = 50
	SlowGap    = 20 * time.Millisecond // of EventCount events
	EndlessGap = time.Second
)

// The calls, at the API's own paths so that every relay takes them.
var (
	Chat   = Call{"POST", "/v1/chat/completions", "application/json", 200}
	Events = Call{"POST", "/v1/chat/completions?stream", "application/json", 200} // all at once, a write for each
	Paced  = Call{"POST", "/v1/chat/completions?paced", "application/json", 200}  // with the time in each
	// the same, as slow as a model writes
	Slow = Call{"POST", "/v1/chat/completions?slow", "application/json", 200}
	// BriefCount events like those of Slow
	Brief = Call{"POST", "/v1/chat/completions?brief", "application/json", 200}
	// two events, then the connection breaks
	Cut = Call{"POST", "/v1/chat/completions?cut", "application/json", 200}
	// an event each EndlessGap until the client goes
	Endless     = Call{"POST", "/v1/chat/completions?endless", "application/json", 200}
	Idle        = Call{"POST", "/v1/chat/completions?idle", "application/json", 200} // one event, then silence
	Embeddings  = Call{"POST", "/v1/embeddings", "application/json", 200}
	Download    = Call{"GET", "/v1/files/file-1/content", "", 0}
	Upload      = Call{"POST", "/v1/files", "application/octet-stream", UploadSize}
	connections = Call{"GET", "/connections", "", 0}
)

// Request returns the call as an official SDK would send it to host.
func (c Call) Request(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.Method, c.Target, host)
	b.WriteString("Accept: application/json\r\n" +
		"Accept-Encoding: gzip, deflate\r\n" +
		"Authorization: Bearer " + Key + "\r\n" +
		"User-Agent: OpenAI/Python 2.8.0\r\n" +
		"X-Stainless-Arch: x64\r\n" +
		"X-Stainless-Async: false\r\n" +
		"X-Stainless-Lang: python\r\n" +
		"X-Stainless-Os: Linux\r\n" +
		"X-Stainless-Package-Version: 2.8.0\r\n" +
		"X-Stainless-Retry-Count: 0\r\n" +
		"X-Stainless-Runtime: CPython\r\n" +
		"X-Stainless-Runtime-Version: 3.13.0\r\n")
	if c.Method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", c.Type, c.Body)
	}
	b.WriteString("\r\n")
	b.WriteString(filler(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"`, `"}]}`, c.Body))
	return b.Bytes()
}

// filler returns n bytes that begin and end as told, or x only if n is small.
func filler(begin, end string, n int) string {
	if n < len(begin)+len(end) {
		return strings.Repeat("x", n)
	}
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}
