package main

import (
	"net/http"
	"slices"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/load"
)

// The window around the break in which latencies count.
const (
	windowBefore = time.Second
	windowAfter  = 2 * time.Second
)

// A tally is the result of one run.
type tally struct {
	plan
	requests int
	outcomes [load.Truncated + 1]int
	caught   int // ambiguous ones that were in flight when the region broke
	doubled  int // duplicate POSTs at the upstream
	unknown  int // POSTs at the upstream that no client sent

	first load.Histogram // to the first byte, of requests due around the break
	late  load.Histogram // of the clients themselves

	last time.Duration // the longest time to the end of a response
	lost time.Duration // the longest time to a failure before a byte was delivered

	attempts    int // that were told
	untold      int // responses that do not tell
	maxAttempts int // attempts of one request

	used time.Duration // from the restoration until the region was used again; 0 if it was not

	// For when all regions are broken:
	told    load.Histogram // time to the relay's 502
	unheard int            // requests that got neither it nor a response

	odd []load.Response // those that were not complete

	points []point
}

// A point is one response, for the plot.
type point struct {
	at, first time.Duration // since the break
}

// tally sums up a run whose gateway has ended.
func (s *scene) tally(responses []load.Response) *tally {
	fig := &tally{plan: s.plan, requests: len(responses)}
	killed := s.killed
	if killed == 0 {
		killed = s.killAt
	}
	for _, a := range responses {
		fig.outcomes[a.Outcome]++
		fig.late.Record(a.Late)
		fig.last = max(fig.last, a.End)
		if a.Outcome == load.Ambiguous || a.Outcome == load.Failed {
			fig.lost = max(fig.lost, a.End)
		}
		if a.Outcome == load.Ambiguous && a.Due < killed {
			fig.caught++
		}
		fig.addAttempts(a)
		if a.Outcome != load.Complete {
			fig.odd = append(fig.odd, a)
		}
		if a.Status == http.StatusOK && a.First > 0 {
			fig.addFirst(a, a.Due-killed)
		}
		if s.restored > 0 && a.Due >= s.killed && a.Due < s.restored {
			fig.addRefusal(a)
		}
	}
	fig.countPosts(responses, s.fleet.Upstream.Requests())
	fig.used = s.usedAfter(responses)
	return fig
}

func (fig *tally) addAttempts(a load.Response) {
	if a.Attempts == 0 {
		fig.untold++
		return
	}
	fig.attempts += a.Attempts
	fig.maxAttempts = max(fig.maxAttempts, a.Attempts)
}

// addFirst adds the time to the first byte of a response, without the upstream's own
// time.
func (fig *tally) addFirst(a load.Response, at time.Duration) {
	first := a.First
	if !a.Stream {
		first = max(first-think, 0)
	}
	if at >= -windowBefore && at < windowAfter {
		fig.first.Record(first)
	}
	fig.points = append(fig.points, point{at, first})
}

// addRefusal adds a request that was due while the regions were broken.
func (fig *tally) addRefusal(a load.Response) {
	switch {
	case a.Status == http.StatusBadGateway && a.Code != "":
		fig.told.Record(a.End)
	case a.Outcome != load.Complete && a.Outcome != load.Cut:
		fig.unheard++
	}
}

// countPosts compares the POSTs at the upstream with those that were sent. A request
// with a truncated body was not processed.
func (fig *tally) countPosts(responses []load.Response, got []*fakeopenai.Request) {
	times := make(map[string]int, len(responses))
	for _, a := range responses {
		times[a.ID] = 0
	}
	for _, req := range got {
		id := req.Header.Get("X-Client-Request-Id")
		if req.Method != http.MethodPost || req.BodyErr != nil {
			continue
		}
		n, sent := times[id]
		switch {
		case !sent:
			fig.unknown++
		case n > 0:
			fig.doubled++
		}
		times[id] = n + 1
	}
}

// usedAfter returns when the restored region's first complete response began, since
// the restoration; or 0 if there was none.
func (s *scene) usedAfter(responses []load.Response) time.Duration {
	if s.restored == 0 {
		return 0
	}
	had := make(map[string]bool)
	for _, served := range s.victim.Front.Served() {
		had[served.ID] = true
	}
	i := slices.IndexFunc(responses, func(a load.Response) bool {
		return a.Due >= s.restored && a.Outcome == load.Complete && had[a.ID]
	})
	if i < 0 {
		return 0
	}
	return responses[i].Due + responses[i].First - s.restored
}
