package torture_test

import (
	"net"
	"os"
	"testing"

	"example.com/relay/internal/regions"
)

// relay is the program, built once.
var relay string

// long has rows take as long as the matrix asks for, for instance a minute of a
// flapping region. Without it they are shorter, and say so in their notes.
var long = os.Getenv("TORTURE_LONG") == "1"

func TestMain(m *testing.M) {
	// Nothing here is to be found by name but what a test makes up.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	os.Exit(regions.RunTests(m, &relay))
}
