// Package section writes the generated sections of the documentation. A section
// has a name and lies between two comments, the first of which may say what
// generates it:
//
//	<!-- begin conformance: written by make conformance -->
//	...
//	<!-- end conformance -->
package section

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Write replaces the content of a section in the file at path with text, between
// empty lines. The file must have the section.
func Write(path, name string, text []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	updated, err := Replace(string(page), name, "\n"+string(bytes.TrimSpace(text))+"\n\n")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(updated), 0o644)
}

// Replace returns page with the content of a section replaced.
func Replace(page, name, content string) (string, error) {
	before, _, after, err := cut(page, name)
	if err != nil {
		return "", err
	}
	return before + content + after, nil
}

// Content returns the content of a section of page.
func Content(page, name string) (string, error) {
	_, content, _, err := cut(page, name)
	return content, err
}

// cut cuts page after the first comment of a section and before the second.
func cut(page, name string) (before, content, after string, err error) {
	begin, end := "<!-- begin "+name+":", "<!-- end "+name+" -->"
	head, rest, hasBegin := strings.Cut(page, begin)
	comment, rest, hasLine := strings.Cut(rest, "-->\n")
	content, tail, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasLine || !hasEnd {
		return "", "", "", fmt.Errorf("there is no section %s", name)
	}
	return head + begin + comment + "-->\n", content, end + tail, nil
}
