package main

import (
	"errors"
	"io"
	"testing"
)

func TestJudgeSpeed(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		ratios [][]float64
		err    error
		want   error
		times  int
	}{
		{"fast", [][]float64{{1.2, 1.3, 1.4}}, nil, nil, 1},
		{"one round is disturbed", [][]float64{{1.2, 9, 1.3}}, nil, nil, 1},
		{"one measurement is disturbed", [][]float64{{2.6, 2.7, 2.8}, {1.2, 1.3, 1.4}}, nil, nil, 2},
		{"slow", [][]float64{{2.6, 2.7, 2.8}, {2.01, 2.1, 1.2}}, nil, errSlow, 2},
		{"nothing was measured", [][]float64{{}, {}}, nil, errSlow, 2},
		{"not measurable", [][]float64{nil}, broken, broken, 1},
	} {
		times := 0
		err := judgeSpeed(io.Discard, func() ([]float64, error) {
			times++
			return test.ratios[times-1], test.err
		})
		if !errors.Is(err, test.want) || times != test.times {
			t.Errorf("%s: judgeSpeed() = %v after %d measurements, want %v after %d", test.name, err, times, test.want,
				test.times)
		}
	}
}
