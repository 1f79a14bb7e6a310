package main

// A metric is one of the figures in a sample.
type metric int

const (
	cpu     metric = iota // µs of the contender's CPU time, per request or event
	rate                  // requests per second
	p50                   // µs to the end of an answer; in an open loop, from when the request was due
	p99                   // the same
	late                  // µs that half the requests of an open loop were sent late
	rss                   // MiB after the load
	conns                 // connections to the upstream per 10,000 requests
	first                 // µs to the first event
	lagP50                // µs that an event takes
	lagP99                // the same
	idle1                 // KiB for an idle stream, of the first number of them
	idle2                 // the same, of the second
	startup               // ms from the start of a process to the end of its first answer
	metrics
)

// A sample is what one measurement gave.
type sample [metrics]float64

// A series are the samples of all rounds, in their order.
type series []sample

func (s series) values(m metric) []float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i][m]
	}
	return values
}

// compared returns how many times that of base each value is, round by round:
// what disturbs a round disturbs both.
func (s series) compared(m metric, base series) []float64 {
	var ratios []float64
	for i := range min(len(s), len(base)) {
		if base[i][m] > 0 {
			ratios = append(ratios, s[i][m]/base[i][m])
		}
	}
	return ratios
}

// over returns how much each value is above that of base, round by round.
func (s series) over(m metric, base series) []float64 {
	var differences []float64
	for i := range min(len(s), len(base)) {
		differences = append(differences, s[i][m]-base[i][m])
	}
	return differences
}
