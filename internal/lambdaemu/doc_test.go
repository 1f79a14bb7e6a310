package lambdaemu

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestMapIsComplete(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := f.Name()
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "doc.go" &&
			!bytes.Contains(doc, []byte(name)) {
			t.Errorf("the comment of the package does not say what %s is", name)
		}
	}
}
