package main

import (
	"math"

	"example.com/relay/internal/figures"
)

// The requests whose cost is computed: chats whose answers are streams.
const (
	requests      = 1_000_000
	streamSeconds = 10.0
	eventsSecond  = 50.0 // one each 20 ms, as in the measurements of functions
)

// A use is what a relay needs on a platform. A figure is NaN if it was not
// measured.
type use struct {
	cpu     float64 // seconds of CPU time for a stream
	seconds float64 // that a stream takes
	warm    float64 // MiB resident
	stream  float64 // MiB for each stream more
}

// useOf returns what name needs: the CPU time of a request to an upstream over
// TLS, and of all events; the memory and the time that the given command
// measured on a platform, or compare if there is none.
func useOf(f figures.File, name, section, platform string) use {
	median := func(section, on, what string) float64 { return figures.Median(f.Values(section, name, on, what)) }
	u := use{
		cpu:    (median("relay", https1, "CPU/request") + streamSeconds*eventsSecond*median("relay", plain, "CPU/event")) / 1e6,
		warm:   median("relay", https1, "RSS"),
		stream: median("relay", plain, "idle stream of 1,000") / 1024,
	}
	u.seconds = streamSeconds
	if section != "" {
		u.warm = median(section, platform, "RSS")
		u.seconds += median(section, platform, "short answer, added") / 1000
	}
	return u
}

// memory returns the MiB that n streams at a time need.
func (u use) memory(n float64) float64 { return u.warm + n*u.stream }

// cores returns how many cores n streams at a time keep busy.
func (u use) cores(n float64) float64 { return n * u.cpu / u.seconds }

// fits reports whether n streams at a time fit into an instance. What was not
// measured does not.
func (u use) fits(n, mib, cores float64) bool {
	return u.memory(n) <= mib && u.cores(n) <= cores && !math.IsNaN(u.seconds)
}
