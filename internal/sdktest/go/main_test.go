package sdktest

import (
	"fmt"
	"os"
	"testing"

	"example.com/relay/internal/vercelbuild"
)

// buildDir is where tests build what they run, and is removed after them.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "sdktest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(buildDir)
	vercelbuild.Clean()
	os.Exit(status)
}
