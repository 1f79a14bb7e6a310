package core

import "sync"

// sockets limits the open WebSockets of each caller, by access token. They may be
// idle for hours, and one caller could otherwise use up MaxInFlight. It is safe for
// concurrent use.
type sockets struct {
	limit int // for each caller; 0: none

	mu   sync.Mutex
	open map[int]int // by caller
}

// add counts a WebSocket and reports true, or reports false if the caller has
// reached the limit. After true, remove must be called.
func (s *sockets) add(caller int) bool {
	if s.limit <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[caller] >= s.limit {
		return false
	}
	if s.open == nil {
		s.open = make(map[int]int)
	}
	s.open[caller]++
	return true
}

// remove undoes add.
func (s *sockets) remove(caller int) {
	if s.limit <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[caller]--
}
