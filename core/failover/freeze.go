package failover

import "time"

// minFreeze is the gap between requests after which a process may have been
// frozen and its idle connections closed by the upstream meanwhile. Lambda
// functions without this rule fail about a third of their POSTs after a thaw.
const minFreeze = 20 * time.Second

// thaw retires all connections when the process may have been frozen. It goes by
// the wall clock: timers and the monotonic clock may stand still in a freeze.
// Closing the idle connections would not do: one that was in use until the
// freeze may become idle only after it.
func (p *Pool) thaw() {
	now := p.clock().UnixNano()
	last := p.lastUse.Swap(now)
	if gap := time.Duration(now - last); last != 0 && (gap > minFreeze || gap < -minFreeze) {
		for _, u := range p.list() {
			u.connections.RetireAll()
		}
	}
}

// touch says that the process is running: a stream is no gap. It is called
// before bytes are forwarded, never after: a freeze may lie between the two, and
// would be covered up.
func (p *Pool) touch() { p.lastUse.Store(p.clock().UnixNano()) }
