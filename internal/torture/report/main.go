// Command report writes the table of docs/evidence/reliability.md from what the tests of
// the torture matrix reported.
//
//	report -in results.jsonl [-out docs/evidence/reliability.md]
//
// Without -out it prints the table. It fails if a row failed or did not run.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"example.com/relay/internal/figures"
	"example.com/relay/internal/section"
	"example.com/relay/internal/torture"
)

// fronts are the columns.
var fronts = []struct{ name, title string }{
	{"local", "local"},
	{"lambda-stream", "Lambda, streamed"},
	{"lambda-buffered", "Lambda, buffered"},
	{"gcf", "GCF"},
	{"vercel", "Vercel"},
	{"worker", "Cloudflare"},
	{"gateway", "gateway"},
	{"process", "in process"},
}

const (
	passed    = "✓"
	failed    = "✗"
	exception = "–"
)

func main() {
	in := flag.String("in", "", "`file` that TORTURE_REPORT named")
	out := flag.String("out", "", "`file` whose section to write, in place of standard output")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	text := m.text(time.Now())
	if out == "" {
		_, err = os.Stdout.Write(text)
	} else {
		err = section.Write(out, "torture", text)
	}
	if missing := m.missing(); err == nil && len(missing) > 0 {
		err = fmt.Errorf("rows that failed or did not run: %s", strings.Join(missing, " "))
	}
	return err
}

// A matrix is the results by row and front.
type matrix map[string]map[string]torture.Result

// read reads lines of JSON. Of several results for one cell a failure counts, or
// else the last.
func read(in io.Reader) (matrix, error) {
	m := make(matrix)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r torture.Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		if m[r.Row] == nil {
			m[r.Row] = make(map[string]torture.Result)
		}
		if before, ok := m[r.Row][r.Front]; !ok || mark(before) != failed {
			m[r.Row][r.Front] = r
		}
	}
	return m, lines.Err()
}

// mark returns the cell of a result.
func mark(r torture.Result) string {
	switch {
	case r.Passed:
		return passed
	case strings.HasPrefix(r.Note, "exception: "):
		return exception
	}
	return failed
}

// missing returns the rows that failed on a front, or ran on none.
func (m matrix) missing() (list []string) {
	for _, row := range rows {
		bad := len(m[row.id]) == 0
		for _, r := range m[row.id] {
			bad = bad || mark(r) == failed
		}
		if bad {
			list = append(list, row.id)
		}
	}
	return list
}

func (m matrix) text(now time.Time) []byte {
	var b bytes.Buffer
	counts := make(map[string]int)
	for _, row := range rows {
		for _, r := range m[row.id] {
			counts[mark(r)]++
		}
	}
	fmt.Fprintf(&b, "Of %d rows: %d cells hold, %d are exceptions, %d fail. %s, %s.\n\n",
		len(rows), counts[passed], counts[exception], counts[failed],
		now.UTC().Format(time.DateOnly), figures.ThisMachine(context.Background()))
	m.table(&b)
	m.figures(&b)
	m.exceptions(&b)
	return b.Bytes()
}

func (m matrix) table(b *bytes.Buffer) {
	fmt.Fprint(b, "| | what goes wrong |")
	for _, f := range fronts {
		fmt.Fprintf(b, " %s |", f.title)
	}
	fmt.Fprintf(b, "\n|---|---|%s\n", strings.Repeat(":-:|", len(fronts)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s | %s |", row.id, row.title)
		for _, f := range fronts {
			cell := ""
			if r, ok := m[row.id][f.name]; ok {
				cell = mark(r)
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		fmt.Fprintln(b)
	}
}

// figures writes what the rows measured, next to the targets.
func (m matrix) figures(b *bytes.Buffer) {
	fmt.Fprint(b, "\n### Figures\n\n| figure | target | measured |\n|---|---|---|\n")
	for _, f := range published {
		var value string
		switch {
		case f.elsewhere != "":
			value = f.elsewhere
		case f.front == "":
			value = m.none(f.row)
		default:
			value = m.figure(f.row, f.front)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", f.name, f.target, strings.ReplaceAll(value, "|", `\|`))
	}
}

// figure returns what a row measured on a front.
func (m matrix) figure(row, front string) string {
	value := "not measured in this run"
	switch r := m[row][front]; mark(r) {
	case passed:
		value = cmp.Or(r.Note, "held")
	case failed:
		if r.Row != "" {
			value = "**missed**: " + cmp.Or(r.Note, "see the row")
		}
	}
	return fmt.Sprintf("%s (%s, %s)", value, row, front)
}

// none returns in how many tests of the rows in list the forbidden did not occur.
func (m matrix) none(list string) string {
	n := 0
	var bad []string
	for _, row := range rows {
		if row.id == "E08" || list != everyRow && !slices.Contains(strings.Fields(list), row.id) {
			continue
		}
		for _, r := range m[row.id] {
			switch mark(r) {
			case passed:
				n++
			case failed:
				bad = append(bad, row.id)
			}
		}
	}
	where := strings.ReplaceAll(list, " ", ", ")
	if list == everyRow {
		where = "all rows"
	}
	if len(bad) > 0 {
		return fmt.Sprintf("**not known**: %s failed (%s)", strings.Join(bad, ", "), where)
	}
	return fmt.Sprintf("0 in %d tests (%s)", n, where)
}

// exceptions writes why fronts are excepted from rows, each reason once.
func (m matrix) exceptions(b *bytes.Buffer) {
	fmt.Fprint(b, "\n### Exceptions\n\n")
	for _, row := range rows {
		reasons := make(map[string][]string)
		for _, f := range fronts {
			if r, ok := m[row.id][f.name]; ok && mark(r) == exception {
				reason := strings.TrimPrefix(r.Note, "exception: ")
				reasons[reason] = append(reasons[reason], f.title)
			}
		}
		var lines []string
		for reason, list := range reasons {
			where := strings.Join(list, ", ")
			if len(list) == len(fronts) {
				where = "everywhere"
			}
			lines = append(lines, fmt.Sprintf("- %s (%s), %s: %s.\n", row.id, row.title, where, reason))
		}
		slices.SortFunc(lines, cmp.Compare)
		fmt.Fprint(b, strings.Join(lines, ""))
	}
}
