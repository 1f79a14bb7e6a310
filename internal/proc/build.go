package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A Program is a program that the tests of a package share. It is built when the
// first of them needs it.
type Program struct {
	dir  string // empty until the program is built
	path func() (string, error)
}

// NewProgram returns a program that build writes to a file of the given name. The
// package's TestMain must call [Main] with it.
func NewProgram(name string, build func(ctx context.Context, file string) error) *Program {
	p := new(Program)
	p.path = sync.OnceValues(func() (file string, err error) {
		if p.dir, err = os.MkdirTemp("", name); err != nil {
			return "", err
		}
		file = filepath.Join(p.dir, name)
		return file, build(context.Background(), file)
	})
	return p
}

// GoBuild returns a build for NewProgram that runs go build with arguments, without
// cgo.
func GoBuild(args ...string) func(ctx context.Context, file string) error {
	return func(ctx context.Context, file string) error {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", file}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
}

// Path returns the path of the program. It may be called concurrently.
func (p *Program) Path(tb testing.TB) string {
	tb.Helper()
	file, err := p.path()
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

// Main runs a package's tests, deletes their programs and returns the exit status.
func Main(m *testing.M, programs ...*Program) int {
	status := m.Run()
	for _, p := range programs {
		_ = os.RemoveAll(p.dir) // does nothing if it was not built
	}
	return status
}
