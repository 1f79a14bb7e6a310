package wire

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReader(t *testing.T) {
	tests := []struct{ name, message, body string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		{"chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", "hello"},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nhello", "hello"},
		{"request without body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "hi"},
	}
	for _, test := range tests {
		r := NewReader(iotest.OneByteReader(strings.NewReader(test.message)))
		head, err := r.ReadHead()
		if err != nil {
			t.Errorf("%s: ReadHead() = %v", test.name, err)
			continue
		}
		if first, _, _ := strings.Cut(test.message, "\n"); string(head.Start) != strings.TrimSuffix(first, "\r") {
			t.Errorf("%s: Start = %q, want %q", test.name, head.Start, first)
		}
		if body, err := io.ReadAll(r); string(body) != test.body || err != nil {
			t.Errorf("%s: body = %q, %v, want %q", test.name, body, err, test.body)
		}
		r = NewReader(strings.NewReader(test.message))
		_, _ = r.ReadHead()
		if n, err := r.Discard(); n != int64(len(test.body)) || err != nil {
			t.Errorf("%s: Discard() = %d, %v, want %d", test.name, n, err, len(test.body))
		}
	}
}

func TestReaderKeepsMessagesApart(t *testing.T) {
	const message = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
	r := NewReader(strings.NewReader(message + message))
	for range 2 {
		if _, err := r.ReadHead(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Discard(); n != 2 || err != nil {
			t.Fatalf("Discard() = %d, %v, want 2", n, err)
		}
	}
	if _, err := r.ReadHead(); err != io.EOF {
		t.Errorf("ReadHead() = %v at the end, want %v", err, io.EOF)
	}
}

func TestReaderTruncated(t *testing.T) {
	for _, message := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 200 OK\r\nContent-Le",
	} {
		r := NewReader(strings.NewReader(message))
		_, err := r.ReadHead()
		if err == nil {
			_, err = r.Discard()
		}
		if err == nil {
			t.Errorf("%q was read without an error", message)
		}
	}
}

func TestStamp(t *testing.T) {
	sent := time.Unix(1_800_000_000, 5)
	line := AppendStamp(nil, sent, 42)
	if len(line) != StampSize {
		t.Errorf("len(AppendStamp()) = %d, want %d", len(line), StampSize)
	}
	if lag, ok := Lag(append(line, "}\n"...), sent.Add(time.Millisecond)); lag != time.Millisecond || !ok {
		t.Errorf("Lag() = %v, %v, want 1ms", lag, ok)
	}
	if n, ok := Number(line); n != 42 || !ok {
		t.Errorf("Number() = %d, %v, want 42", n, ok)
	}
	if n, ok := Number([]byte("data: [DONE]\n")); ok {
		t.Errorf("Number() found %d in [DONE]", n)
	}
	if _, ok := Lag([]byte("data: [DONE]\n"), sent); ok {
		t.Error("Lag() found a time in [DONE]")
	}
}
