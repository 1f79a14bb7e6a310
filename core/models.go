package core

import (
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// models is the stage that lets tokens with a list of models request those only. It
// comes after limits, since it may have to read the body. Requests of other tokens pass
// as they are.
type models struct{}

func (models) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if g := recordOf(req).grant; g != nil && len(g.Models) > 0 {
			if err := g.checkModel(req); err != nil {
				writeError(w, req, err)
				return
			}
		}
		next.ServeHTTP(w, req)
	})
}

// permits reports whether the token may use a model.
func (g *grant) permits(model string) bool {
	return slices.ContainsFunc(g.Models, func(m string) bool {
		prefix, wildcard := strings.CutSuffix(m, "*")
		return model == m && !wildcard || wildcard && strings.HasPrefix(model, prefix)
	})
}

// checkModel returns why the token does not permit a request's model, or nil. It may
// replace req.Body by one that returns such an error later: a body is checked as it is
// read, and its end passes only once its model is known.
func (g *grant) checkModel(req *http.Request) error {
	named, err := g.checkQuery(req.URL.RawQuery)
	switch {
	case err != nil:
		return err
	case isWebSocket(req):
		// Elsewhere than in Realtime, messages name the model.
		path, ok := strings.CutSuffix(req.URL.Path, "/realtime")
		if !named || !ok || elsewhere.MatchString(path) {
			return errModelUnknown
		}
		return nil
	case runsNoModel(req):
		return nil
	case elsewhere.MatchString(req.URL.Path) || !hasBody(req):
		return errModelUnknown
	}
	finder := g.finder(req.Header)
	if finder == nil {
		return errModelUnknown
	}
	n := req.ContentLength
	body := &modelBody{ReadCloser: req.Body, finder: finder, left: n, sized: n >= 0}
	req.Body = body
	return body.readAhead()
}

// checkQuery reports whether a query names a model, and returns an error unless it is
// one that the token permits, named once.
func (g *grant) checkQuery(query string) (named bool, err error) {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		is, err := isModelMember(percentDecoded(name), named)
		if err != nil {
			return false, err
		}
		if slices.Contains(otherModels, strings.ToLower(percentDecoded(name))) {
			return false, errModelUnknown
		}
		if is {
			if named = true; !g.permits(percentDecoded(value)) {
				return false, errModelNotAllowed
			}
		}
	}
	return named, nil
}

// otherModels are the members of a query by which Azure chooses the model.
var otherModels = []string{"deployment", "deployment_id", "engine"}

// isModelMember reports whether a member of a JSON object, form or query names the
// model. It returns an error if some servers would read it so and others would not, or
// if there was one already, as they differ in which counts.
func isModelMember(name string, before bool) (bool, error) {
	plain := strings.ToLower(strings.TrimLeft(name, " \t\r\n"))
	if i := strings.IndexAny(plain, " \t\r\n["); i >= 0 {
		plain = plain[:i]
	}
	switch {
	case name == "model" && !before:
		return true, nil
	case plain == "model" || plain == "models": // the latter are alternatives, at some APIs
		return false, errModelUnknown
	}
	return false, nil
}

// runsNoModel reports whether a request needs no model: it reads, deletes, cancels or
// stores something.
func runsNoModel(req *http.Request) bool {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return storing.MatchString(req.URL.Path)
	}
	return true
}

var (
	storing = regexp.MustCompile(`^(/openai)?/v1/((files|uploads|conversations)(/|$)|[a-z_]+/.+/cancel$)`)

	// elsewhere are the paths of requests whose model something else names than the
	// member model: a file, a stored object, a session, or the path itself.
	elsewhere = regexp.MustCompile(`(?i)/(batches|evals|graders|realtime|chatkit|remix|` +
		`deployments|engines|models)(/|$)`)
)

// A modelFinder finds the model in a body, of which it gets one piece after the other.
type modelFinder interface {
	// feed takes the next piece. It returns an error if the piece must not pass.
	feed(p []byte) error

	// whole reports whether the body is complete and its model permitted.
	whole() bool
}

// finder returns the finder for a body with that header, or nil if there is none.
func (g *grant) finder(h http.Header) modelFinder {
	// Servers differ in what backslashes and continued parameters (RFC 2231) mean.
	if isEncoded(h) || len(h["Content-Type"]) != 1 || strings.ContainsAny(h["Content-Type"][0], `\*`) {
		return nil
	}
	kind, params, err := mime.ParseMediaType(h["Content-Type"][0])
	if charset := strings.ToLower(params["charset"]); err != nil || charset != "" && charset != "utf-8" {
		return nil
	}
	switch {
	case kind == "application/json":
		return newJSONModel(g.permits)
	case kind == "multipart/form-data" && boundaryForm.MatchString(params["boundary"]):
		return &formModel{permits: g.permits, boundary: "--" + params["boundary"]}
	}
	return nil
}

var boundaryForm = regexp.MustCompile(`^[0-9A-Za-z'()+_,./:=?-]{1,70}$`)

// maxAhead is how much of a body is read before any of it is forwarded.
const maxAhead = 64 << 10

// A modelBody is a request's body that fails rather than return the bytes by which its
// model turns out not to be permitted, or its end if the model is not known by then.
// An upstream cannot process what it has got until then: it is incomplete.
type modelBody struct {
	io.ReadCloser
	finder modelFinder
	left   int64 // until the end, if sized
	sized  bool
	ahead  []byte // read, but not returned
	err    error  // what follows
}

// Read returns what has been read ahead, then the rest.
func (b *modelBody) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.read(p)
}

// read reads the next bytes and checks them.
func (b *modelBody) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if refused := b.finder.feed(p[:n]); refused != nil {
		n, err = 0, refused
	} else if (err == io.EOF || b.atEnd()) && !b.finder.whole() {
		n, err = 0, errModelUnknown
	}
	b.err = err
	return n, err
}

// atEnd reports whether everything has been read.
func (b *modelBody) atEnd() bool { return b.sized && b.left <= 0 }

// readAhead reads the beginning of the body, so that nothing is sent of most requests
// that are refused. It returns the error with which the body has ended early.
func (b *modelBody) readAhead() error {
	for b.err == nil && !b.atEnd() && !b.finder.whole() && len(b.ahead) < maxAhead {
		b.ahead = slices.Grow(b.ahead, min(4<<10, maxAhead-len(b.ahead)))
		n, _ := b.read(b.ahead[len(b.ahead):min(cap(b.ahead), maxAhead)])
		b.ahead = b.ahead[:len(b.ahead)+n]
	}
	if b.err == io.EOF {
		return nil
	}
	return b.err
}
