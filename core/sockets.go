package core

import "sync"

// sockets counts the WebSockets of each caller, by its access token. They may
// stay open for hours without a byte, so that one caller could take all places
// of the requests in flight.
type sockets struct {
	limit int // for each caller; 0: none

	mu   sync.Mutex
	open map[int]int // by caller
}

// add counts a WebSocket, or reports that the caller may have no other.
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

// remove takes back what add counted.
func (s *sockets) remove(caller int) {
	if s.limit <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[caller]--
}
