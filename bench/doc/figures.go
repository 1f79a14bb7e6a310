package doc

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
	"strings"
	"time"
)

// Figures are what commands measured, by the name of the section of each: what
// plots, bounds and costs are made from. They are kept beside the page.
type Figures map[string]*Run

// A Run is what one command measured.
type Run struct {
	Date    string     `json:"date"`
	Commit  string     `json:"commit"`
	Missing []string   `json:"missing"` // contenders that took no part, and why
	Figures []Measured `json:"-"`
}

// A Measured are the values of one figure, in the order of the rounds. Values of
// the same command with the same index were measured in the same round.
type Measured struct {
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
		r.Figures = append(r.Figures, Measured{of, on, what, unit, values})
	}
}

// Values returns the values of a figure, or nil if it was not measured.
func (f Figures) Values(section, of, on, what string) []float64 {
	run := f[section]
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

// FiguresFile returns where the figures of a page are.
func FiguresFile(page string) string { return strings.TrimSuffix(page, ".md") + ".json" }

// ReadFigures reads a file. Without one, there are no figures.
func ReadFigures(path string) (Figures, error) {
	all := make(Figures)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	var runs map[string]*struct {
		Run
		Figures []Measured `json:"figures"`
	}
	if err := json.Unmarshal(b, &runs); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, run := range runs {
		run.Run.Figures = run.Figures
		all[name] = &run.Run
	}
	return all, nil
}

// Write writes the file, with a line for each figure so that versions compare.
func (f Figures) Write(path string) error {
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, name := range slices.Sorted(maps.Keys(f)) {
		if i > 0 {
			b.WriteString(",\n")
		}
		head, err := json.Marshal(f[name])
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

// putFigures puts a command's run into the file at path, in place of its last one.
func (s Section) putFigures(path string, run *Run) error {
	all, err := ReadFigures(path)
	if err != nil {
		return err
	}
	all[s.Name] = run
	return all.Write(path)
}

// rounded returns values with four digits, which is more than they deserve.
func rounded(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		if out[i] = v; !math.IsNaN(v) && !math.IsInf(v, 0) { // those JSON refuses, and so it should
			out[i], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
		}
	}
	return out
}
