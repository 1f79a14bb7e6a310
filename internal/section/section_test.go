package section

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = "# Title\n\n<!-- begin one: by hand -->\nold\n<!-- end one -->\n\nbetween\n<!-- begin two: x -->\n" +
	"<!-- end two -->\nafter"

func TestReplace(t *testing.T) {
	for _, test := range []struct{ name, page, section, want string }{
		{"around the section, all stays", page, "one", strings.Replace(page, "old\n", "new\n", 1)},
		{"an empty section", page, "two", strings.Replace(page, "x -->\n", "x -->\nnew\n", 1)},
		{"no such section", page, "three", ""},
		{"no end", "<!-- begin one: x -->\nold\n", "one", ""},
		{"no begin", "old\n<!-- end one -->\n", "one", ""},
		{"the wrong way round", "<!-- end one --><!-- begin one: x -->\n", "one", ""},
	} {
		got, err := Replace(test.page, test.section, "new\n")
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: Replace() = %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestContent(t *testing.T) {
	if got, err := Content(page, "one"); got != "old\n" || err != nil {
		t.Errorf("Content(one) = %q, %v, want the line", got, err)
	}
	if got, err := Content(page, "three"); err == nil {
		t.Errorf("Content(three) = %q, want an error", got)
	}
}

func TestWriteLeavesOtherSectionsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, put := range []struct{ section, text string }{
		{"two", "second"}, {"one", "a longer text\n\nof before\n"}, {"one", "first\n\n"}, {"two", "\nsecond\n"},
	} {
		if err := Write(path, put.section, []byte(put.text)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(strings.Replace(page, "old\n", "\nfirst\n\n", 1), "x -->\n", "x -->\n\nsecond\n\n", 1)
	if string(got) != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
	if err := Write(path, "three", nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Write(three) = %v, want an error that names the file", err)
	}
}
