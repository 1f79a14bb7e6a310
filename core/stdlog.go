package core

import (
	"bytes"
	"io"
	"log"
	"sync"
)

// A stdlogFilter replaces the one message in the standard logger that may quote a
// response: net/http's client logs stray bytes on idle connections.
type stdlogFilter struct{ next io.Writer }

func (f stdlogFilter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Unsolicited response received on idle HTTP channel")) {
		_, err := io.WriteString(f.next, "net/http: stray bytes on an idle connection to the upstream\n")
		return len(p), err
	}
	return f.next.Write(p)
}

// filterStdlog installs the filter, once. It is for processes that are nothing but
// a relay.
var filterStdlog = sync.OnceFunc(func() { log.SetOutput(stdlogFilter{log.Writer()}) })
