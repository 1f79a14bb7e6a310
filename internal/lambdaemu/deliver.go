package lambdaemu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// buffer answers with the whole of a.
func (s *Server) buffer(w http.ResponseWriter, a *Answer) {
	payload, err := io.ReadAll(a.Body)
	if err != nil {
		s.refuse(w, err)
		return
	}
	r, err := s.front.read(payload)
	if err == nil {
		err = s.claimHeaders(r, "application/json")
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	r.setLength()
	r.writeTo(w)
}

// claimHeaders gives the service the headers that are its own.
func (s *Server) claimHeaders(r *reply, contentType string) error {
	r.setContentType(contentType)
	if s.front.remaps {
		return r.remap()
	}
	r.dropOwn()
	return nil
}

// stream answers with a while it arrives. It reads all of it even if the
// client has gone: Lambda lets the function go on.
func (s *Server) stream(w http.ResponseWriter, a *Answer) {
	body := bufio.NewReaderSize(a.Body, 32<<10)
	defer func() { _, _ = io.Copy(io.Discard, body) }()
	r, err := s.head(a, body)
	if err == nil {
		err = s.claimHeaders(r, "application/octet-stream")
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	r.writeTo(w)
	_ = http.NewResponseController(w).Flush()
	if err := forward(w, body); err != nil {
		s.logs.printf("stream of %s: %v", a.RequestID, err)
		if s.function.Cut == CutBroken {
			panic(http.ErrAbortHandler)
		}
	}
}

// head reads the prelude. An answer of another content type has none and is
// all body, whatever the function meant by it.
func (s *Server) head(a *Answer, body *bufio.Reader) (*reply, error) {
	if a.ContentType != integrationResponse {
		r := &reply{status: http.StatusOK, header: http.Header{}}
		r.setContentType(a.ContentType)
		return r, nil
	}
	prelude, err := readPrelude(body)
	if err != nil {
		return nil, err
	}
	parsed, r, err := parseReply(prelude)
	if err != nil {
		return nil, err
	}
	r.body = nil
	r.setSingle(parsed)
	if s.front.multiValue {
		r.setMulti(parsed)
	}
	r.setCookies(parsed)
	return r, nil
}

// forward sends what it reads at once. A client that has gone is no error.
func forward(w http.ResponseWriter, body io.Reader) error {
	rc := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, gone := w.Write(buf[:n]); gone == nil {
				_ = rc.Flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// delimiter ends a prelude, which is JSON and therefore has no NUL.
var delimiter = bytes.Repeat([]byte{0}, 8)

// maxPrelude is how long a prelude may be.
const maxPrelude = 1 << 20

// readPrelude returns what stands before the delimiter, however it arrives,
// and leaves what stands behind it.
func readPrelude(body *bufio.Reader) ([]byte, error) {
	var prelude []byte
	for !bytes.HasSuffix(prelude, delimiter) {
		b, err := body.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends within the prelude", errMalformed)
		}
		if err != nil {
			return nil, err
		}
		if prelude = append(prelude, b); len(prelude) > maxPrelude {
			return nil, fmt.Errorf("%w: a prelude of more than %d bytes", errMalformed, maxPrelude)
		}
	}
	return bytes.TrimSuffix(prelude, delimiter), nil
}
