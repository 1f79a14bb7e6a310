package fakeopenai

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func upgrade(path, headers string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n\r\n", path, headers)
}

// openWebSocket performs a handshake that must succeed.
func openWebSocket(t *testing.T, u *Upstream, path, headers string) (net.Conn, *bufio.Reader, http.Header) {
	t.Helper()
	conn := send(t, u, upgrade(path, headers))
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("GET %s with %s = %d, want 101", path, headers, res.StatusCode)
	}
	return conn, br, res.Header
}

// clientFrame returns a frame as clients send them, masked.
func clientFrame(first byte, payload []byte) []byte {
	out := []byte{first}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	out = append(out, mask...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

func TestWebSocketHandshake(t *testing.T) {
	u := StartUpstream(t)
	for _, tt := range []struct{ path, headers, protocol string }{
		{"/v1/realtime?model=m", "Authorization: Bearer sk-a", ""},
		{"/v1/responses", "Authorization: Bearer sk-a", ""},
		{"/v1/realtime", "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-a", "realtime"},
	} {
		_, _, h := openWebSocket(t, u, tt.path, tt.headers)
		// The accept key is that of the example in RFC 6455 section 1.3.
		if h.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
			h.Get("Sec-Websocket-Protocol") != tt.protocol {
			t.Errorf("%s with %s = %v, want protocol %q", tt.path, tt.headers, h, tt.protocol)
		}
	}
	for _, tt := range []struct {
		path, headers string
		status        int
	}{
		{"/v1/realtime", "X: y", 401},
		{"/v1/realtime", "Sec-WebSocket-Protocol: openai-insecure-api-key.sk-invalid", 401},
		{"/v1/realtime", "Authorization: Bearer sk-a\r\nFake-Fault: status=429", 429},
		{"/v1/models", "Authorization: Bearer sk-a", 200},
	} {
		res, err := http.ReadResponse(bufio.NewReader(send(t, u, upgrade(tt.path, tt.headers))), nil)
		if err != nil || res.StatusCode != tt.status {
			t.Errorf("%s with %s = %v, %v, want %d", tt.path, tt.headers, res, err, tt.status)
		}
	}
}

// A response.create is answered by the events of a stream; anything else comes
// back. What the client said is recorded, message by message.
func TestResponsesWebSocket(t *testing.T) {
	u := StartUpstream(t)
	conn, br, _ := openWebSocket(t, u, "/v1/responses", "Authorization: Bearer sk-a")
	messages := []string{`{"type":"response.create","model":"m","input":"hello"}`, `{"type":"other"}`, "fragments"}
	for _, f := range [][]byte{
		clientFrame(0x81, []byte(messages[0])), clientFrame(0x81, []byte(messages[1])),
		clientFrame(0x01, []byte("frag")), clientFrame(0x80, []byte("ments")),
	} {
		if _, err := conn.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	var kinds []string
	text := ""
	for len(kinds) == 0 || kinds[len(kinds)-1] != "other" {
		var event struct{ Type, Delta string }
		payload := readServerFrame(t, br)
		if err := json.Unmarshal(payload, &event); err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		kinds = append(kinds, event.Type)
		text += event.Delta
	}
	if n := len(kinds); kinds[0] != "response.created" || kinds[n-2] != "response.completed" || text != Reply("hello") {
		t.Errorf("events = %v with %q, want a response with %q", kinds, text, Reply("hello"))
	}
	if got := string(readServerFrame(t, br)) + string(readServerFrame(t, br)); got != messages[2] {
		t.Errorf("echo = %q, want %q", got, messages[2])
	}
	said := u.Wait(t, 1).Messages()
	if got := string(bytes.Join(said, []byte("|"))); got != strings.Join(messages, "|") {
		t.Errorf("messages = %s, want %v", got, messages)
	}
}

// readServerFrame returns the payload of a frame that is shorter than 64 KiB.
func readServerFrame(t *testing.T, br *bufio.Reader) []byte {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(br, head); err != nil {
		t.Fatal(err)
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(br, head); err != nil {
			t.Fatal(err)
		}
		size = int(binary.BigEndian.Uint16(head))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(br, payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestWebSocketEcho(t *testing.T) {
	u := StartUpstream(t)
	conn, br, _ := openWebSocket(t, u, "/v1/realtime", "Authorization: Bearer sk-a")
	for _, tt := range []struct {
		name          string
		first, answer byte
		size          int
	}{
		{"text", 0x81, 0x81, 5},
		{"empty text", 0x81, 0x81, 0},
		{"binary of 16 bit length", 0x82, 0x82, 126},
		{"binary of 64 bit length", 0x82, 0x82, 70000},
		{"first fragment", 0x01, 0x01, 3},
		{"ping between fragments", 0x89, 0x8a, 4},
		{"last fragment", 0x80, 0x80, 3},
		{"close", 0x88, 0x88, 2},
	} {
		payload := Pattern(tt.size)
		if _, err := conn.Write(clientFrame(tt.first, payload)); err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := writeFrame(&want, frame{tt.answer&0x80 != 0, tt.answer & 0x0f, payload}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(br, got); !bytes.Equal(got, want.Bytes()) || err != nil {
			t.Errorf("%s = %.20x, %v, want %.20x", tt.name, got, err, want.Bytes())
		}
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("after close = %v, want EOF", err)
	}
	r := u.Last()
	r.WaitDone(t)
	if !r.CanceledAt().IsZero() {
		t.Error("a proper close is recorded as canceled")
	}
}

func TestWebSocketProtocolErrors(t *testing.T) {
	u := StartUpstream(t)
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"unmasked frame", []byte{0x81, 0x00}, "\x88\x02\x03\xea"},
		{"reserved bit", []byte{0xc1, 0x80, 0, 0, 0, 0}, "\x88\x02\x03\xea"},
		{"fragmented ping", []byte{0x09, 0x80, 0, 0, 0, 0}, "\x88\x02\x03\xea"},
		{"huge frame", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "\x88\x02\x03\xf1"},
	} {
		conn, br, _ := openWebSocket(t, u, "/v1/realtime", "Authorization: Bearer sk-a")
		if _, err := conn.Write(tt.in); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(br); string(got) != tt.want || err != nil {
			t.Errorf("%s = %x, %v, want %x", tt.name, got, err, tt.want)
		}
	}
}

func TestWebSocketFaults(t *testing.T) {
	u := StartUpstream(t)
	hi := clientFrame(0x81, []byte("hi"))
	for _, tt := range []struct {
		fault string
		err   error
	}{
		{"cut=1", nil},
		{"reset=1", syscall.ECONNRESET},
		{"half-close=1", nil},
	} {
		conn, br, _ := openWebSocket(t, u, "/v1/realtime", "Authorization: Bearer sk-a\r\nFake-Fault: "+tt.fault)
		if _, err := conn.Write(hi); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(br); string(got) != "\x81\x02hi" || !errors.Is(err, tt.err) {
			t.Errorf("%s = %q, %v, want one echo, %v", tt.fault, got, err, tt.err)
		}
	}
	u.Reset()
	conn, _, _ := openWebSocket(t, u, "/v1/realtime", "Authorization: Bearer sk-a")
	conn.Close()
	u.Wait(t, 1).WaitCanceled(t)
}
