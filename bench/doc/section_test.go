package doc

import (
	"os"
	"path/filepath"
	"testing"
)

var (
	first  = Section{Name: "first", Command: "go run ./first", First: true}
	second = Section{Name: "second", Command: "go run ./second"}
)

const both = "# Performance\n\n" +
	"<!-- begin first: written by `go run ./first`. Do not edit: measure again. -->\n\none\n\n<!-- end first -->\n\n" +
	"<!-- begin second: written by `go run ./second`. Do not edit: measure again. -->\n\ntwo\n\n<!-- end second -->\n"

func TestSectionsLeaveEachOtherAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	for _, put := range []struct {
		section Section
		text    string
	}{
		{second, "two"}, {first, "a longer text\n\nof before\n"}, {first, "one\n\n"}, {second, "\ntwo\n"},
	} {
		if err := put.section.Put(path, []byte(put.text)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != both {
		t.Errorf("the page is\n%s\nwant\n%s", page, both)
	}
}

func TestReplace(t *testing.T) {
	for _, test := range []struct{ name, page, want string }{
		{"around the section, all stays", "before\n<!-- begin first: x -->\nold\n<!-- end first -->\nbehind", "before\n<!-- begin first: written by `go run ./first`. Do not edit: measure again. -->\n\nnew\n\n<!-- end first -->\nbehind"},
		{"no end", "<!-- begin first: x -->\nold\n", ""},
		{"no begin", "old\n<!-- end first -->\n", ""},
		{"the wrong way round", "<!-- end first --><!-- begin first: x -->", ""},
	} {
		got, err := first.replace([]byte(test.page), []byte("new"))
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: replace() = %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}
