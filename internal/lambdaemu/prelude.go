package lambdaemu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

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
