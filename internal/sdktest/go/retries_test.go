package sdktest

import (
	"strconv"
	"testing"
)

// TestRetries counts the SDK's attempts. A relay must neither retry by itself nor
// keep the SDK from retrying.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name     string
		faults   []string
		attempts int
		ok       bool
	}{
		{"two 500s, default back-off", []string{"status=500", "status=500"}, 3, true},
		{"two 500s", []string{"status=500 retry-after-ms=1", "status=500 retry-after-ms=1"}, 3, true},
		{"three 500s", []string{"status=500 retry-after-ms=1", "status=500 retry-after-ms=1",
			"status=500 retry-after-ms=1"}, 3, false},
		{"429 with retry-after-ms", []string{"status=429 retry-after-ms=20"}, 2, true},
		{"409", []string{"status=409 retry-after-ms=1"}, 2, true},
		{"408", []string{"status=408 retry-after-ms=1"}, 2, true},
		{"400", []string{"status=400 retry-after-ms=1"}, 1, false},
		{"400 with x-should-retry", []string{"status=400 should-retry=true retry-after-ms=1"}, 2, true},
		{"503 without x-should-retry", []string{"status=503 should-retry=false retry-after-ms=1"}, 1, false},
		{"connection reset", []string{"reset-before"}, 2, true},
		{"connection closed", []string{"close-before"}, 2, true},
	} {
		runBoth(t, inProcess, test.name, func(t *testing.T, a *api) []failure {
			var failures []failure
			for _, call := range []func() error{
				func() error {
					_, err := a.Chat.Completions.New(t.Context(), chatParams())
					return err
				},
				func() error { return a.streamChat(t.Context(), chatParams()).err },
			} {
				a.upstream.Reset()
				a.upstream.Script(test.faults...)
				err := call()
				if ok := err == nil; ok != test.ok {
					t.Fatalf("the SDK succeeded: %t, want %t (error %v)", ok, test.ok, err)
				}
				if err != nil {
					failures = append(failures, failureOf(t, err))
				}
				a.wantRequests(t, test.attempts)
				for i, req := range a.upstream.Requests() {
					if got, want := req.Header.Get("X-Stainless-Retry-Count"), strconv.Itoa(i); got != want {
						t.Errorf("request %d has the retry count %q, want %q", i+1, got, want)
					}
				}
			}
			return failures
		})
	}
}
