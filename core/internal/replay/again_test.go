package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"

	"example.com/relay/core/internal/memory"
)

// numbered returns n bytes of which each four tell their place.
func numbered(n int) []byte {
	b := make([]byte, 0, n+4)
	for len(b) < n {
		b = binary.BigEndian.AppendUint32(b, uint32(len(b)))
	}
	return b[:n]
}

// difference returns where got leaves want, or "" if they are the same.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d of %d is wrong", i, len(want))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("got %d bytes, want %d", len(got), len(want))
	}
	return ""
}

// A body is sent again while its first reader waits for more of it. The second
// gets all or is refused, wherever that happens.
func TestReopenDuringARead(t *testing.T) {
	const piece = 32 << 10
	for _, test := range []struct {
		name    string
		length  int64
		size    int // of the body
		before  int // that were read
		pending int // size of the read that is under way
		comes   int // what it brings
		refused bool
	}{
		{"nothing read", -1, 42 + 5, 0, piece, 42, false},
		{"something read", -1, 100 << 10, 50 << 10, piece, piece, false},
		{"short of the limit", -1, MaxBytes, MaxBytes - 10, piece, 10, false},
		{"at the limit", -1, MaxBytes, MaxBytes, piece, 0, false},
		{"a byte over the limit", -1, MaxBytes + 1, MaxBytes, piece, 1, false}, // is kept, but no more
		{"two over the limit", -1, MaxBytes + 42, MaxBytes + 1, piece, 41, true},
		{"over the limit", -1, MaxBytes + 4042, MaxBytes + 4000, piece, 42, true},
		{"known and too large, first read", 2 << 20, 2 << 20, 0, piece, piece, true},
		{"known and too large", 2 << 20, 2 << 20, piece, piece, piece, true},
		{"known and small", 1000, 1000, 0, piece, 1000, false},
		{"known and large", MaxBytes, MaxBytes, 1000, piece, piece, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := numbered(test.size)
				src, client := io.Pipe()
				b := New(src, test.length)
				first := b.Open()
				go client.Write(want[:test.before])
				if _, err := io.ReadFull(first, make([]byte, test.before)); err != nil {
					t.Fatal(err)
				}
				old := make(chan int, 1)
				go func() {
					n, _ := first.Read(make([]byte, test.pending))
					old <- n
				}()
				synctest.Wait() // the read is under way
				second, err := b.Reopen()
				if (err != nil) != test.refused || err != nil && !errors.Is(err, ErrTooLarge) {
					t.Fatalf("Reopen: %v, want refused %t", err, test.refused)
				}
				go func() {
					if test.comes > 0 {
						_, _ = client.Write(want[test.before : test.before+test.comes])
					}
					_, _ = client.Write(want[test.before+test.comes:])
					client.Close()
				}()
				if second != nil {
					got, err := io.ReadAll(second)
					if d := difference(got, want); d != "" && test.size <= MaxBytes || err != nil {
						t.Errorf("second sending: %s, %v", d, err)
					}
				} else {
					_, _ = io.Copy(io.Discard, first)
				}
				if n := <-old; n > test.comes && second != nil {
					t.Errorf("the first sending read %d bytes on", n)
				}
				b.Close(http.NewResponseController(nil))
			})
		})
	}
	if used := memory.Process.Used(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

// The second response begins while the first sending still waits for the client:
// what comes then is the second's, though nothing is kept any more.
func TestForgetDuringARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := numbered(300 << 10)
		src, client := io.Pipe()
		b := New(src, -1)
		first := b.Open()
		go client.Write(want[:1000])
		if _, err := io.ReadFull(first, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		go first.Read(make([]byte, 32<<10))
		synctest.Wait()
		second, err := b.Reopen()
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(second, head); err != nil {
			t.Fatal(err)
		}
		b.Forget()
		go func() {
			_, _ = client.Write(want[1000:])
			client.Close()
		}()
		rest, err := io.ReadAll(second)
		if d := difference(append(head, rest...), want); d != "" || err != nil {
			t.Errorf("%s, %v", d, err)
		}
		if b.kept != nil {
			t.Errorf("%d bytes are kept", len(b.kept))
		}
		if _, err := b.Reopen(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("Reopen: %v", err)
		}
	})
}

// Sendings that are given up anywhere, one after the other, each while the one
// before may still read.
func TestReadersNeverMissAByte(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 100
	}
	want := numbered(MaxBytes + 100<<10)
	for range runs {
		size := rand.IntN(200 << 10)
		if rand.IntN(4) == 0 {
			size = MaxBytes - 50<<10 + rand.IntN(100<<10)
		}
		length := int64(-1)
		if rand.IntN(2) == 0 {
			length = int64(size)
		}
		b := New(io.NopCloser(&dripping{b: want[:size]}), length)
		r := b.Open()
		for again := rand.IntN(4); ; again-- {
			if again <= 0 {
				if rand.IntN(2) == 0 {
					b.Forget()
				}
				got, err := io.ReadAll(r)
				if d := difference(got, want[:size]); d != "" || err != nil {
					t.Fatalf("size %d, length %d: %s, %v", size, length, d, err)
				}
				break
			}
			over, stop := make(chan struct{}), rand.IntN(size+1)
			go func(r io.Reader) {
				defer close(over)
				buf := make([]byte, 32<<10)
				for read := 0; ; {
					n, err := r.Read(buf)
					if d := difference(buf[:n], want[min(read, size):min(read+n, size)]); d != "" {
						t.Errorf("size %d: at %d, %s", size, read, d)
					}
					if read += n; err != nil {
						return // overtaken, or through
					}
					if read >= stop {
						select {
						case over <- struct{}{}: // reads on
						default:
						}
					}
				}
			}(r)
			<-over
			next, err := b.Reopen()
			if errors.Is(err, ErrTooLarge) {
				break
			}
			r = next
		}
		b.Close(http.NewResponseController(nil))
	}
	if used := memory.Process.Used(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

// A dripping reader gives pieces of any size.
type dripping struct{ b []byte }

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.b[:min(1+rand.IntN(40<<10), len(d.b))])
	d.b = d.b[n:]
	return n, nil
}

// Without memory a body passes and is not sent again.
func TestBodyWithoutMemory(t *testing.T) {
	b := New(io.NopCloser(&dripping{b: numbered(500 << 10)}), -1)
	b.share.Of = memory.NewBudget(100 << 10)
	got, err := io.ReadAll(b.Open())
	if d := difference(got, numbered(500<<10)); d != "" || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if _, err := b.Reopen(); !errors.Is(err, ErrTooLarge) || b.kept != nil || b.share.Of.Used() != 0 {
		t.Errorf("Reopen: %v, %d bytes kept, %d taken", err, len(b.kept), b.share.Of.Used())
	}
}
