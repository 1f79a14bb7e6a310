package main

import (
	"net/http"
	"slices"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/load"
)

// The time around the break in which latencies are looked at.
const (
	windowBefore = time.Second
	windowAfter  = 2 * time.Second
)

// A tally is what one run came to.
type tally struct {
	plan
	requests int
	outcomes [load.Truncated + 1]int
	caught   int // ambiguous ones that were on their way when the region broke
	doubled  int // POSTs that the upstream got beyond the first of each
	unknown  int // POSTs that it got and nobody sent

	first load.Histogram // to the first byte, of requests due around the break
	late  load.Histogram // of the clients themselves

	last time.Duration // the longest time to the end of a response
	lost time.Duration // the longest time to a failure before a byte was delivered

	attempts int // that were told
	untold   int // answers that do not tell
	most     int // attempts of one request

	used time.Duration // from the mending until the region was used again; 0 if it was not

	// For when all regions are broken:
	told    load.Histogram // time to a 502 in the relay's own words
	unheard int            // requests that got neither that nor a response

	odd []load.Response // those that were not complete

	points []point
}

// A point is one response, for the plot.
type point struct {
	at, first time.Duration // since the break
}

// tally sums up a run whose gateway has ended.
func (s *scene) tally(answers []load.Response) *tally {
	fig := &tally{plan: s.plan, requests: len(answers)}
	killed := s.killed
	if killed == 0 {
		killed = s.killAt
	}
	for _, a := range answers {
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
		if s.mended > 0 && a.Due >= s.killed && a.Due < s.mended {
			fig.addRefusal(a)
		}
	}
	fig.countPosts(answers, s.fleet.Upstream.Requests())
	fig.used = s.usedAfter(answers)
	return fig
}

func (fig *tally) addAttempts(a load.Response) {
	if a.Attempts == 0 {
		fig.untold++
		return
	}
	fig.attempts += a.Attempts
	fig.most = max(fig.most, a.Attempts)
}

// addFirst notes the time to the first byte of a response, without what the
// upstream itself takes for it.
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

// addRefusal notes what came of a request while the regions were broken.
func (fig *tally) addRefusal(a load.Response) {
	switch {
	case a.Status == http.StatusBadGateway && a.Code != "":
		fig.told.Record(a.End)
	case a.Outcome != load.Complete && a.Outcome != load.Cut:
		fig.unheard++
	}
}

// countPosts compares what the upstream got with what was sent. A request whose
// body broke off was not processed.
func (fig *tally) countPosts(answers []load.Response, got []*fakeopenai.Request) {
	times := make(map[string]int, len(answers))
	for _, a := range answers {
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

// usedAfter returns how long after the mending a request was due that the region
// which came back had, and that was answered; or 0 if none was.
func (s *scene) usedAfter(answers []load.Response) time.Duration {
	if s.mended == 0 {
		return 0
	}
	had := make(map[string]bool)
	for _, served := range s.victim.Front.Served() {
		had[served.ID] = true
	}
	i := slices.IndexFunc(answers, func(a load.Response) bool {
		return a.Due >= s.mended && a.Outcome == load.Complete && had[a.ID]
	})
	if i < 0 {
		return 0
	}
	return answers[i].Due + answers[i].First - s.mended
}
