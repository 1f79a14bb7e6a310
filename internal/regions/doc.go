// Package regions runs several regions on one machine and breaks them: what
// stands behind a gateway in its tests and in make chaos.
//
//	gateway process ─┬─ Front ── relay process ─┐
//	                 ├─ Front ── relay process ─┼─ fakeopenai.Upstream
//	                 └─ Front ── relay process ─┘
//
// A region is a relay process with a [Front] before it, as a platform has one.
// The front owns the region's address, which stays the same whatever becomes of
// the process, and has the faults. Everything is on 127.0.0.1; what a fault does
// to packets it does by the kernel, without privileges.
//
//	fleet.go    the regions and their upstream, started and closed together
//	region.go   one of them: killed, stopped, started again
//	gateway.go  the process under test
//	front.go    a region's address, and what it does with connections
//	fault.go    the faults, each a value for Front.Set
//	page.go     what platforms answer in place of a relay
//	conn.go     a connection that can be frozen
//	drop_linux.go, port_linux.go  what needs the kernel
//	authority.go  certificates for regions over https
//	flap.go     a fault that comes and goes
package regions
