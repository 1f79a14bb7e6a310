package load

import (
	"syscall"
	"time"
)

// sleepUntil sleeps in the kernel, which wakes up within 0.1 ms of t. Go's timers
// may be a whole millisecond late in an idle process.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := syscall.NsecToTimespec(d.Nanoseconds())
		_ = syscall.Nanosleep(&ts, nil) // a signal may end it early
	}
}
