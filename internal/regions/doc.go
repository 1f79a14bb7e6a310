// Package regions runs several regions on one machine and breaks them, for tests
// of a gateway and for make chaos.
//
//	gateway process ─┬─ Front ── relay process ─┐
//	                 ├─ Front ── relay process ─┼─ fakeopenai.Upstream
//	                 └─ Front ── relay process ─┘
//
// A region is a relay process behind a [Front], which plays the platform. The
// front owns the region's address, which outlives the process, and injects the
// faults. Everything is on 127.0.0.1. Packets are dropped by the kernel, which
// takes no privileges.
//
//	fleet.go      the regions and their upstream, started and closed together
//	region.go     one of them: killed, stopped, restarted; and the gateway
//	front.go      a region's address, and what it does with connections
//	fault.go      the faults, each a value for Front.Set, and platforms' pages
//	conn.go       a connection that can be frozen
//	authority.go  certificates for regions over https
//	kernel_*.go   dropping packets and reserving a port
package regions
