package failover

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		for range maxStrikes - 1 {
			if h.strike("x", 1, false) != unchanged {
				t.Fatal("down too early")
			}
		}
		if h.strike("x", 1, false) != wentDown {
			t.Fatal("not down")
		}
		within := func(want time.Duration) {
			t.Helper()
			if _, left := h.down(); left < want*8/10 || left > want*12/10 {
				t.Errorf("left alone for %v, want %v ± 20 %%", left, want)
			}
		}
		within(minBackoff)
		if h.strike("x", 1, false); true {
			within(minBackoff) // a failure while it is left alone is no trial
		}
		for i := 2; i < 6; i++ {
			_, left := h.down()
			time.Sleep(left)
			h.strike("x", 1, false)
			within(minBackoff * time.Duration(i))
		}
		if h.success() != cameBack {
			t.Error("not back")
		}
		for range 2 * maxStrikes {
			if h.strike("x", 1, true) != unchanged {
				t.Error("the last one went down")
			}
		}
	})
}
