package replay

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

var errBroken = errors.New("broken")

func TestBody(t *testing.T) {
	body := func(src io.Reader, length int64) *Body {
		return New(io.NopCloser(src), length)
	}
	t.Run("none", func(t *testing.T) {
		var b *Body
		if !b.Done() || b.Failure() != nil {
			t.Error("a request without a body has one")
		}
		b.Close(http.NewResponseController(nil))
	})
	t.Run("again from the middle", func(t *testing.T) {
		b := body(strings.NewReader("hello world"), 11)
		first := b.Open()
		_, _ = io.ReadFull(first, make([]byte, 5))
		if b.Done() {
			t.Error("done before the end")
		}
		again, err := b.Reopen()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(again); string(got) != "hello world" || err != nil || !b.Done() {
			t.Errorf("got %q %v, done %t", got, err, b.Done())
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("the first reader still reads: %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if _, err := again.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed reader still reads: %v", err)
		}
	})
	t.Run("too large to be kept", func(t *testing.T) {
		b := body(strings.NewReader(strings.Repeat("x", MaxBytes+1)), -1)
		if got, err := io.ReadAll(b.Open()); len(got) != MaxBytes+1 || err != nil {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if _, err := b.Reopen(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("reopen: %v", err)
		}
	})
	t.Run("broken", func(t *testing.T) {
		b := body(iotest.ErrReader(errBroken), 3)
		if _, err := io.ReadAll(b.Open()); !errors.Is(err, errBroken) || !errors.Is(b.Failure(), errBroken) ||
			b.Done() {
			t.Errorf("%v, failure %v", err, b.Failure())
		}
	})
	t.Run("after the exchange", func(t *testing.T) {
		b := body(strings.NewReader("late"), 4)
		r := b.Open()
		b.Close(http.NewResponseController(nil))
		if n, err := r.Read(make([]byte, 4)); n != 0 || !errors.Is(err, ErrClosed) {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

func TestForgetFreesWhatWasKept(t *testing.T) {
	b := New(io.NopCloser(strings.NewReader("hello")), 5)
	r := b.Open()
	if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	b.Forget()
	if b.kept != nil || !b.Done() {
		t.Errorf("kept %q, done %t", b.kept, b.Done())
	}
	if _, err := b.Reopen(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Reopen: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("its reader: %v", err)
	}
}
