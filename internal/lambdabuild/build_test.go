package lambdabuild

import (
	"os"
	"strings"
	"testing"
)

// What is tested is what is deployed.
func TestTagsAreThoseOfMakeDist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if want := " -tags " + Tags + " -o dist/bootstrap ./lambda\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("Makefile has no line with %q", want)
	}
}
