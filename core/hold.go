package core

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
)

// hold reads the body of a JSON answer to its end before any of it is handed
// on, where the platform wants that. A body that is longer than is to be held
// goes on as it comes. The whole must come within the idle time-out.
func (x *exchange) hold(cancel context.CancelCauseFunc, res *http.Response) error {
	if x.holdJSON <= 0 || res.ContentLength > x.holdJSON || !isJSON(res.Header) {
		return nil
	}
	defer startIdle(x.idleTimeout, cancel).Stop()
	kept := new(bytes.Buffer)
	_, err := io.CopyN(kept, res.Body, x.holdJSON)
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

// isJSON reports whether h begins a JSON answer, compressed or not.
func isJSON(h http.Header) bool {
	contentType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return contentType == "application/json" || strings.HasSuffix(contentType, "+json")
}
