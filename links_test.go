package relay_test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Links in what people read lead to files and headings that exist. Links to
// other hosts are not followed.
func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)|<(?:a|img)\s[^>]*(?:href|src)="([^"]+)"`)
	links := 0
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range link.FindAllStringSubmatch(prose(t, name), -1) {
			to := m[1] + m[2]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			links++
			if err := resolve(t, name, to); err != nil {
				t.Errorf("%s links to %s: %v", name, to, err)
			}
		}
	})
	if links < 30 {
		t.Errorf("found %d links: does the expression still find them?", links)
	}
}

// Documents that sources name exist, and so do their headings.
func TestNamedDocumentsExist(t *testing.T) {
	document := regexp.MustCompile(`\bdocs/[\w./-]+\.(?:md|json|svg|png)(?:#[\w-]+)?`)
	named := 0
	walk(t, func(name string) {
		if !slices.Contains([]string{".go", ".js", ".mjs", ".tf", ".conf", ".cfg"}, path.Ext(name)) {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range document.FindAllString(string(text), -1) {
			named++
			if err := resolve(t, "README.md", to); err != nil {
				t.Errorf("%s names %s: %v", name, to, err)
			}
		}
	})
	if named < 20 {
		t.Errorf("found %d documents: does the expression still find them?", named)
	}
}

// resolve returns why a link in a file leads nowhere, or nil.
func resolve(t *testing.T, from, to string) error {
	t.Helper()
	name, heading, _ := strings.Cut(to, "#")
	if name == "" {
		name = from
	} else {
		name = path.Join(path.Dir(from), name)
	}
	info, err := os.Stat(name)
	switch {
	case strings.HasPrefix(name, "../"):
		return fmt.Errorf("%s is outside of the repository", name)
	case err != nil:
		return err
	case heading == "":
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a folder, without headings", name)
	case !headings(prose(t, name))[heading]:
		return fmt.Errorf("%s has no such heading", name)
	}
	return nil
}

// prose returns a Markdown file without its blocks of code.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced && !strings.HasPrefix(line, "    ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// headings returns the headings of a text in the form in which GitHub links to
// them.
func headings(text string) map[string]bool {
	found := make(map[string]bool)
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		if len(title) == len(line) || !strings.HasPrefix(title, " ") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		unique := slug
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", slug, n)
		}
		found[unique] = true
	}
	return found
}

func TestHeadings(t *testing.T) {
	got := headings("# What it costs\ntext # none\n#none\n## `relay check`, and why\n## Same\n## Same\n")
	for _, want := range []string{"what-it-costs", "relay-check-and-why", "same", "same-1"} {
		if !got[want] {
			t.Errorf("headings = %v, want %s among them", got, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("headings = %v, want four", got)
	}
}
