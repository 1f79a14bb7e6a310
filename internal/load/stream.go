package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"example.com/relay/internal/load/wire"
)

// Stream reads one stream of count events that have a time in them. It returns
// how long each was on its way, and how many arrived in the same piece as the
// one before. It takes no longer than life.
func Stream(ctx context.Context, addr string, request []byte, count int, life time.Duration) (lag *Histogram, together int, err error) {
	dialed, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	conn := &countedConn{Conn: dialed}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(life))
	if _, err := conn.Write(request); err != nil {
		return nil, 0, err
	}
	r := wire.NewReader(conn)
	head, err := r.ReadHead()
	if err != nil {
		return nil, 0, err
	}
	if !strings.Contains(string(head.Start), " 200 ") {
		return nil, 0, fmt.Errorf("answered %q", head.Start)
	}
	return readEvents(r, conn, count)
}

func readEvents(r io.Reader, conn *countedConn, count int) (lag *Histogram, together int, err error) {
	lag = new(Histogram)
	lines, last := bufio.NewReader(r), 0
	for {
		line, err := lines.ReadSlice('\n')
		if d, ok := wire.Lag(line, time.Now()); ok {
			lag.Record(d)
			if conn.reads == last {
				together++
			}
			last = conn.reads
		}
		if errors.Is(err, io.EOF) && lag.Count() == count {
			return lag, together, nil
		}
		if err != nil {
			return lag, together, fmt.Errorf("after %d events: %w", lag.Count(), err)
		}
	}
}

// A countedConn counts the pieces that it reads.
type countedConn struct {
	net.Conn
	reads int
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.reads++
	return n, err
}
