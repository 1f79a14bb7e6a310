package contract

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/relay/internal/build"
	"example.com/relay/internal/section"
)

// The conformance table of docs/platforms.md has a row for each case of the
// contract and a column for each adapter. TestAdapter compares the column that As
// names with its results; with CONFORMANCE=update in the environment it rewrites
// the column instead.
const conformanceFile = "docs/platforms.md"

// conformanceColumns are the columns, in order.
var conformanceColumns = []string{
	"local server", "AWS Lambda, RESPONSE_STREAM", "AWS Lambda, BUFFERED", "Google Cloud Functions",
	"Vercel", "Cloudflare Workers",
}

// conform compares results with a column of the table, or rewrites it.
func conform(t *testing.T, column string, results map[string]string) {
	t.Helper()
	if !slices.Contains(conformanceColumns, column) {
		t.Fatalf("conformanceColumns lacks %q", column)
	}
	root, err := build.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, conformanceFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := section.Content(string(text), "conformance")
	if err != nil {
		t.Fatalf("%s: %v", conformanceFile, err)
	}
	cells := parseTable(table)
	cells[column] = results
	updated, err := section.Replace(string(text), "conformance", formatTable(cells))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case updated == string(text):
	case os.Getenv("CONFORMANCE") == "update":
		if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the column %q of %s is stale: run make conformance", column, conformanceFile)
	}
}

// parseTable returns the cells of a table by column and row.
func parseTable(table string) map[string]map[string]string {
	cells := make(map[string]map[string]string)
	var header []string
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if header == nil {
			header = fields
			continue
		}
		for i := 1; i < min(len(fields), len(header)); i++ {
			if cells[header[i]] == nil {
				cells[header[i]] = make(map[string]string)
			}
			cells[header[i]][fields[0]] = fields[i]
		}
	}
	return cells
}

// formatTable returns the table, in the order of the contract and the columns.
func formatTable(cells map[string]map[string]string) string {
	var b strings.Builder
	b.WriteString("| | " + strings.Join(conformanceColumns, " | ") + " |\n|---|")
	b.WriteString(strings.Repeat("---|", len(conformanceColumns)) + "\n")
	for _, c := range contract {
		b.WriteString("| " + c.name + " |")
		for _, column := range conformanceColumns {
			cell := cells[column][c.name]
			if cell == "" {
				cell = "not run"
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
