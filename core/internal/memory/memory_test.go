package memory

import "testing"

func TestShare(t *testing.T) {
	b := NewBudget(2 * step)
	first, second := Share{Of: b}, Share{Of: b}
	for _, test := range []struct {
		share *Share
		n     int
		want  bool
		used  int64 // of the budget, afterwards
	}{
		{&first, Free, true, 0},
		{&first, Free + 1, true, step},
		{&first, Free + step, true, step},
		{&second, Free + 2*step, false, step},
		{&second, Free + step, true, 2 * step},
		{&first, Free + step + 1, false, 2 * step},
		{&first, 1, true, 2 * step},
	} {
		if got := test.share.Grow(test.n); got != test.want || b.Used() != test.used {
			t.Errorf("Grow(%d) = %t with %d used, want %t with %d", test.n, got, b.Used(), test.want, test.used)
		}
	}
	first.Release()
	first.Release()
	if b.Used() != step {
		t.Errorf("%d used after one share was released, want %d", b.Used(), step)
	}
	second.Release()
	if b.Used() != 0 {
		t.Errorf("%d used after all were released", b.Used())
	}
}
