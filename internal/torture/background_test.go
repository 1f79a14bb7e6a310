package torture_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/regions"
	"example.com/relay/internal/torture"
)

const backgroundRequest = `{"model":"gpt-4o-mini","input":"abcdefgh","stream":true,"background":true}`

// C15: a background response whose stream is cut is resumed through another region,
// by the gateway if it may, or by a client.
func backgroundResponse(t *testing.T, note func(string)) {
	uncut := ""
	{
		r := startRig(t)
		uncut = r.send(t, http.MethodPost, "/v1/responses", backgroundRequest).body
		if strings.Count(uncut, "\n\n") != 16 || !strings.Contains(uncut, "response.completed") {
			t.Fatalf("the uncut response: %q", uncut)
		}
	}
	ends := map[string]func(*testing.T, *rig){
		"killed": func(t *testing.T, r *rig) { r.kill(t, 0) },
		"reset":  func(t *testing.T, r *rig) { r.set(t, 0, regions.Reset) },
	}
	for how, end := range ends {
		for _, after := range torture.Pick([]int{1, 9}, []int{1, 2, 3, 4, 6, 9, 12, 14}) {
			for _, resume := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s after %d, resume %v", how, after, resume), func(t *testing.T) {
					r := startRig(t, fmt.Sprintf("RELAY_RESUME_RESPONSES=%v", resume), "RELAY_PROBE_INTERVAL=off")
					got, cut := r.readUntil(t, after, func() { end(t, r) })
					if cut == resume {
						t.Fatalf("the stream was cut: %v, %q", cut, got)
					}
					if cut {
						got += r.resume(t, got)
					}
					if got != uncut {
						t.Errorf("got %q, want %q", got, uncut)
					}
					r.wantPosts(t, 1)
					if n := len(r.Regions[1].Front.Served()); n != 1 {
						t.Errorf("the second region had %d requests, want the one that resumes", n)
					}
				})
			}
		}
	}
	t.Run("cut again and again", func(t *testing.T) {
		r := startRig(t, "RELAY_RESUME_RESPONSES=true")
		a := r.send(t, http.MethodPost, "/v1/responses", backgroundRequest, "Fake-Fault", "cut=3")
		if a.err != nil || a.body != uncut {
			t.Errorf("got %v, want %q", a, uncut)
		}
		r.wantPosts(t, 1)
		if got := r.Upstream.Arrived(); got != 6 {
			t.Errorf("the upstream had %d requests, want 6 for 16 events by threes", got)
		}
	})
	note("compared byte by byte with a run without a fault; resumed by the gateway, and by a client with " +
		"starting_after")
}

// readUntil reads a background response, and calls happen after some events. It
// returns all events, and whether the stream reports that it was cut.
func (r *rig) readUntil(t *testing.T, after int, happen func()) (events string, cut bool) {
	t.Helper()
	res, err := r.open(t.Context(), http.MethodPost, "/v1/responses", strings.NewReader(backgroundRequest),
		"Fake-Fault", "gap=20ms")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	timer := time.AfterFunc(patience, func() { res.Body.Close() })
	defer timer.Stop()
	if got := res.Header.Get("X-Relay-Upstream"); res.StatusCode != http.StatusOK || got != "region-1" {
		t.Fatalf("%d by %q", res.StatusCode, got)
	}
	var all strings.Builder
	body := bufio.NewReader(res.Body)
	for n := 0; ; {
		line, err := body.ReadString('\n')
		if strings.Contains(line, `"type":"relay_error"`) {
			cut = true
			line = ""
		}
		all.WriteString(line)
		if err != nil {
			if cut != (err != io.EOF) {
				t.Errorf("the stream ends with %v, with an error event: %v", err, cut)
			}
			return strings.TrimRight(all.String(), "\n") + "\n\n", cut
		}
		if line == "\n" {
			if n++; n == after {
				happen()
			}
		}
	}
}

// resume requests the events after those in got.
func (r *rig) resume(t *testing.T, got string) string {
	t.Helper()
	var e struct {
		Number   int `json:"sequence_number"`
		Response struct{ ID string }
	}
	id := ""
	for line := range strings.Lines(got) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(err)
			}
			if id == "" {
				id = e.Response.ID
			}
		}
	}
	a := r.send(t, http.MethodGet, fmt.Sprintf("/v1/responses/%s?stream=true&starting_after=%d", id, e.Number), "")
	if a.status != http.StatusOK || a.err != nil || a.upstream != "region-2" {
		t.Errorf("got %v", a)
	}
	return a.body
}
