package failover

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/relay/core/internal/replay"
)

// A region responds early, at any offset of a body whose client goes on sending.
// The next region gets the body from its first byte to its last, or nothing at
// all, and no strike. `go test -count=25 -run EarlyAnswerAnywhere` makes 10,000
// runs.
func TestEarlyResponseAnywhere(t *testing.T) {
	runs := 400
	if testing.Short() {
		runs = 100
	}
	const most = 2 << 20
	numbered := make([]byte, 0, most+4)
	for len(numbered) < most {
		numbered = binary.BigEndian.AppendUint32(numbered, uint32(len(numbered)))
	}
	var after, size atomic.Int64 // bytes of the body that the first region reads, and that there are
	var src atomic.Pointer[dripping]
	first := scripted(t, func(conn *net.TCPConn, _ int) {
		wire(conn, func(req *http.Request, _ *bufio.Reader) {
			_, _ = io.CopyN(io.Discard, req.Body, after.Load())
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, req.Body)
		})
	})
	second := scripted(t, func(conn *net.TCPConn, _ int) {
		wire(conn, func(req *http.Request, _ *bufio.Reader) {
			src.Load().goOn()
			got, err := io.ReadAll(req.Body)
			if want := numbered[:size.Load()]; !bytes.Equal(got, want) || err != nil {
				t.Errorf("after %d of %d bytes, length %d: the second region got %d bytes, not those of the "+
					"request: %v",
					after.Load(), len(want), req.ContentLength, len(got), err)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		})
	})
	answered, refused := 0, 0
	for run := range runs {
		n := 1 + rand.IntN(200<<10)
		switch run % 10 {
		case 0, 1:
			n = replay.MaxBytes + 4042
		case 2, 3:
			n = most
		}
		size.Store(int64(n))
		switch run % 5 {
		case 0:
			after.Store(int64(min(rand.IntN(8000)+replay.MaxBytes-4000, n))) // about the limit
		case 1, 2:
			after.Store(int64(min(run/5, n))) // each of the first, one by one
		default:
			after.Store(int64(rand.IntN(n + 1)))
		}
		p := openPool(t, Options{Serverless: true}, first, second)
		for _, u := range p.list() {
			u.sizes.set(most)
			u.sizes.accept(most) // or they would be asked whether they want the body
		}
		d := &dripping{b: numbered[:n], free: int(after.Load()), wait: make(chan struct{})}
		src.Store(d)
		body := io.NopCloser(d)
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/x", body)
		req.ContentLength = -1
		if rand.IntN(2) == 0 {
			if req.ContentLength = int64(n); n <= (32 << 10) {
				d.goOn() // it is read whole before anything is written
			}
		}
		if run%4 < 2 { // as core sends it
			kept := replay.New(body, req.ContentLength)
			req.Body, req.GetBody = kept.Open(), kept.Reopen
			t.Cleanup(kept.Discard) // as core does when it is done with a request
		}
		res, sent, err := p.Send(req, Route{})
		d.goOn()
		switch e, ok := errors.AsType[*Error](err); {
		case err == nil && res.StatusCode == 200:
			answered++
			res.Body.Close()
		case err == nil && res.StatusCode == 503: // the first region's own word
			refused++
			res.Body.Close()
		case ok && len(e.Failures) == 1:
			refused++
		default:
			t.Fatalf("run %d, %d of %d bytes: %v %v %+v", run, after.Load(), n, res, err, sent)
		}
		if down, _ := p.list()[1].health.down(); down || p.list()[1].health.lastClass() != "" {
			t.Fatalf("run %d: the second region has a strike: %s", run, p.list()[1].health.lastClass())
		}
		p.Close()
	}
	if answered == 0 || refused == 0 {
		t.Errorf("%d answered, %d refused: one of them was not tried", answered, refused)
	}
	t.Logf("%d runs: the second region got %d whole, %d could not be sent again", runs, answered, refused)
}

// A dripping reader gives pieces of any size. Once it has given so many bytes,
// it waits until it may go on.
type dripping struct {
	b    []byte
	free int // bytes that it gives before it waits
	wait chan struct{}
	once sync.Once
}

func (d *dripping) goOn() { d.once.Do(func() { close(d.wait) }) }

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	if d.free <= 0 {
		<-d.wait
	}
	n := copy(p, d.b[:min(1+rand.IntN(40<<10), len(d.b))])
	d.b, d.free = d.b[n:], d.free-n
	return n, nil
}

// A body that does not have its length is no region's fault.
func TestBodyOfAnotherLength(t *testing.T) {
	for _, length := range []int64{3, 7, (32 << 10) + 100} {
		for _, again := range []bool{false, true} {
			region := func(conn *net.TCPConn, _ int) {
				wire(conn, func(req *http.Request, _ *bufio.Reader) {
					if n, err := io.Copy(io.Discard, req.Body); err == nil && n == length {
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				})
			}
			p := openPool(t, Options{Serverless: true}, scripted(t, region), scripted(t, region))
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/x",
				io.NopCloser(strings.NewReader("hello")))
			req.ContentLength = length
			if again {
				req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }
			}
			res, _, err := p.Send(req, Route{})
			switch {
			case length == 3 && (err != nil || res.StatusCode != 200): // as much as it says
				t.Errorf("length %d: %v", length, err)
			case length > 5 && !errors.Is(err, errBodyTooShort):
				t.Errorf("length %d: %v", length, err)
			}
			for _, u := range p.list() {
				if class := u.health.lastClass(); class != "" {
					t.Errorf("length %d: %s has a strike: %s", length, u.name, class)
				}
			}
		}
	}
}
