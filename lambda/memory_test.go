package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"example.com/relay/internal/lambdaemu"
)

// The smallest function survives events and responses of the max size, and
// responses that would exceed it as JSON.
func TestMemory(t *testing.T) {
	const memoryMB, size = 128, 5_900_000
	upload := `{"a":"` + strings.Repeat("x", size-10) + `"}`
	for _, mode := range []lambdaemu.Mode{lambdaemu.ResponseStream, lambdaemu.Buffered} {
		for _, c := range []byte{'x', '"', 0, 0xff} {
			body := bytes.Repeat([]byte{c}, size)
			u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = w.Write(body)
			}))
			t.Cleanup(u.Close)
			s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + u.URL},
				func(f *lambdaemu.Function) { f.Mode, f.MemoryMB, f.Concurrency = mode, memoryMB, 1 })
			want := http.StatusOK
			if mode == lambdaemu.Buffered && c != 'x' {
				want = http.StatusBadGateway
			}
			for range 3 {
				res, err := http.Post(s.URL+"/v1/files", "application/json", strings.NewReader(upload))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != want {
					t.Errorf("%s, response of %q: got %d, want %d", mode, c, res.StatusCode, want)
				}
			}
			if runtime.GOOS != "linux" {
				continue // only Linux reports the peak memory of a process
			}
			if peak := peakOf(t, s.PIDs()[0]); peak > memoryMB {
				t.Errorf("%s, response of %q: the process took %.0f MiB, want max %d", mode, c, peak, memoryMB)
			}
		}
	}
}

// quotedLen is never more than the real length, so nothing is refused that fits.
func TestQuotedLen(t *testing.T) {
	for s, exact := range map[string]bool{
		"": true, "text": true, "\"<\\>&\b\f\n\r\t\x00\x1f\x7f": true, "日本": true, "\u2028": false, "\xff": false,
	} {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := quotedLen(s), len(quoted)-len(`""`); got > want || exact && got != want {
			t.Errorf("quotedLen(%q) = %d, want %d", s, got, want)
		}
	}
}

// peakOf returns the max resident memory of a process so far, in MiB.
func peakOf(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return math.Ceil(kib / 1024)
}
