package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// logQueueSize is how many log lines, of about 300 bytes each, may wait for their
// reader. Further lines are dropped.
const logQueueSize = 4096

// logFlushTimeout is how long the end of the process waits for the lines in the
// queue to be written.
const logFlushTimeout = time.Second

// A logQueue is a writer of log lines that never blocks: serving must not wait for the
// reader of the log. If the queue is full, lines are dropped; their number is written
// after the next line. It is safe for concurrent use.
type logQueue struct {
	w     io.Writer
	lines chan []byte
	done  chan struct{} // closed when the queue has been written out

	mu      sync.Mutex
	dropped int
	closed  bool
}

func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{w: w, lines: make(chan []byte, logQueueSize), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a copy of line. It never fails.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(line), nil
	}
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.dropped++
	}
	return len(line), nil
}

// run writes the lines until the queue is closed. If the writer fails, the line is
// lost: there is nowhere to report the error.
func (q *logQueue) run() {
	defer close(q.done)
	for line := range q.lines {
		_, _ = q.w.Write(line)
		if n := q.takeDropped(); n > 0 {
			_, _ = fmt.Fprintf(q.w, `{"time":%q,"level":"WARN","msg":"log lines dropped","count":%d}`+"\n",
				time.Now().Format(time.RFC3339Nano), n)
		}
	}
}

func (q *logQueue) takeDropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}

// close waits up to timeout for the lines in the queue to be written. Lines that are
// logged from now on are dropped.
func (q *logQueue) close(timeout time.Duration) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(timeout):
	}
}
