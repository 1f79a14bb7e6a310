package fakeopenai

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// The opcodes of RFC 6455 section 5.2 that matter here.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// Close codes of RFC 6455 section 7.4.1.
const (
	closeProtocolError = 1002
	closeTooBig        = 1009
)

const maxFrame = 64 << 20

// frame is one frame of a WebSocket, unmasked.
type frame struct {
	final   bool
	op      byte
	payload []byte
}

// closeError is why the connection is closed from this side.
type closeError uint16

func (e closeError) Error() string {
	return fmt.Sprintf("close %d", uint16(e))
}

// needsWebSocket refuses requests that should have been upgrades.
func needsWebSocket(c *call) response {
	return *invalidRequest(http.StatusUpgradeRequired, "Missing WebSocket upgrade on %s.", c.req.URL.Path)
}

// wantsWebSocket reports whether req is a proper handshake on an endpoint that
// has WebSockets.
func (c *call) wantsWebSocket() bool {
	h := c.req.Header
	return (c.path == "/v1/realtime" || c.path == "/v1/responses") && c.req.Method == http.MethodGet &&
		slices.ContainsFunc(listItems(h, "Connection"),
			func(s string) bool { return strings.EqualFold(s, "upgrade") }) &&
		strings.EqualFold(h.Get("Upgrade"), "websocket") &&
		h.Get("Sec-Websocket-Version") == "13" && h.Get("Sec-Websocket-Key") != ""
}

// serveWebSocket serves a connection. On /v1/responses a response.create is
// answered by the events of a response; every other frame of text or binary data
// comes back as it was, however fragmented its message. It heeds the faults that
// stop a response, counting messages of the client instead of events.
func (c *call) serveWebSocket() {
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	defer context.AfterFunc(c.u.ctx, func() { conn.Close() })()
	if _, err := conn.Write(c.handshake()); err != nil {
		c.rec.cancel()
		return
	}
	if err := c.echo(conn, rw.Reader); err != nil {
		c.rec.cancel()
	}
}

func (c *call) handshake() []byte {
	h := make(http.Header)
	setHeaders(h, c.rec.number)
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-Websocket-Accept", acceptKey(c.req.Header.Get("Sec-Websocket-Key")))
	if slices.Contains(subprotocols(c.req), "realtime") {
		h.Set("Sec-Websocket-Protocol", "realtime")
	}
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&head) //nolint:errcheck // a Builder never fails
	head.WriteString("\r\n")
	return []byte(head.String())
}

// echo returns nil if the connection ended with a close frame, or by the fault.
func (c *call) echo(conn net.Conn, br *bufio.Reader) error {
	for messages := 0; ; {
		if c.fault.stop != "" && messages == c.fault.after {
			x := &wire{call: c, conn: conn}
			return x.breakOff(c.fault.stop, nil)
		}
		f, err := readFrame(br)
		if code, ok := errors.AsType[closeError](err); ok {
			return writeFrame(conn, frame{true, opClose, binary.BigEndian.AppendUint16(nil, uint16(code))})
		}
		if err != nil {
			return err
		}
		switch f.op {
		case opPong:
			continue
		case opPing:
			f.op = opPong
		case opClose:
			return writeFrame(conn, f)
		default:
			if f.final {
				messages++
			}
			c.rec.addFrame(f)
		}
		for _, back := range c.replyTo(f) {
			if err := writeFrame(conn, back); err != nil {
				return err
			}
		}
	}
}

// replyTo returns the frames in response to f: the events of a response if f is a
// whole response.create, or else f itself.
func (c *call) replyTo(f frame) []frame {
	var r struct {
		Type string `json:"type"`
		responseRequest
	}
	if f.op != opText || !f.final || c.path != "/v1/responses" ||
		json.Unmarshal(f.payload, &r) != nil || r.Type != "response.create" {
		return []frame{f}
	}
	var frames []frame
	for _, event := range c.responseEvents(c.newID("resp_"), r.responseRequest, c.deltas(r.said())) {
		_, data, _ := bytes.Cut(event, []byte("data: "))
		frames = append(frames, frame{true, opText, bytes.TrimSpace(data)})
	}
	return frames
}

// readFrame reads a frame of a client (RFC 6455 section 5.2).
func readFrame(br *bufio.Reader) (frame, error) {
	var head [14]byte
	if _, err := io.ReadFull(br, head[:2]); err != nil {
		return frame{}, err
	}
	f := frame{final: head[0]&0x80 != 0, op: head[0] & 0x0f}
	masked, size := head[1]&0x80 != 0, uint64(head[1]&0x7f)
	control := f.op >= opClose
	if !masked || head[0]&0x70 != 0 || control && (size > 125 || !f.final) {
		return frame{}, closeError(closeProtocolError)
	}
	extra := map[uint64]int{126: 2, 127: 8}[size]
	if _, err := io.ReadFull(br, head[2:2+extra+4]); err != nil {
		return frame{}, err
	}
	switch extra {
	case 2:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		size = binary.BigEndian.Uint64(head[2:])
	}
	if size > maxFrame {
		return frame{}, closeError(closeTooBig)
	}
	mask := head[2+extra : 6+extra]
	f.payload = make([]byte, size)
	_, err := io.ReadFull(br, f.payload)
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, err
}

// writeFrame writes a frame of a server, which are not masked, in one Write.
func writeFrame(w io.Writer, f frame) error {
	first := f.op
	if f.final {
		first |= 0x80
	}
	out := []byte{first}
	switch n := len(f.payload); {
	case n < 126:
		out = append(out, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 127), uint64(n))
	}
	_, err := w.Write(append(out, f.payload...))
	return err
}

// acceptKey proves that the handshake was read (RFC 6455 section 1.3).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func subprotocols(req *http.Request) []string {
	return listItems(req.Header, "Sec-Websocket-Protocol")
}

// listItems returns the items of a header that is a list.
func listItems(h http.Header, name string) []string {
	var items []string
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}
