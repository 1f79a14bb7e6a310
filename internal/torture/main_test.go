package torture_test

import (
	"net"
	"os"
	"testing"

	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

func TestMain(m *testing.M) {
	// Nothing here is to be found by name but what a test makes up.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	os.Exit(proc.Main(m, regions.Program))
}
