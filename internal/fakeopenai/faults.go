package fakeopenai

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Fault is a parsed list of directives. The zero Fault is a faultless response.
type Fault struct {
	events     int // of text in a stream; if zero, defaultEvents
	gap, delay time.Duration
	bytes      *int // of a body; if nil, as the endpoint likes
	bigEvent   int

	before string // what happens instead of a response: hang, reset-before, …
	head   string // how the header is malformed: two-cl, obs-fold, …
	stop   string // how the response breaks off: cut, reset, silence, …
	after  int    // how many events stop lets pass

	status        string // of an error instead of the response
	early         string // like status, without reading the request's body
	regionRefused bool

	informational int
	header        http.Header
	headerKB      int
	encoding      string
	chunked       bool // even if the length is known
	trailers      bool
	comments      bool
	noDone        bool
	byteWrites    bool
}

const defaultEvents = 8

// ParseFault parses directives, separated by spaces or commas: the language of
// the request header Fake-Fault. Of two that exclude each other the later
// counts. An unknown directive is an error that names the known ones.
//
// The table of directives stands in the comment of the package.
func ParseFault(s string) (Fault, error) {
	var f Fault
	separators := func(r rune) bool { return r == ',' || unicode.IsSpace(r) }
	for field := range strings.FieldsFuncSeq(s, separators) {
		name, value, hasValue := strings.Cut(field, "=")
		d, ok := findDirective(name)
		if !ok {
			return Fault{}, fmt.Errorf("unknown directive %q; known are %s", name, strings.Join(directiveNames(), " "))
		}
		if !hasValue {
			value = d.missing
		}
		if hasValue && d.value == "" || !hasValue && d.value != "" && d.missing == "" {
			return Fault{}, fmt.Errorf("%s: want %s", name, d)
		}
		if err := d.set(&f, value); err != nil {
			return Fault{}, fmt.Errorf("%s: %w, want %s", name, err, d)
		}
	}
	return f, nil
}

// Directives returns how each directive is written, for a usage text.
func Directives() []string {
	var list []string
	for _, d := range directives {
		list = append(list, d.String())
	}
	return list
}

// directive is a word of the fault language.
type directive struct {
	name    string
	value   string // what stands after "=", as one would say it; if empty, nothing may
	missing string // what a left out value means; if empty, it must be there
	set     func(f *Fault, value string) error
}

// String returns the directive as one writes it: "cut=k", "bad-chunk[=k]".
func (d directive) String() string {
	switch {
	case d.value == "":
		return d.name
	case d.missing != "":
		return d.name + "[=" + d.value + "]"
	}
	return d.name + "=" + d.value
}

var directives = []directive{
	{"events", "N", "", number(func(f *Fault, n int) { f.events = n })},
	{"gap", "100ms", "", duration(func(f *Fault, d time.Duration) { f.gap = d })},
	{"delay", "2s", "", duration(func(f *Fault, d time.Duration) { f.delay = d })},
	{"bytes", "N", "", number(func(f *Fault, n int) { f.bytes = &n })},
	{"big-event", "N", "", number(func(f *Fault, n int) { f.bigEvent = n })},

	{"hang", "", "", before("hang")},
	{"reset-before", "", "", before("reset-before")},
	{"close-before", "", "", before("close-before")},
	{"101", "", "", before("101")},

	{"status", "429", "", status(func(f *Fault, s string) { f.status = s })},
	{"early", "413", "", status(func(f *Fault, s string) { f.early = s })},
	{"region-refused", "", "", flag(func(f *Fault) { f.regionRefused = true })},
	{"redirect", "URL", "", redirect},
	{"retry-after", "1", "", header("Retry-After")},
	{"retry-after-ms", "20", "", header("Retry-After-Ms")},
	{"should-retry", "false", "", header("X-Should-Retry")},
	{"header", "Name:value", "", anyHeader},
	{"header-kb", "300", "", number(func(f *Fault, n int) { f.headerKB = n })},
	{"1xx", "100", "", number(func(f *Fault, n int) { f.informational = n })},

	{"cut", "k", "", stop("cut")},
	{"cut-line", "k", "", stop("cut-line")},
	{"cut-utf8", "k", "", stop("cut-utf8")},
	{"reset", "k", "0", stop("reset")},
	{"silence", "k", "", stop("silence")},
	{"half-close", "k", "", stop("half-close")},
	{"bad-chunk", "k", "3", chunkStop("bad-chunk")},
	{"no-last-chunk", "", strconv.Itoa(math.MaxInt), chunkStop("cut")},
	{"no-done", "", "", flag(func(f *Fault) { f.noDone = true })},

	{"gzip", "", "", flag(func(f *Fault) { f.encoding = "gzip" })},
	{"br", "", "", flag(func(f *Fault) { f.encoding = "br" })},
	{"trailers", "", "", flag(func(f *Fault) { f.trailers, f.chunked = true, true })},
	{"comments", "", "", flag(func(f *Fault) { f.comments = true })},
	{"byte-writes", "", "", flag(func(f *Fault) { f.byteWrites = true })},

	{"short-cl", "", "", malformed("short-cl")},
	{"long-cl", "", "", malformed("long-cl")},
	{"two-cl", "", "", malformed("two-cl")},
	{"cl-te", "", "", malformed("cl-te")},
	{"close-delimited", "", "", malformed("close-delimited")},
	{"header-nul", "", "", malformed("header-nul")},
	{"obs-fold", "", "", malformed("obs-fold")},
	{"bare-lf", "", "", malformed("bare-lf")},
}

func findDirective(name string) (directive, bool) {
	for _, d := range directives {
		if d.name == name {
			return d, true
		}
	}
	return directive{}, false
}

func directiveNames() []string {
	var names []string
	for _, d := range directives {
		names = append(names, d.name)
	}
	return names
}

func flag(set func(*Fault)) func(*Fault, string) error {
	return func(f *Fault, _ string) error {
		set(f)
		return nil
	}
}

func before(what string) func(*Fault, string) error {
	return flag(func(f *Fault) { f.before = what })
}

func malformed(what string) func(*Fault, string) error {
	return flag(func(f *Fault) { f.head = what })
}

func number(set func(*Fault, int)) func(*Fault, string) error {
	return func(f *Fault, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no count", value)
		}
		set(f, n)
		return nil
	}
}

func stop(how string) func(*Fault, string) error {
	return number(func(f *Fault, n int) { f.stop, f.after = how, n })
}

// chunkStop is stop for what only a chunked response can suffer.
func chunkStop(how string) func(*Fault, string) error {
	return number(func(f *Fault, n int) { f.stop, f.after, f.chunked = how, n, true })
}

func duration(set func(*Fault, time.Duration)) func(*Fault, string) error {
	return func(f *Fault, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration", value)
		}
		set(f, d)
		return nil
	}
}

// status accepts what no server should send, such as 000 and 1000.
func status(set func(*Fault, string)) func(*Fault, string) error {
	return func(f *Fault, value string) error {
		if _, err := strconv.ParseUint(value, 10, 16); err != nil {
			return fmt.Errorf("%q is no status", value)
		}
		set(f, value)
		return nil
	}
}

func header(name string) func(*Fault, string) error {
	return func(f *Fault, value string) error {
		if f.header == nil {
			f.header = make(http.Header)
		}
		f.header.Set(name, value)
		return nil
	}
}

func anyHeader(f *Fault, value string) error {
	name, value, ok := strings.Cut(value, ":")
	if !ok || name == "" {
		return fmt.Errorf("%q is no header line", value)
	}
	return header(name)(f, value)
}

func redirect(f *Fault, url string) error {
	f.status = strconv.Itoa(http.StatusFound)
	return header("Location")(f, url)
}
