package workerd

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
)

// A Tested is a Process of a test, and what its Worker has written.
type Tested struct {
	*Process
	mu  sync.Mutex
	log strings.Builder
}

// Program returns the program's path. Where it cannot be had it skips t, but for
// CI, whose tests must not be missing in silence.
func Program(t testing.TB) string {
	t.Helper()
	program, err := Install()
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Serve starts w until t ends. Where the program cannot be had it does as Program.
func Serve(t testing.TB, w Worker) *Tested {
	t.Helper()
	served := new(Tested)
	var err error
	if served.Process, err = Start(Program(t), w, served); err != nil {
		t.Fatalf("%v\n%s", err, served.Log())
	}
	t.Cleanup(served.Stop)
	return served
}

// Write keeps what the Worker writes.
func (s *Tested) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// Log returns all that the Worker and the runtime have written so far.
func (s *Tested) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}
