package regions

import (
	"strconv"
	"time"
)

// A Fault is what is wrong with a front, for [Front.Set]. The zero Fault is
// none.
type Fault struct {
	name string

	closed bool          // nothing listens
	cuts   bool          // connections are reset, those there are and those that come
	drains bool          // nothing listens, and connections end with their answers
	leaves bool          // connections end with their answers, new ones may come
	frozen bool          // no byte moves on any connection
	drops  bool          // the kernel drops what packets come
	delay  time.Duration // before the first byte of a connection is read
	page   *Page
	to     string // header without which requests pass; "" for none
}

// String returns the name of the fault.
func (f Fault) String() string {
	if f.name == "" {
		return "none"
	}
	return f.name
}

var (
	// None is no fault: connections that a Silent or BlackHole had frozen go on.
	None = Fault{}

	// Refused is the address of a process that died: connections are refused, and
	// those there were are reset.
	Refused = Fault{name: "refused", closed: true, cuts: true}

	// Reset takes connections and resets them at once, and those there were.
	Reset = Fault{name: "reset", cuts: true}

	// Drained is the address of a process that ends in good order: connections are
	// refused, idle ones are closed and those in use end with their answers.
	Drained = Fault{name: "drained", closed: true, drains: true}

	// Silent is a machine that hangs: its kernel takes connections and acknowledges
	// what comes, but no byte is read or written.
	Silent = Fault{name: "silent", frozen: true}

	// BlackHole is a network that has lost the way: no packet that comes is
	// taken, so that neither connections are answered nor bytes acknowledged, and
	// nothing is written. It needs Linux, see [CanDrop].
	BlackHole = Fault{name: "black hole", frozen: true, drops: true}
)

// Dead returns the BlackHole, or Silent where this system cannot have one: the
// nearest to it for whoever sends to it.
func Dead() Fault {
	if CanDrop {
		return BlackHole
	}
	return Silent
}

// Answering has every request answered with p. Answers under way go on, as they
// do on a platform.
func Answering(p Page) Fault {
	return Fault{name: "answering " + strconv.Itoa(p.Status), page: &p}
}

// SlowConnect takes connections whose first byte is read only after d: over
// https, the handshake is late by d. Connections that are there end with their
// answers, so that new ones are needed. Over http a client cannot tell it from
// an upstream that takes its time.
func SlowConnect(d time.Duration) Fault {
	return Fault{name: "slow connect", leaves: true, delay: d}
}

// Firewall has requests with a header of that name answered with p, as a
// firewall answers a prompt that it dislikes. All others pass.
func Firewall(header string, p Page) Fault {
	return Fault{name: "firewall " + strconv.Itoa(p.Status), page: &p, to: header}
}
