package workerd

import (
	"errors"
	"os"
	"testing"

	"example.com/relay/internal/proc"
)

// A Tested is a test's Process, with its log.
type Tested struct {
	*Process
	log proc.Buffer
}

// Program returns the program's path. If it is not available it skips t, or fails it
// in CI, where no test may be skipped silently.
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

// Serve starts w until t ends. Like Program it skips t if workerd is not available.
func Serve(t testing.TB, w Worker) *Tested {
	t.Helper()
	served := new(Tested)
	var err error
	if served.Process, err = Start(Program(t), w, &served.log); err != nil {
		t.Fatalf("%v\n%s", err, served.Log())
	}
	t.Cleanup(served.Stop)
	return served
}

// Log returns everything that the Worker and the runtime have written so far.
func (s *Tested) Log() string { return s.log.String() }
