package cloudflare

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A socket is one end of a WebSocket, with frames as RFC 6455, section 5, has them.
type socket struct {
	conn   net.Conn
	br     *bufio.Reader
	client bool
	header http.Header // of the other end's handshake
}

// write writes a frame.
func (s *socket) write(t *testing.T, op byte, payload []byte) {
	t.Helper()
	frame := []byte{0x80 | op}
	mask := byte(0)
	if s.client {
		mask = 0x80
	}
	switch {
	case len(payload) < 126:
		frame = append(frame, mask|byte(len(payload)))
	case len(payload) < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, mask|126), uint16(len(payload)))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, mask|127), uint64(len(payload)))
	}
	if s.client {
		frame = append(frame, 0, 0, 0, 0) // a mask that changes nothing
	}
	if _, err := s.conn.Write(append(frame, payload...)); err != nil {
		t.Errorf("writing a frame: %v", err)
	}
}

// read returns the next frame.
func (s *socket) read(t *testing.T) (op byte, payload []byte) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(s.br, head); err != nil {
		t.Errorf("reading a frame: %v", err)
		return 0, nil
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var long [2]byte
		_, _ = io.ReadFull(s.br, long[:])
		size = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, _ = io.ReadFull(s.br, long[:])
		size = binary.BigEndian.Uint64(long[:])
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		_, _ = io.ReadFull(s.br, mask[:])
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(s.br, payload); err != nil {
		t.Errorf("reading a frame: %v", err)
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, payload
}

// dial opens a WebSocket through the Worker, or returns the refusal.
func (f *front) dial(t *testing.T, path string, headers ...string) (*socket, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	raw := "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, line := range headers {
		raw += line + "\r\n"
	}
	_, _ = io.WriteString(conn, raw+"\r\n")
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &socket{conn: conn, br: br, client: true, header: res.Header}, res
}

// accept answers a handshake in the upstream's place.
func accept(w http.ResponseWriter, req *http.Request, protocol string) *socket {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	_, _ = io.WriteString(conn, head+"Set-Cookie: a=b\r\nX-Request-Id: req_1\r\n\r\n")
	return &socket{conn: conn, br: rw.Reader, header: req.Header}
}

// Messages of every kind pass both ways, on paths that nobody has listed too, with
// the subprotocol; the browser's carrier of the key is cleared of the token.
func TestWebSocket(t *testing.T) {
	for _, rt := range runtimes {
		t.Run(rt.name, func(t *testing.T) {
			ups := make(chan *socket, 1)
			done := make(chan bool)
			upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
				ups <- accept(w, req, "realtime")
				<-done
			})
			defer close(done)
			f := &front{Tested: serve(t, rt.module, rt.date, "RELAY_UPSTREAMS="+upstream.URL,
				"RELAY_ACCESS_TOKENS=access-token-3c2b")}
			client, res := f.dial(t, "/v1/live/sessions?model=x",
				"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.rt_access-token-3c2b.sk-mine",
				"Origin: https://chat.example", "X-Forwarded-For: 192.0.2.1",
				"Sec-WebSocket-Extensions: permessage-deflate")
			if res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Protocol") != "realtime" ||
				res.Header.Get("Set-Cookie") != "" ||
				res.Header.Get("X-Request-Id") != "req_1" || res.Header.Get("X-Relay") != "relay; origin=upstream" {
				t.Fatalf("handshake: %d %v", res.StatusCode, res.Header)
			}
			up := <-ups
			defer up.conn.Close()
			if got := up.header.Get("Sec-Websocket-Protocol"); got != "realtime, openai-insecure-api-key.sk-mine" {
				t.Errorf("upstream got the subprotocols %q", got)
			}
			for _, name := range []string{"Origin", "X-Forwarded-For", "Sec-Websocket-Extensions"} {
				if got := up.header.Get(name); got != "" {
					t.Errorf("upstream got %s: %s", name, got)
				}
			}
			for _, pair := range []struct{ from, to *socket }{{client, up}, {up, client}} {
				for _, message := range []struct {
					op      byte
					payload []byte
				}{{1, []byte("text → ö")}, {2, []byte{0, 1, 255}}, {1, nil},
					{2, bytes.Repeat([]byte("x"), 300_000)}} {
					pair.from.write(t, message.op, message.payload)
					if op, got := pair.to.read(t); op != message.op || !bytes.Equal(got, message.payload) {
						t.Errorf("opcode %d, %d bytes; want %d, %d", op, len(got), message.op, len(message.payload))
					}
				}
			}
		})
	}
}

// Close codes pass both ways.
func TestWebSocketClose(t *testing.T) {
	ups := make(chan *socket, 1)
	done := make(chan bool)
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		ups <- accept(w, req, "")
		<-done
	})
	defer close(done)
	closing := append(binary.BigEndian.AppendUint16(nil, 4001), "bye"...)
	for _, fromClient := range []bool{true, false} {
		client, _ := f.dial(t, "/v1/realtime")
		up := <-ups
		from, to := client, up
		if !fromClient {
			from, to = up, client
		}
		from.write(t, 8, closing)
		if op, got := to.read(t); op != 8 || !bytes.Equal(got, closing) {
			t.Errorf("from the client %t: opcode %d %q, want close 4001 bye", fromClient, op, got)
		}
		up.conn.Close()
	}
}

// Handshakes that are refused, here or upstream, are answered like any request.
func TestWebSocketRefused(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no")
	}, "RELAY_ALLOWED_ORIGINS=https://chat.example", "RELAY_ACCESS_TOKENS=access-token-3c2b")
	tests := []struct {
		headers []string
		status  int
		origin  string
	}{
		{[]string{"X-Relay-Token: access-token-3c2b"}, 401, "upstream"},
		{[]string{"X-Relay-Token: wrong"}, 401, "relay"},
		{[]string{"X-Relay-Token: access-token-3c2b", "Origin: https://evil.example"}, 403, "relay"},
		{[]string{"X-Relay-Token: access-token-3c2b", "Origin: https://chat.example", "Sec-Fetch-Site: cross-site",
			"Sec-Fetch-Dest: websocket"}, 401, "upstream"},
	}
	for _, test := range tests {
		_, res := f.dial(t, "/v1/realtime", test.headers...)
		if res.StatusCode != test.status || res.Header.Get("X-Relay") != "relay; origin="+test.origin {
			t.Errorf("%q: %d %v, want %d of the %s", test.headers, res.StatusCode, res.Header, test.status, test.origin)
		}
	}
	// Without its Upgrade header, which a proxy took out. (The runtime keeps Upgrade
	// out of responses, so that the 426 cannot have it.)
	res, body := f.complete(t, "GET", "/v1/realtime", nil, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
		"X-Relay-Token", "access-token-3c2b")
	wantError(t, res, body, 426, "websocket_unsupported")
}
