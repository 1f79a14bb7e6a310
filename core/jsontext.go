package core

import "bytes"

// A jsonText is read as JSON without being decoded, by which the beginning or the
// end of a text can be read too. It takes valid JSON for what it is; of anything
// else it makes something, within its bounds.
type jsonText struct {
	b []byte
	i int // what is next
}

// space skips white space.
func (s *jsonText) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next skips one of two bytes, with white space around it, or everything if the next
// byte is another.
func (s *jsonText) next(one, other byte) bool {
	s.space()
	if s.i < len(s.b) && (s.b[s.i] == one || s.b[s.i] == other) {
		s.i++
		s.space()
		return true
	}
	s.i = len(s.b)
	return false
}

// name returns the name of a member, without quotes and as it is escaped, and skips
// it with its colon. It returns nil if there is none.
func (s *jsonText) name() []byte {
	from := s.i
	if from >= len(s.b) || s.b[from] != '"' || !s.skip() {
		return nil
	}
	name := s.b[from+1 : s.i-1]
	if !s.next(':', ':') {
		return nil
	}
	return name
}

// skip skips a value and reports whether it was complete.
func (s *jsonText) skip() bool {
	for depth := 0; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			if !s.skipString() {
				return false
			}
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			depth--
			s.i++
			if depth < 0 {
				return false
			}
		default:
			if depth > 0 {
				s.i++
				continue
			}
			return s.skipScalar()
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// skipString skips a string, to whose opening quote i points.
func (s *jsonText) skipString() bool {
	for i := s.i + 1; ; {
		end := bytes.IndexByte(s.b[i:], '"')
		if end < 0 {
			s.i = len(s.b)
			return false
		}
		end += i
		i = end + 1
		slashes := 0
		for s.b[end-1-slashes] == '\\' { // the opening quote ends it
			slashes++
		}
		if slashes%2 == 0 {
			s.i = i
			return true
		}
	}
}

// skipScalar skips a number or a literal, of which there is an end only if something
// follows.
func (s *jsonText) skipScalar() bool {
	from := s.i
	for ; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case ',', '}', ']', ':', ' ', '\t', '\n', '\r', '"', '{', '[':
			return s.i > from
		}
	}
	return false
}

// members calls f with each member of an object.
func (s *jsonText) members(f func(name, value []byte)) {
	for s.next('{', '{'); s.i < len(s.b); s.next(',', ',') {
		name := s.name()
		from := s.i
		if name == nil || !s.skip() {
			return
		}
		f(name, s.b[from:s.i])
	}
}

// maxLookAlikes limits the members of the same name that are looked at.
const maxLookAlikes = 8

// lastMember returns the value of the last member of a quoted name, in a JSON text of
// which the beginning may be cut: of the outermost object for depth 1, of an object
// in it for depth 2. It returns nil if there is none.
//
// A quote in a string is escaped, so what looks like a name is one, wherever the text
// begins; what follows its value shows how deep it is.
func lastMember(text []byte, name string, depth int) []byte {
	end := len(text)
	for range maxLookAlikes {
		at := bytes.LastIndex(text[:end], []byte(name))
		if at < 0 {
			return nil
		}
		end = at
		before := bytes.TrimRight(text[:at], " \t\r\n")
		if len(before) == 0 || before[len(before)-1] != ',' && before[len(before)-1] != '{' {
			continue
		}
		s := &jsonText{b: text, i: at}
		if s.name() == nil {
			continue
		}
		from := s.i
		if !s.skip() {
			continue
		}
		value := text[from:s.i]
		if s.closes(depth) {
			return value
		}
	}
	return nil
}

// closes reports whether what follows a member's value is the rest of that many
// objects.
func (s *jsonText) closes(depth int) bool {
	for ; depth > 0; depth-- {
		for s.space(); s.i < len(s.b) && s.b[s.i] == ','; s.space() {
			s.next(',', ',')
			if s.name() == nil || !s.skip() {
				return false
			}
		}
		if s.i >= len(s.b) || s.b[s.i] != '}' {
			return false
		}
		s.i++
	}
	s.space()
	return s.i == len(s.b)
}
