package sdktest

import (
	"os"
	"testing"

	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
	"example.com/relay/internal/vercelbuild"
)

func TestMain(m *testing.M) {
	status := proc.Main(m, bootstrap, regions.Program)
	vercelbuild.Clean()
	os.Exit(status)
}
