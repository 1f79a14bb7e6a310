// Package torture runs the matrix of faults and bad inputs against every front
// of the relay: each row holds on every front, or the front's exception says why
// not.
//
// A test of a row calls [Row] first. Its name contains the row's id, as in
// TestRegionFaults/C01/gateway. If TORTURE_REPORT names a file, each row's
// outcome is appended to it as a line of JSON, from which
// docs/evidence/reliability.md is generated.
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

// Long has rows take as long as the matrix says, such as a minute of a flapping
// region. Without it they are shorter, and say so in their notes.
var Long = os.Getenv("TORTURE_LONG") == "1"

// Pick returns full if [Long], else brief.
func Pick[T any](brief, full T) T {
	if Long {
		return full
	}
	return brief
}

var reportMu sync.Mutex

// Row reports the test's outcome as that of a row on a front, when the test ends.
// The returned function sets the note of the report.
func Row(t *testing.T, row, front string) (note func(string)) {
	t.Helper()
	result := Result{Row: row, Front: front}
	t.Cleanup(func() {
		result.Passed = !t.Failed() && !t.Skipped()
		report(t, result)
	})
	return func(text string) { result.Note = text }
}

// Instead is [Row] for a front that is excepted from a row, and tests what it
// promises instead. If the test passes, the exception is reported with its reason.
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

// Except reports that a front is excepted from a row, and why.
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
