// Package doc writes docs/performance.md, which several commands share: each
// owns a section and leaves the rest of the page alone. It also has what their
// reports have in common: figures, which it keeps in a file beside the page for
// who draws plots or judges, tables, and the machine.
package doc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Section is what one command writes into the page. The name stands in the
// markers around it, the command in the first of them.
type Section struct {
	Name    string // unique in the page
	Command string // that writes it
	First   bool   // it begins the page, if it is new there, or else ends it
}

// Put puts text into the page at path: in place of what stands there between
// the section's markers, or where it belongs if there are none yet. A page that does
// not exist is begun.
func (s Section) Put(path string, text []byte) error {
	page, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		page, err = []byte("# Performance\n"), nil
	}
	if err != nil {
		return err
	}
	page, err = s.replace(page, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, page, 0o644)
}

// replace returns page with text in the section.
func (s Section) replace(page, text []byte) ([]byte, error) {
	text = fmt.Appendf(nil, "%swritten by `%s`. Do not edit: measure again. -->\n\n%s\n\n%s",
		s.begin(), s.Command, bytes.TrimSpace(text), s.end())
	begin, end := bytes.Index(page, []byte(s.begin())), bytes.Index(page, []byte(s.end()))
	switch {
	case begin < 0 && end < 0 && s.First:
		title, rest, _ := bytes.Cut(page, []byte("\n"))
		return fmt.Appendf(nil, "%s\n\n%s\n%s", title, text, rest), nil
	case begin < 0 && end < 0:
		return append(bytes.TrimRight(page, "\n"), fmt.Sprintf("\n\n%s\n", text)...), nil
	case begin < 0 || end < begin:
		return nil, fmt.Errorf("section %s: one of its markers is missing", s.Name)
	}
	rest := page[end+len(s.end()):]
	return bytes.Join([][]byte{page[:begin], text, rest}, nil), nil
}

func (s Section) begin() string { return "<!-- begin " + s.Name + ": " }
func (s Section) end() string   { return "<!-- end " + s.Name + " -->" }
