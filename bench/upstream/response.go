package upstream

import (
	"fmt"
	"time"

	"example.com/relay/internal/load/wire"
)

// headers are those that api.openai.com answers with, by number and size.
const headers = "Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n" +
	"Openai-Organization: bench\r\n" +
	"Openai-Processing-Ms: 412\r\n" +
	"Openai-Version: 2020-10-01\r\n" +
	"X-Ratelimit-Limit-Requests: 10000\r\n" +
	"X-Ratelimit-Limit-Tokens: 2000000\r\n" +
	"X-Ratelimit-Remaining-Requests: 9999\r\n" +
	"X-Ratelimit-Remaining-Tokens: 1999985\r\n" +
	"X-Ratelimit-Reset-Requests: 6ms\r\n" +
	"X-Ratelimit-Reset-Tokens: 0s\r\n" +
	"X-Request-Id: req_0123456789abcdef0123456789abcdef\r\n" +
	"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Server: bench\r\n"

const (
	eventsHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n" +
		headers + "\r\n"
	notFound  = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	lastChunk = "0\r\n\r\n"

	// eventTail completes an event to about the size of one of a chat.
	eventTail = `,"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","model":"gpt-4o-mini",` +
		`"choices":[{"index":0,"delta":{"content":" word"}}]}` + "\n\n"
)

// A response is what the upstream does for a call.
type response struct {
	head  []byte        // written first; the whole response if there are no events
	count int           // events, each written on its own
	gap   time.Duration // between events
	apart bool          // the second event comes after a random part of gap
	cut   bool          // then the connection breaks
	hold  bool          // then nothing, until the client goes
}

// answers are all there are, by the target of the request.
var responses = map[string]*response{
	Chat.Target: whole("application/json",
		filler(`{"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"`, `"}}]}`, ChatSize)),
	Embeddings.Target: whole("application/json", filler(`{"object":"list","data":[{"embedding":"`, `"}]}`, EmbedSize)),
	Download.Target:   whole("application/octet-stream", filler("", "", DownloadSize)),
	Upload.Target:     whole("application/json", filler(`{"id":"file-1","filename":"`, `"}`, 200)),
	Events.Target:     {head: []byte(eventsHead), count: EventCount},
	Paced.Target:      {head: []byte(eventsHead), count: PacedCount, gap: PacedGap},
	Slow.Target:       {head: []byte(eventsHead), count: EventCount, gap: SlowGap},
	Brief.Target:      {head: []byte(eventsHead), count: BriefCount, gap: SlowGap},
	Cut.Target:        {head: []byte(eventsHead), count: 2, cut: true},
	Endless.Target:    {head: []byte(eventsHead), count: maxEvents, gap: EndlessGap, apart: true},
	Idle.Target:       {head: []byte(eventsHead), count: 1, hold: true},
}

// whole returns a response of known length.
func whole(contentType, body string) *response {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", contentType, len(body),
		headers)
	return &response{head: append([]byte(head), body...)}
}

// maxEvents is more than there is time for.
const maxEvents = 1_000_000

// appendEvent appends a chunk with an event that says when it was sent, and its
// number.
func appendEvent(b []byte, sent time.Time, number int) []byte {
	b = append(b, eventSize...)
	b = wire.AppendStamp(b, sent, number)
	b = append(b, eventTail...)
	return append(b, "\r\n"...)
}

// eventBytes returns an event that says when it was sent, and its number.
func eventBytes(sent time.Time, number int) []byte {
	return append(wire.AppendStamp(make([]byte, 0, EventSize), sent, number), eventTail...)
}

// EventSize is how many bytes an event has.
var EventSize = wire.StampSize + len(eventTail)

var eventSize = fmt.Sprintf("%x\r\n", EventSize)
