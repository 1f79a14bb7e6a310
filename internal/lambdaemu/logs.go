package lambdaemu

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// maxLogs is how much of the logs is kept: the end counts.
const maxLogs = 4 << 20

// logs keeps what processes wrote, and what became of them. Every Write is
// whole lines.
type logs struct {
	mu   sync.Mutex
	kept bytes.Buffer
	also io.Writer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept.Len()+len(p) > maxLogs {
		l.kept.Next(maxLogs / 2)
	}
	_, _ = l.also.Write(p)
	return l.kept.Write(p)
}

// printf adds a line of the emulator's own.
func (l *logs) printf(format string, args ...any) {
	fmt.Fprintf(l, "lambdaemu: "+format+"\n", args...)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}

// lineWriter passes on whole lines, so that those of several processes do not mix.
type lineWriter struct {
	w       io.Writer
	partial []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	if end := bytes.LastIndexByte(l.partial, '\n') + 1; end > 0 {
		_, _ = l.w.Write(l.partial[:end])
		l.partial = append(l.partial[:0], l.partial[end:]...)
	}
	return len(p), nil
}

// end passes on a last line that has no end.
func (l *lineWriter) end() {
	if len(l.partial) > 0 {
		_, _ = l.w.Write(append(l.partial, '\n'))
	}
}
