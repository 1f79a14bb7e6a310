package replay

import (
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/internal/memory"
)

// Looking ahead tells how much of a body there is, without losing a byte of it.
func TestAhead(t *testing.T) {
	for _, test := range []struct {
		name  string
		size  int // of the body
		comes int // of it within the time
		room  int64
		kept  int
		whole bool
	}{
		{"empty", 0, 0, 1 << 30, 0, true},
		{"small", 100, 100, 1 << 30, 100, true},
		{"slow", 100 << 10, 5000, 1 << 30, 5000, false},
		{"at the limit", MaxBytes, MaxBytes, 1 << 30, MaxBytes, true},
		{"larger", MaxBytes + 1, MaxBytes + 1, 1 << 30, MaxBytes + 1, false},
		{"much larger", 3 * MaxBytes, 3 * MaxBytes, 1 << 30, MaxBytes + 1, false},
		{"without memory", 3 * MaxBytes, 3 * MaxBytes, 0, memory.Free, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := numbered(test.size)
				src, client := io.Pipe()
				b := New(src, -1)
				b.share.Of = memory.NewBudget(test.room)
				goOn := make(chan bool)
				go func() {
					_, _ = client.Write(want[:test.comes])
					if test.comes < test.size {
						<-goOn
						_, _ = client.Write(want[test.comes:])
					}
					client.Close()
				}()
				first := b.Open()
				begun := time.Now()
				kept, whole := first.(*reader).Ahead(MaxBytes+1, 100*time.Millisecond)
				if kept != test.kept || whole != test.whole {
					t.Errorf("%d bytes, whole %t; want %d, %t", kept, whole, test.kept, test.whole)
				}
				if took := time.Since(begun); took > 100*time.Millisecond || (took > 0) != (test.comes < test.size) {
					t.Errorf("it took %v", took)
				}
				close(goOn)
				for _, r := range []io.Reader{first, nil} {
					if r == nil && test.size > MaxBytes {
						break // not kept
					}
					if r == nil {
						again, err := b.Reopen()
						if err != nil {
							t.Fatal(err)
						}
						r = again
					}
					got, err := io.ReadAll(r)
					if d := difference(got, want); d != "" || err != nil {
						t.Errorf("%s, %v", d, err)
					}
				}
			})
		})
	}
}

// A body that was looked at can be sent again before any of it was sent, however
// large it is.
func TestReopenAfterAhead(t *testing.T) {
	for range 60 {
		want := numbered(rand.IntN(3 * MaxBytes))
		b := New(io.NopCloser(&dripping{b: want}), -1)
		first := b.Open()
		first.(*reader).Ahead(MaxBytes+1, time.Duration(rand.IntN(int(time.Millisecond))))
		var r io.Reader = first
		if rand.IntN(2) == 0 {
			first.Close()
			again, err := b.Reopen()
			if err != nil {
				t.Fatalf("%d bytes: %v", len(want), err)
			}
			r = again
		}
		if rand.IntN(2) == 0 {
			b.Forget()
		}
		got, err := io.ReadAll(r)
		if d := difference(got, want); d != "" || err != nil {
			t.Fatalf("%d bytes: %s, %v", len(want), d, err)
		}
	}
}

// Reading a body may panic wherever it happens.
func TestAheadPanics(t *testing.T) {
	b := New(panicking{}, -1)
	r := b.Open()
	if kept, whole := r.(*reader).Ahead(MaxBytes, time.Minute); kept != 0 || whole {
		t.Errorf("%d bytes, whole %t", kept, whole)
	}
	if _, err := r.Read(make([]byte, 1)); err != ErrPanic {
		t.Errorf("Read: %v", err)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("a body") }
func (panicking) Close() error             { return nil }
