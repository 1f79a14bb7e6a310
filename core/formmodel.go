package core

import (
	"bytes"
	"regexp"
	"strings"
)

// maxPartHeader is the max size of the header of a form's part.
const maxPartHeader = 4 << 10

// A formModel finds the field model of a multipart form that is read in pieces. It
// takes forms as clients write them only: of others, servers could see different parts.
type formModel struct {
	permits  func(model string) bool
	boundary string // with its hyphens in front

	buf     []byte // what has not been looked at
	content bool   // a part's content is next; else a boundary or a header
	begun   bool   // the first boundary is over
	ended   bool   // the last one is
	isModel bool   // the part is the model
	model   []byte
	named   bool
}

func (f *formModel) feed(p []byte) error {
	f.buf = append(f.buf, p...)
	for {
		next, err := f.next()
		if err != nil || !next {
			return err
		}
	}
}

func (f *formModel) whole() bool { return f.named && f.ended && len(f.buf) != 1 }

// next looks at the next thing in buf. It returns false if more of the body is needed.
func (f *formModel) next() (bool, error) {
	switch {
	case f.ended:
		if !strings.HasPrefix("\r\n", string(f.buf)) {
			return false, errModelUnknown
		}
		return false, nil
	case !f.begun:
		return f.first()
	case f.content:
		return f.untilBoundary()
	}
	return f.header()
}

// first takes the boundary with which the form must begin.
func (f *formModel) first() (bool, error) {
	want := f.boundary + "\r\n"
	if n := min(len(f.buf), len(want)); string(f.buf[:n]) != want[:n] {
		return false, errModelUnknown
	} else if n < len(want) {
		return false, nil
	}
	f.begun = true
	f.buf = f.buf[len(want):]
	return true, nil
}

// header takes the header of a part.
func (f *formModel) header() (bool, error) {
	end := bytes.Index(f.buf, []byte("\r\n\r\n"))
	switch {
	case end > maxPartHeader || end < 0 && len(f.buf) > maxPartHeader+3:
		return false, errModelUnknown
	case end < 0:
		return false, nil
	}
	is, err := f.isModelPart(string(f.buf[:end]))
	if err != nil {
		return false, err
	}
	f.isModel, f.content, f.buf = is, true, f.buf[end+4:]
	return true, nil
}

// untilBoundary takes a part's content and the boundary after it. The content must not
// contain the boundary, not even as part of a line.
func (f *formModel) untilBoundary() (bool, error) {
	const before, behind = 2, 2 // line breaks, or the hyphens of the last boundary
	at := bytes.Index(f.buf, []byte(f.boundary))
	if at < 0 {
		return false, f.skip(len(f.buf) - len(f.boundary) - before + 1)
	}
	if len(f.buf) < at+len(f.boundary)+behind {
		return false, nil
	}
	if at < before || string(f.buf[at-before:at]) != "\r\n" {
		return false, errModelUnknown
	}
	if err := f.skip(at - before); err != nil {
		return false, err
	}
	rest := f.buf[before+len(f.boundary):]
	f.content, f.ended, f.buf = false, string(rest[:behind]) == "--", rest[behind:]
	if !f.ended && string(rest[:behind]) != "\r\n" {
		return false, errModelUnknown
	}
	if err := f.endPart(); err != nil {
		return false, err
	}
	if f.ended && !f.named {
		return false, errModelUnknown
	}
	return true, nil
}

// skip takes n bytes of a part's content, if n is positive.
func (f *formModel) skip(n int) error {
	if n <= 0 {
		return nil
	}
	if f.isModel {
		if f.model = append(f.model, f.buf[:n]...); len(f.model) > maxModelText {
			return errModelUnknown
		}
	}
	f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	return nil
}

// endPart looks at the part that has ended, if it is the model.
func (f *formModel) endPart() error {
	if !f.isModel {
		return nil
	}
	if f.named = f.permits(string(f.model)); !f.named {
		return errModelNotAllowed
	}
	return nil
}

var (
	// A disposition is what follows form-data in a part's header, one parameter after
	// the other. Servers differ in how they read backslashes.
	disposition = regexp.MustCompile(`^;[ \t]*(name|filename|filename\*)=("[^"\\]*"|[A-Za-z0-9!#$&+.^_|~%'-]+)`)

	fieldName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]+$`)

	// textPart are the headers that the part with the model may have.
	textPart = regexp.MustCompile(`(?i)^(content-type: *text/plain(; *charset="?(utf-8|us-ascii)"?)?|` +
		`content-length: *[0-9]+|content-transfer-encoding: *(7bit|8bit|binary))$`)
)

// isModelPart reports whether the part with that header is the field model.
func (f *formModel) isModelPart(header string) (bool, error) {
	var name string
	var isFile bool
	var others []string
	for line := range strings.SplitSeq(header, "\r\n") {
		field, value, ok := strings.Cut(line, ":")
		if !ok || !plainField.MatchString(field) || strings.ContainsAny(value, "\r\n\x00") {
			return false, errModelUnknown
		}
		if !strings.EqualFold(field, "Content-Disposition") {
			others = append(others, line)
			continue
		}
		if name != "" {
			return false, errModelUnknown
		}
		if name, isFile = partName(strings.Trim(value, " \t")); name == "" {
			return false, errModelUnknown
		}
	}
	is, err := isModelMember(name, f.named)
	if name == "" || err != nil || is && isFile { // servers look for the model among the fields
		return false, errModelUnknown
	}
	for _, line := range others {
		if is && !textPart.MatchString(line) {
			return false, errModelUnknown
		}
	}
	return is, nil
}

var plainField = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// partName returns the name in a Content-Disposition, or "" if it is not in the form in
// which clients write it, and whether the part is a file.
func partName(value string) (name string, isFile bool) {
	rest, ok := strings.CutPrefix(value, "form-data")
	for ok && rest != "" {
		match := disposition.FindStringSubmatch(rest)
		if match == nil {
			return "", false
		}
		switch {
		case match[1] != "name":
			isFile = true
		case name != "":
			return "", false
		default:
			name = strings.Trim(match[2], `"`)
		}
		rest = rest[len(match[0]):]
	}
	if !ok || !fieldName.MatchString(name) {
		return "", false
	}
	return name, isFile
}
