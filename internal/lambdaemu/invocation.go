package lambdaemu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// What may become of an invocation, besides an answer and a *FunctionError.
var (
	ErrThrottled = errors.New("all environments are busy")
	ErrTimeout   = errors.New("the function timed out")
	ErrExited    = errors.New("the runtime exited")
	ErrInit      = errors.New("the runtime did not initialize")
	ErrTooLarge  = errors.New("the answer is larger than Lambda passes on")
	ErrTruncated = errors.New("the runtime broke off its answer")
)

// FunctionError is an error that the runtime reported, by POST .../error or by
// the trailers of a streamed answer.
type FunctionError struct {
	Type string // as in Lambda-Runtime-Function-Error-Type
	Body []byte // JSON, as the runtime wrote it
}

// Error implements error.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("the function reported %s", e.Type)
}

// Answer is what a function answered to one event.
type Answer struct {
	RequestID   string
	ContentType string // of the POST; it says whether a prelude stands before the body

	// Body is what the runtime posts. In mode ResponseStream it arrives while it
	// is read, and the runtime waits for the reader. It ends with an error if the
	// answer is not complete. It must be read to the end or closed; a closed one
	// does not stop the function, what it still says is discarded.
	Body io.ReadCloser
}

// phase is how far an invocation has come.
type phase int

const (
	running    phase = iota // the runtime has the event
	responding              // it is posting an answer
	over                    // the answer is there, or will never be
)

// invocation is one event on its way through a runtime. Its Runtime's lock
// guards phase, stream and timer.
type invocation struct {
	id      string
	trace   string
	payload []byte
	result  chan result // gets exactly one

	phase  phase
	stream *io.PipeWriter // of the answer, if it is streamed
	timer  *time.Timer    // ends at the deadline
}

// result is an Answer or an error.
type result struct {
	answer *Answer
	err    error
}

func newInvocation(id, trace string, payload []byte) *invocation {
	return &invocation{id: id, trace: trace, payload: payload, result: make(chan result, 1)}
}

// await returns the answer as soon as it begins. The end of ctx does not stop
// the function, since Lambda has no way to say that a client left.
func (inv *invocation) await(ctx context.Context) (*Answer, error) {
	select {
	case res := <-inv.result:
		return res.answer, res.err
	case <-ctx.Done():
		go func() {
			if res := <-inv.result; res.answer != nil {
				res.answer.Body.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// newRequestID returns a random UUID.
func newRequestID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTraceID returns what X-Ray calls a trace header.
func newTraceID() string {
	return fmt.Sprintf("Root=1-%08x-%s", time.Now().Unix(), randomHex(12))
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
