package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Streams is a growing number of event streams that are open at the same time. The
// events must have timestamps and numbers. It must be closed.
type Streams struct {
	addr    string
	request []byte
	life    time.Duration

	mu      sync.Mutex // guards conns and closed
	conns   []net.Conn
	closed  bool
	reading sync.WaitGroup
	counts  [64]count // of some streams each, so that few readers wait for another
}

// A count is what was received since the last count.
type count struct {
	mu  sync.Mutex // guards got
	got Received
}

// A Received is what streams brought.
type Received struct {
	Events int
	Lost   int       // by their numbers
	Ended  int       // streams that have ended
	Error  error     // of the first of these
	Lag    Histogram // of each event
}

// opening is the number of streams that are opened at the same time.
const opening = 64

// NewStreams returns no streams of the server at addr. None may last longer than
// life.
func NewStreams(addr string, request []byte, life time.Duration) *Streams {
	return &Streams{addr: addr, request: request, life: life}
}

// Grow opens streams until n are open, and waits for the first event of each.
func (s *Streams) Grow(ctx context.Context, n int) error {
	numbers := make(chan int)
	failed := make(chan error, opening)
	var opened sync.WaitGroup
	for range opening {
		opened.Go(func() {
			for i := range numbers {
				if err := s.open(i); err != nil {
					failed <- fmt.Errorf("stream %d: %w", i+1, err)
					return
				}
			}
		})
	}
	err := s.hand(ctx, numbers, failed, n)
	close(numbers)
	opened.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}

// hand sends the numbers of the streams to open.
func (s *Streams) hand(ctx context.Context, numbers chan<- int, failed <-chan error, n int) error {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	for i := open; i < n; i++ {
		select {
		case numbers <- i:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// open opens stream i, reads its first event, and has the others read.
func (s *Streams) open(i int) error {
	c := NewClient(s.addr, s.life, nil)
	if err := c.Open(s.request); err != nil {
		return err
	}
	if _, err := c.NextEvent(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return net.ErrClosed
	}
	s.conns = append(s.conns, c.conn)
	s.reading.Go(func() { s.read(c, &s.counts[i%len(s.counts)]) })
	return nil
}

// read counts the events of a stream until it ends.
func (s *Streams) read(c *Client, n *count) {
	defer c.Close()
	for {
		last := c.number
		lag, err := c.NextEvent()
		n.mu.Lock()
		if err != nil {
			if n.got.Ended++; n.got.Error == nil {
				n.got.Error = err
			}
			n.mu.Unlock()
			return
		}
		n.got.Events++
		n.got.Lost += c.number - last - 1
		n.got.Lag.Record(lag)
		n.mu.Unlock()
	}
}

// Receive returns what all streams bring within d.
func (s *Streams) Receive(ctx context.Context, d time.Duration) (*Received, error) {
	s.take(new(Received))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	got := new(Received)
	s.take(got)
	return got, nil
}

// take adds what was received to total, and counts from zero again; but streams that
// have ended are counted every time.
func (s *Streams) take(total *Received) {
	for i := range s.counts {
		n := &s.counts[i]
		n.mu.Lock()
		total.Events += n.got.Events
		total.Lost += n.got.Lost
		total.Ended += n.got.Ended
		if total.Error == nil {
			total.Error = n.got.Error
		}
		total.Lag.Merge(&n.got.Lag)
		n.got = Received{Ended: n.got.Ended, Error: n.got.Error}
		n.mu.Unlock()
	}
}

// Close closes all streams.
func (s *Streams) Close() {
	s.mu.Lock()
	s.closed = true
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.reading.Wait()
}
