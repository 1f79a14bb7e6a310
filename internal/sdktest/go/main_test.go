package sdktest

import (
	"fmt"
	"os"
	"testing"
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
	os.Exit(status)
}
