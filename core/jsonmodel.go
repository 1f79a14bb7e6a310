package core

import "encoding/json"

const (
	// maxModelText is the max length of a model's name as it is sent, with escapes.
	maxModelText = 1 << 10
	// maxJSONDepth is that of encoding/json.
	maxJSONDepth = 10_000
)

// A jsonModel finds the member model of a JSON object that is read in pieces. It takes
// valid JSON only: what is invalid, others could read differently. Of the object it
// keeps a name or a model at a time.
type jsonModel struct {
	permits func(model string) bool

	step     func(s *jsonModel, c byte) bool // takes the next byte, and reports whether it may follow
	inString bool                            // step is text
	open     []byte                          // objects and arrays that have not ended: { or [
	literal  string                          // what must follow in true, false or null
	hex      int                             // digits that must follow in \u1234

	isName  bool // the string is the name of a member
	isModel bool // the value is the model
	keeping bool // the string is one of both, in the outermost object
	kept    []byte
	named   bool  // there was a model, which is permitted
	err     error // why a byte may not follow; nil: no JSON
}

func newJSONModel(permits func(model string) bool) *jsonModel {
	return &jsonModel{permits: permits, step: (*jsonModel).begin}
}

func (s *jsonModel) feed(p []byte) error {
	for i := 0; i < len(p); i++ {
		if s.inString { // as most of a long body is
			from := i
			for i < len(p) && p[i] != '"' && p[i] != '\\' && p[i] >= ' ' {
				i++
			}
			s.keep(p[from:i]...)
			if i == len(p) {
				break
			}
		}
		if !s.step(s, p[i]) {
			if s.err == nil {
				s.err = errModelUnknown
			}
			return s.err
		}
	}
	return nil
}

func (s *jsonModel) whole() bool { return s.named && len(s.open) == 0 }

// isSpace reports whether c is white space between JSON's tokens.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// begin takes what is in front of the object.
func (s *jsonModel) begin(c byte) bool {
	return isSpace(c) || c == '{' && s.push(c)
}

// push begins an object or array.
func (s *jsonModel) push(c byte) bool {
	s.open = append(s.open, c)
	if s.step = (*jsonModel).firstElement; c == '{' {
		s.step = (*jsonModel).firstName
	}
	return len(s.open) <= maxJSONDepth
}

// pop ends the object or array that began with c. The outermost one must have named
// the model by then.
func (s *jsonModel) pop(c byte) bool {
	last := len(s.open) - 1
	if s.open[last] != c {
		return false
	}
	s.open = s.open[:last]
	if s.step = (*jsonModel).after; last == 0 {
		s.step = (*jsonModel).end
		return s.named
	}
	return true
}

// end takes what follows the outermost object.
func (s *jsonModel) end(c byte) bool { return isSpace(c) }

func (s *jsonModel) firstName(c byte) bool {
	return c == '}' && s.pop('{') || s.name(c)
}

func (s *jsonModel) name(c byte) bool {
	return isSpace(c) || c == '"' && s.beginString(true)
}

func (s *jsonModel) colon(c byte) bool {
	if c == ':' {
		s.step = (*jsonModel).value
		return true
	}
	return isSpace(c)
}

func (s *jsonModel) firstElement(c byte) bool {
	return c == ']' && s.pop('[') || s.value(c)
}

func (s *jsonModel) value(c byte) bool {
	switch {
	case isSpace(c):
		return true
	case c == '"':
		return s.beginString(false)
	case s.isModel && len(s.open) == 1:
		return false // no string
	case c == '{' || c == '[':
		return s.push(c)
	case c == '-':
		s.step = (*jsonModel).minus
	case c == '0':
		s.step = (*jsonModel).integer
	case '1' <= c && c <= '9':
		s.step = (*jsonModel).digits
	case c == 't':
		s.step, s.literal = (*jsonModel).rest, "rue"
	case c == 'f':
		s.step, s.literal = (*jsonModel).rest, "alse"
	case c == 'n':
		s.step, s.literal = (*jsonModel).rest, "ull"
	default:
		return false
	}
	return true
}

// after takes what follows a value in an object or array.
func (s *jsonModel) after(c byte) bool {
	switch c {
	case ',':
		if s.step = (*jsonModel).value; s.open[len(s.open)-1] == '{' {
			s.step = (*jsonModel).name
		}
		return true
	case '}':
		return s.pop('{')
	case ']':
		return s.pop('[')
	}
	return isSpace(c)
}

// rest takes what follows the first letter of true, false and null.
func (s *jsonModel) rest(c byte) bool {
	if c != s.literal[0] {
		return false
	}
	if s.literal = s.literal[1:]; s.literal == "" {
		s.step = (*jsonModel).after
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// The steps of a number, by what was before.

func (s *jsonModel) minus(c byte) bool {
	if s.step = (*jsonModel).digits; c == '0' {
		s.step = (*jsonModel).integer
	}
	return isDigit(c)
}

func (s *jsonModel) digits(c byte) bool { return isDigit(c) || s.integer(c) }

func (s *jsonModel) integer(c byte) bool {
	if c == '.' {
		s.step = (*jsonModel).point
		return true
	}
	return s.number(c)
}

func (s *jsonModel) point(c byte) bool {
	s.step = (*jsonModel).fraction
	return isDigit(c)
}

func (s *jsonModel) fraction(c byte) bool { return isDigit(c) || s.number(c) }

func (s *jsonModel) number(c byte) bool {
	if c == 'e' || c == 'E' {
		s.step = (*jsonModel).exponent
		return true
	}
	return s.ended(c)
}

func (s *jsonModel) exponent(c byte) bool {
	if c == '+' || c == '-' {
		s.step = (*jsonModel).sign
		return true
	}
	return s.sign(c)
}

func (s *jsonModel) sign(c byte) bool {
	s.step = (*jsonModel).power
	return isDigit(c)
}

func (s *jsonModel) power(c byte) bool { return isDigit(c) || s.ended(c) }

func (s *jsonModel) ended(c byte) bool {
	s.step = (*jsonModel).after
	return s.after(c)
}

// beginString begins a string, of which the opening quote was read.
func (s *jsonModel) beginString(isName bool) bool {
	s.step, s.inString, s.isName = (*jsonModel).text, true, isName
	s.keeping, s.kept = len(s.open) == 1 && (isName || s.isModel), s.kept[:0]
	return true
}

// keep adds to the string that is kept, one byte more than is needed at most.
func (s *jsonModel) keep(p ...byte) {
	if s.keeping {
		s.kept = append(s.kept, p[:min(len(p), maxModelText+1-len(s.kept))]...)
	}
}

func (s *jsonModel) text(c byte) bool {
	switch {
	case c == '"':
		s.inString = false
		return s.endString()
	case c == '\\':
		s.inString, s.step = false, (*jsonModel).escape
		s.keep(c)
		return true
	}
	return c >= ' '
}

func (s *jsonModel) escape(c byte) bool {
	s.keep(c)
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.inString, s.step = true, (*jsonModel).text
		return true
	case 'u':
		s.hex, s.step = 4, (*jsonModel).hexDigit
		return true
	}
	return false
}

func (s *jsonModel) hexDigit(c byte) bool {
	s.keep(c)
	if s.hex--; s.hex == 0 {
		s.inString, s.step = true, (*jsonModel).text
	}
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// endString looks at the string that has ended, if it was kept.
func (s *jsonModel) endString() bool {
	if s.step = (*jsonModel).after; s.isName {
		s.step = (*jsonModel).colon
	}
	if !s.keeping {
		return true
	}
	var text string // "" if it is too long
	if len(s.kept) <= maxModelText {
		_ = json.Unmarshal([]byte(`"`+string(s.kept)+`"`), &text) // it is valid
	}
	if s.isName {
		s.isModel, s.err = isModelMember(text, s.named)
		return s.err == nil
	}
	s.isModel = false
	if s.named = s.permits(text); !s.named {
		s.err = errModelNotAllowed
	}
	return s.named
}
