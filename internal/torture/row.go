// Package torture runs the matrix of faults and bad inputs against every front
// of the relay: what a row of the matrix asks for holds wherever it applies, or
// the front's exception says why not.
//
// A test of a row calls [Row] first. Its name begins with the row's id, as in
// TestRegionFaults/C01/gateway. Where TORTURE_REPORT names a file, each row's
// outcome is appended to it as a line of JSON, from which docs/evidence/reliability.md is
// made.
package torture

import (
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// A Result is the outcome of one row on one front.
type Result struct {
	Row    string `json:"row"`   // "A01"
	Front  string `json:"front"` // "local", "lambda-stream", "gateway", …
	Passed bool   `json:"passed"`
	Note   string `json:"note,omitempty"` // why a front is excepted, or a figure
}

var reportMu sync.Mutex

// Row says that the test is that of a row on a front, and reports its outcome
// when it ends. The returned function adds a note, the last of which counts.
func Row(t *testing.T, row, front string) (note func(string)) {
	t.Helper()
	result := Result{Row: row, Front: front}
	t.Cleanup(func() {
		result.Passed = !t.Failed() && !t.Skipped()
		report(t, result)
	})
	return func(text string) { result.Note = text }
}

// Instead is [Row] for a front that cannot hold a row, and promises something
// else instead, which the test is of: if it passes, that is reported with the
// reason.
func Instead(t *testing.T, row, front, reason string) (note func(string)) {
	t.Helper()
	var shown string
	t.Cleanup(func() {
		result := Result{Row: row, Front: front, Note: "exception: " + reason}
		if shown != "" {
			result.Note += ": " + shown
		}
		if t.Failed() || t.Skipped() {
			result.Note = ""
		}
		report(t, result)
	})
	return func(text string) { shown = text }
}

// Except reports that a front cannot hold a row, and why.
func Except(t *testing.T, row, front, reason string) {
	t.Helper()
	report(t, Result{Row: row, Front: front, Note: "exception: " + reason})
}

func report(t *testing.T, result Result) {
	t.Helper()
	name := os.Getenv("TORTURE_REPORT")
	if name == "" {
		return
	}
	reportMu.Lock()
	defer reportMu.Unlock()
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	if err := json.NewEncoder(file).Encode(result); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
