package torture_test

import (
	"net"
	"os"
	"testing"

	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

func TestMain(m *testing.M) {
	// No name is resolved by the machine's own resolver.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	os.Exit(proc.Main(m, regions.Program))
}
