package failover

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/relay/core/internal/memory"
)

// takeAll takes all that the process may keep, until the test ends.
func takeAll(t *testing.T) {
	t.Helper()
	others := new(memory.Share)
	if !others.Grow(memory.Max + memory.Free) {
		t.Fatal("another test has taken memory")
	}
	t.Cleanup(others.Release)
}

// A body that is read ahead to see whether its response can be resumed counts
// towards what the process may keep. Where nothing is left, it is sent and its
// response is not resumed.
func TestReadAheadCounts(t *testing.T) {
	for _, left := range []bool{true, false} {
		if !left {
			takeAll(t)
		}
		before := memory.Process.Used()
		var resumes atomic.Int32
		a, b := newRegion(t), newRegion(t)
		sent := `{"background":true,"stream":true,"input":"` + strings.Repeat("x", 200<<10) + `"}`
		a.set(func(w http.ResponseWriter, req *http.Request) {
			if got, err := io.ReadAll(req.Body); req.Method == http.MethodPost && (string(got) != sent || err != nil) {
				t.Errorf("memory left %t: the upstream got %d bytes, %v", left, len(got), err)
			}
			w.Header().Set("X-Relay", "relay; origin=upstream")
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"sequence_number\":0,\"response\":{\"id\":\"resp_1\"}}\n\n")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		b.set(func(w http.ResponseWriter, req *http.Request) {
			resumes.Add(1)
			w.WriteHeader(http.StatusNotFound)
		})
		p := newPool(t, Options{ResumeResponses: true}, a, b)
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/responses",
			strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if resumed := resumes.Load() > 0; resumed != left {
			t.Errorf("memory left %t: resumed %t", left, resumed)
		}
		if used := memory.Process.Used(); used != before {
			t.Errorf("memory left %t: %d bytes are still taken", left, used-before)
		}
	}
}

// An event that is held back until it is complete counts, too.
func TestHeldEventsCount(t *testing.T) {
	before := memory.Process.Used()
	r := &resuming{current: http.NoBody}
	if !r.mayHold(1<<20) || r.mayHold(maxPending+1) {
		t.Error("an event of 1 MiB may not be held, or one over the limit may")
	}
	if memory.Process.Used() <= before {
		t.Error("what is held does not count")
	}
	r.Close()
	if used := memory.Process.Used(); used != before || r.mayHold(1<<20) {
		t.Errorf("%d bytes are still taken, or taken after Close", used-before)
	}
	takeAll(t)
	other := &resuming{current: http.NoBody}
	if other.mayHold(1<<20) || !other.mayHold(memory.Free) {
		t.Error("held without memory, or a small one is not held")
	}
}
