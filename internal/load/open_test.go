package load

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// said returns the text of the test's upstream.
func said(id string) string { return "you are " + id }

// reply responds to a request of an Open as the upstream does.
func reply(w http.ResponseWriter, req *http.Request) {
	var asked struct {
		Stream   bool
		Messages []struct{ Content string }
	}
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := said(asked.Messages[0].Content)
	w.Header().Set("X-Relay-Attempts", "2")
	if !asked.Stream {
		fmt.Fprintf(w, `{"choices":[{"message":{"content":%q}}]}`, text)
		return
	}
	fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", text)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func TestOpenMeasuresFromWhenRequestsAreDue(t *testing.T) {
	const stall = 300 * time.Millisecond
	var seen atomic.Int32
	var stalled sync.Once
	var until time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if seen.Add(1) > 10 { // this one, and those that come meanwhile
			stalled.Do(func() { until = time.Now().Add(stall) })
			time.Sleep(time.Until(until))
		}
		reply(w, req)
	}))
	t.Cleanup(server.Close)
	responses := Open{Base: server.URL, Rate: 100, For: 600 * time.Millisecond, Reply: said}.Run(t.Context(),
		time.Now())
	if len(responses) != 60 || seen.Load() != 60 {
		t.Fatalf("%d responses to %d requests, want 60", len(responses), seen.Load())
	}
	late := 0
	for i, a := range responses {
		if a.Outcome != Complete || a.Attempts != 2 || a.Status != 200 || a.End < a.First ||
			a.Due != time.Duration(i)*10*time.Millisecond || a.Stream != (i%2 == 0) {
			t.Errorf("response %d: %+v", i, a)
		}
		if a.First > stall/3 {
			late++
		}
	}
	// 30 were due in the stall, and a third of them waited less than a third of it. A
	// closed loop would show one.
	if late < 15 {
		t.Errorf("%d responses show the stall, want 15 at least", late)
	}
}

func TestOpenGoesOnForMore(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(reply))
	t.Cleanup(server.Close)
	asked := 0
	more := func() bool { asked++; return asked < 5 }
	if responses := (Open{Base: server.URL, Rate: 200, For: 50 * time.Millisecond, More: more,
		Reply: said}).Run(t.Context(), time.Now()); len(responses) != 14 {
		t.Errorf("%d responses, want 10 and 4 more", len(responses))
	}
}

func TestOpenNeverSendsTwice(t *testing.T) {
	var seen atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if seen.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler) // on a connection that was used before
		}
		reply(w, req)
	}))
	t.Cleanup(server.Close)
	responses := Open{Base: server.URL, Rate: 100, For: 200 * time.Millisecond, Reply: said}.Run(t.Context(),
		time.Now())
	failed := 0
	for _, a := range responses {
		if a.Outcome == Failed && a.Err != nil {
			failed++
		}
	}
	if int(seen.Load()) != len(responses) || failed != len(responses)/2 {
		t.Errorf("%d requests and %d failures for %d responses", seen.Load(), failed, len(responses))
	}
}

func TestOpenTimesOut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // or the server would not see the client go
		<-req.Context().Done()
	}))
	t.Cleanup(server.Close)
	responses := Open{Base: server.URL, Rate: 100, For: 20 * time.Millisecond, Timeout: 50 * time.Millisecond,
		Reply: said}.Run(t.Context(), time.Now())
	for _, a := range responses {
		if a.Outcome != Failed || a.Err == nil || a.Status != 0 {
			t.Errorf("response = %+v, want none", a)
		}
	}
}
