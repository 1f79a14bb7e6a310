package figures

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"
)

// A File holds the last run of each suite, by the suite's name. Plots and bounds
// are made from it. It is kept next to the page.
type File map[string]*Run

// A Run is the measurements of one suite.
type Run struct {
	Date    string   `json:"date"`
	Commit  string   `json:"commit"`
	Missing []string `json:"missing"` // contenders that did not take part, and why
	Figures []Figure `json:"figures,omitempty"`
}

// A Figure is one measurement, with a value for each round: values of the same run
// with the same index were measured in the same round.
type Figure struct {
	Of     string    `json:"of"`           // a contender
	On     string    `json:"on,omitempty"` // an upstream, or a platform
	What   string    `json:"what"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"`
}

// NewRun returns a run without figures.
func (m Machine) NewRun(began time.Time, missing []string) *Run {
	return &Run{Date: began.UTC().Format(time.DateOnly), Commit: m.commit, Missing: append([]string{}, missing...)}
}

// Add adds a figure, unless there are no values.
func (r *Run) Add(of, on, what, unit string, values ...float64) {
	if len(values) > 0 {
		r.Figures = append(r.Figures, Figure{of, on, what, unit, values})
	}
}

// Values returns the values of a figure, or nil if it was not measured.
func (f File) Values(suite, of, on, what string) []float64 {
	run := f[suite]
	if run == nil {
		return nil
	}
	for _, m := range run.Figures {
		if m.Of == of && m.On == on && m.What == what {
			return m.Values
		}
	}
	return nil
}

// Read reads the file at path. If there is none, the result is empty.
func Read(path string) (File, error) {
	all := make(File)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// Write writes the file, one line per figure so that diffs are readable.
func (f File) Write(path string) error {
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, name := range slices.Sorted(maps.Keys(f)) {
		if i > 0 {
			b.WriteString(",\n")
		}
		head, err := json.Marshal(Run{Date: f[name].Date, Commit: f[name].Commit, Missing: f[name].Missing})
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q: %s, \"figures\": [", name, bytes.TrimSuffix(head, []byte("}")))
		for j, m := range f[name].Figures {
			m.Values = rounded(m.Values)
			line, err := json.Marshal(m)
			if err != nil {
				return fmt.Errorf("%s of %s: %w", m.What, m.Of, err)
			}
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "\n  %s", line)
		}
		b.WriteString("\n]}")
	}
	b.WriteString("\n}\n")
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// Put replaces a suite's run in the file at path.
func Put(path, suite string, run *Run) error {
	all, err := Read(path)
	if err != nil {
		return err
	}
	all[suite] = run
	return all.Write(path)
}

// rounded returns values with four significant digits.
func rounded(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		if out[i] = v; !math.IsNaN(v) && !math.IsInf(v, 0) { // these make json.Marshal fail, as they should
			out[i], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
		}
	}
	return out
}
