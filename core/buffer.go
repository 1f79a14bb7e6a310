package core

import (
	"bytes"
	"io"
	"net/http"
)

// maxHeld is how much of an answer is held back.
const maxHeld = 1 << 20

// bufferResponse reads the body of an answer to its end before any of it is handed on,
// where the platform hides cuts, and JSON where there are several upstreams: of
// a region that goes between the header of its answer and the body, official
// SDKs make an error, while they ask again upon a 502. A body that is longer
// than is to be held goes on as it comes. The whole must come within the idle
// time-out.
func (x *exchange) bufferResponse() error {
	res := x.res
	if !x.hidesCuts && !(x.pool.Several() && isJSON(res)) || !isHeld(res) {
		return nil
	}
	defer startIdle(x.idleTimeout, x.cancel).Stop()
	kept := new(bytes.Buffer)
	_, err := io.CopyN(kept, res.Body, maxHeld)
	switch err {
	case nil:
		res.Body = heldBody{io.MultiReader(kept, res.Body), res.Body}
	case io.EOF:
		res.Body = heldBody{kept, res.Body}
	default:
		return err
	}
	return nil
}

// A heldBody is a body some of which was read already.
type heldBody struct {
	io.Reader
	io.Closer
}

// isHeld reports whether an answer may be waited for: event streams may not.
func isHeld(res *http.Response) bool {
	return mediaType(res.Header) != "text/event-stream" && res.ContentLength <= maxHeld
}

// isJSON reports whether an answer comes as a whole, unlike sound and files.
func isJSON(res *http.Response) bool { return mediaType(res.Header) == "application/json" }
