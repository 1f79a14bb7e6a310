//go:build !linux

package regions

import "example.com/relay/internal/proc"

// holdPort returns an address that was free a moment ago. Here, another program
// may take it while the front does not listen.
func holdPort() (addr string, release func(), err error) {
	addr, err = proc.FreeAddr()
	return addr, func() {}, err
}
