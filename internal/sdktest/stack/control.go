package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/relay/internal/fakeopenai"
)

// waitLimit is how long the control server waits for what it is asked to. It is
// only ever reached by a test that fails.
const waitLimit = 30 * time.Second

// control returns the server by which tests look behind the scenes:
//
//	POST /reset          forget all requests, faults and counts
//	POST /script         a JSON list of faults, one for each of the next requests
//	       ?checks=true  … for each of the relays' next deep checks
//	POST /kill/gateway   let the first region of a gateway go
//	GET  /requests       what the upstream saw since, but for deep checks
//	       ?wait=N       … once N requests have come, and their bodies
//	       ?done=N       … once N requests are complete or abandoned
//	GET  /hits           how many requests each relay got since
//	GET  /log            what the relays have logged from the start on
func (s *stack) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) {
		s.upstream.Reset()
		s.upstream.SetFault(nil)
		for _, r := range s.relays {
			r.hits.Store(0)
		}
	})
	mux.HandleFunc("POST /script", s.script)
	mux.HandleFunc("POST /kill/{gateway}", s.kill)
	mux.HandleFunc("GET /requests", s.requests)
	mux.HandleFunc("GET /hits", func(w http.ResponseWriter, _ *http.Request) {
		hits := make(map[string]int64)
		for name, r := range s.relays {
			hits[name] = r.hits.Load()
		}
		writeJSON(w, hits)
	})
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, req *http.Request) {
		for _, r := range s.relays {
			// Nobody is kept out: it waits for what still writes its record.
			if err := r.idle(req.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		writeJSON(w, map[string]string{"records": s.records.String(), "complaints": s.complaints.String()})
	})
	return mux
}

// script sets the faults of requests or of deep checks. The page has a relay check
// the API whenever a call fails, so neither takes the faults of the other.
func (s *stack) script(w http.ResponseWriter, req *http.Request) {
	var faults []string
	if err := json.NewDecoder(req.Body).Decode(&faults); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	checks := req.URL.Query().Get("checks") == "true"
	s.upstream.SetFault(func(req *http.Request) string {
		if len(faults) == 0 || isCheck(req.Header) != checks {
			return ""
		}
		next := faults[0]
		faults = faults[1:]
		return next
	})
}

// isCheck reports whether a request is a relay's deep check.
func isCheck(h http.Header) bool { return strings.HasPrefix(h.Get("User-Agent"), "relay/") }

// seen returns the requests that the upstream saw, without deep checks.
func (s *stack) seen() []*fakeopenai.Request {
	return slices.DeleteFunc(s.upstream.Requests(), func(r *fakeopenai.Request) bool { return isCheck(r.Header) })
}

// requests responds with what the upstream saw.
func (s *stack) requests(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), waitLimit)
	defer cancel()
	// Without a number, it waits for none.
	recorded, _ := strconv.Atoi(req.FormValue("wait"))
	done, _ := strconv.Atoi(req.FormValue("done"))
	if !s.waitRecorded(ctx, max(recorded, done)) {
		http.Error(w, "too few requests came", http.StatusGatewayTimeout)
		return
	}
	seen := s.seen()
	for _, r := range seen[:done] {
		select {
		case <-r.Done:
		case <-ctx.Done():
			http.Error(w, "a request is not done", http.StatusGatewayTimeout)
			return
		}
	}
	list := make([]sighting, 0, len(seen))
	for _, r := range seen {
		list = append(list, newSighting(r))
	}
	writeJSON(w, list)
}

// waitRecorded waits until the upstream has recorded n requests.
func (s *stack) waitRecorded(ctx context.Context, n int) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(s.seen()) < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// A sighting is what the upstream saw of a request.
type sighting struct {
	Method     string      `json:"method"`
	URI        string      `json:"uri"`
	Header     http.Header `json:"header"`
	BodyBytes  int         `json:"bodyBytes"`
	BodySHA256 string      `json:"bodySHA256"`
	BodyBroken bool        `json:"bodyBroken"`
	Canceled   bool        `json:"canceled"`
	Done       bool        `json:"done"`
}

func newSighting(r *fakeopenai.Request) sighting {
	sum := sha256.Sum256(r.Body)
	return sighting{
		Method:     r.Method,
		URI:        r.RequestURI,
		Header:     r.Header,
		BodyBytes:  len(r.Body),
		BodySHA256: hex.EncodeToString(sum[:]),
		BodyBroken: r.BodyErr != nil,
		Canceled:   isClosed(r.Canceled),
		Done:       isClosed(r.Done),
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a test that is gone needs no response
}
