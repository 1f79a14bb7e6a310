// Package fakeopenai is a fake api.openai.com that the official SDKs take for
// the real one. StartUpstream serves it for a test; the command in cmd serves
// it for a person. The way of a request through it, file by file:
//
//	upstream.go   the handle that tests use
//	recorder.go   the requests as they were seen, and waiting for them
//	faults.go     the directives for this request
//	call.go       which endpoint it is for, and whether its key is good
//	chat.go, responses.go, models.go, files.go, audio.go, billing.go
//	              the responses, as a header and pieces of a body
//	messages.go   those of Anthropic's API
//	response.go   what these have in common
//	websocket.go  the one endpoint that is no response
//	deliver.go    the response piece by piece, with what the fault does to it
//	encode.go     the pieces in other encodings
//	raw.go        heads that net/http would not write
//	wire.go       the connection, and the ways to break it
//
// A key that begins with sk-, sess- or ek_ is good, unless it begins with
// sk-invalid; sess- is for the billing endpoints, sk-admin- for organization.
// The response to a chat is Reply, in eight events of text if streamed. Binary
// responses are the Pattern. A response that is streamed in the background is kept,
// so that GET /v1/responses/{id}?stream=true&starting_after=N gives the rest of
// its events, to the byte, however its first stream ended.
//
// What OpenAI has below /v1 is also below /openai/v1, as Azure has it, and below
// /v1beta/openai, as Gemini has it.
//
// # Faults
//
// A request says in its header Fake-Fault, or a test by Upstream.SetFault or
// Upstream.Script, how the response to it is to go wrong. The directives are
// separated by spaces or commas:
//
//	events=N         N events of text instead of 8
//	gap=100ms        wait between the events of a stream
//	delay=2s         wait before the header
//	bytes=N          a body, or the text of a chat, of N bytes
//	big-event=N      one more event, with N bytes of text, among the others
//
//	hang             never respond
//	reset-before     RST instead of a header
//	close-before     FIN instead of a header
//	101              switch protocols unasked, then FIN
//
//	status=429       OpenAI's error with this status; a 2xx or 3xx keeps the
//	                 body; 99, 000, 600, 999, 1000 are written as they stand
//	early=413        the same, before the body is read
//	region-refused   403 unsupported_country_region_territory
//	redirect=URL     302 with that Location
//	retry-after=1    with this header
//	retry-after-ms=20
//	should-retry=false
//	header=Name:value
//	header-kb=300    with a header of so many KiB
//	1xx=100          so many 103s before the header, with Link, Connection and
//	                 Set-Cookie
//
//	cut=k            FIN after k events
//	cut-line=k       FIN within the data line of the event after k
//	cut-utf8=k       FIN within a character of that event
//	reset[=k]        RST after k events (none)
//	silence=k        nothing after k events, until the client goes
//	half-close=k     close for writing after k events, and read on; meant for
//	                 WebSockets
//	bad-chunk[=k]    a chunk whose size is no number after k events (3)
//	no-last-chunk    all events, then FIN instead of the last chunk
//	no-done          a clean end without the last event ([DONE] or
//	                 response.completed)
//
//	gzip             this Content-Encoding, truly, event by event, unless the
//	                 request accepts identity only
//	br               the same
//	trailers         X-Announced, X-Unannounced
//	comments         a BOM, comments, lines that end in CRLF
//	byte-writes      every byte in a chunk of its own
//
//	short-cl         100 bytes fewer than Content-Length says
//	long-cl          twice the bytes that Content-Length says
//	two-cl           two Content-Lengths, the second 7 more
//	cl-te            Content-Length and chunks
//	close-delimited  neither, only the end of the connection
//	header-nul       a NUL within a header
//	obs-fold         a folded header
//	bare-lf          a header whose lines end in LF
//
// Events count from the first of the stream, whatever is in it (a chat begins
// with one that has no text). If there are fewer than k, the end is meant. A
// response that is no stream is cut into eight parts that count as events. On a
// WebSocket the messages count, and cut, reset, silence and half-close work.
//
// Of two directives that exclude each other, the later counts. Those that break
// a head (from short-cl on, and odd statuses) take status and pieces from the
// others, but not header-kb, 1xx and trailers.
package fakeopenai
