package core

import (
	"bytes"
	"io"
	"log"
	"sync"
)

// A stdlogFilter keeps the one thing out of the standard logger that may quote
// an answer: net/http's client shows stray bytes on idle connections there.
type stdlogFilter struct{ next io.Writer }

func (f stdlogFilter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Unsolicited response received on idle HTTP channel")) {
		_, err := io.WriteString(f.next, "net/http: stray bytes on an idle connection to the upstream\n")
		return len(p), err
	}
	return f.next.Write(p)
}

// filterStdlog puts the filter in front of the standard logger, for processes
// that are nothing but a relay.
var filterStdlog = sync.OnceFunc(func() { log.SetOutput(stdlogFilter{log.Writer()}) })
