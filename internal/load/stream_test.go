package load

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"example.com/relay/internal/load/wire"
)

// A piecewise connection reads one piece at a time.
type piecewise struct {
	net.Conn
	pieces [][]byte
}

func (p *piecewise) Read(b []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

func TestEventsThatComeTogetherAreCounted(t *testing.T) {
	const count = 20
	event := append(wire.AppendStamp(nil, time.Now()), "}\n\n"...)
	var pieces [][]byte
	for range count - 5 {
		pieces = append(pieces, event)
	}
	pieces = append(pieces, bytes.Repeat(event, 3), bytes.Repeat(event, 2))
	conn := &countedConn{Conn: &piecewise{pieces: pieces}}
	lag, together, err := readEvents(conn, conn, count)
	if err != nil || together != 3 || lag.Count() != count {
		t.Errorf("readEvents() = %d events, %d together, %v; want %d, 3, nil", lag.Count(), together, err, count)
	}
	conn = &countedConn{Conn: &piecewise{pieces: pieces[1:]}}
	if _, _, err := readEvents(conn, conn, count); err == nil {
		t.Error("readEvents() of a stream that lacks an event = no error, want one")
	}
}
