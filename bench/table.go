package main

import (
	"bytes"
	"fmt"

	"example.com/relay/internal/figures"
)

// A column of a table has a cell for each contender.
type column struct {
	title string
	cell  func(*row) string
}

// writeTable writes a table with a line for each row.
func writeTable(b *bytes.Buffer, rows []*row, columns []column) {
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	b.WriteString(figures.Header(titles...))
	for _, w := range rows {
		fmt.Fprintf(b, "| %s |", w.name)
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", c.cell(w))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// value formats a metric.
func value(m metric) func(*row) string {
	return func(w *row) string { return figures.Spread(w.values[m]) }
}

// share formats how many of a row's events came together with another.
func (w *row) share() string { return figures.Share(int(w.sum(together)), int(w.sum(events))) }

// inMicros returns values that are in ms in µs.
func inMicros(ms []float64) (us []float64) {
	for _, v := range ms {
		us = append(us, 1000*v)
	}
	return us
}

func thousands(n int) string { return figures.Thousands(float64(n)) }

// relayed returns cell with a dash for direct, which has no relay.
func relayed(cell func(*row) string) func(*row) string {
	return func(w *row) string {
		if w.running.process == nil {
			return "–"
		}
		return cell(w)
	}
}

// compared returns a column of ratios for each contender that others are compared
// with, if it took part.
func (res *results) compared(kind string, m metric, title string) []column {
	var columns []column
	for _, name := range []string{nameNginx, nameCaddy, nameWorker, nameStock} {
		base := res.row(name, kind)
		if base == nil {
			continue
		}
		columns = append(columns, column{title + " × " + shortNames[name], relayed(func(w *row) string {
			return figures.Spread(w.compared(m, base))
		})})
	}
	return columns
}

// shortNames are the contenders' names in titles.
var shortNames = map[string]string{nameNginx: "nginx", nameCaddy: "Caddy", nameWorker: "worker", nameStock: "stock"}

// insideNames are the benchmarks that are reported, with their descriptions.
var insideNames = []struct{ name, what string }{
	{"Chat", "response of 600 bytes"},
	{"Events", "stream of 200 events"},
	{"Embeddings", "response of 30 KB"},
	{"Download", "download of 2 MiB"},
	{"Upload", "upload of 5 MiB"},
}

// writeInside writes the results of the benchmarks in one process, if they were run.
func (res *results) writeInside(b *bytes.Buffer) {
	if len(res.inside) == 0 {
		return
	}
	b.WriteString(`## In one process

From ` + "`go test -bench . ./bench`" + `: everything in one process. Clients and upstream hardly allocate, so
allocations are the relay's. Times include all three.

`)
	b.WriteString(figures.Header("allocations/request", "× stock", "KiB allocated/request", "× stock", "time × direct",
		"stock's time × direct"))
	for _, n := range insideNames {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", n.what,
			res.inside.figure(n.name, "relay", "allocs/op", 1), res.inside.ratio(n.name, "relay", "stock", "allocs/op"),
			res.inside.figure(n.name, "relay", "B/op", 1<<10), res.inside.ratio(n.name, "relay", "stock", "B/op"),
			res.inside.ratio(n.name, "relay", "direct", "ns/op"), res.inside.ratio(n.name, "stock", "direct", "ns/op"))
	}
	fmt.Fprintf(b, "\nAn idle stream holds %s KiB of live heap and stacks, %s KiB of them beyond the minimum of "+
		"net/http's server and transport.\n\n",
		res.inside.figure("IdleStream", "", "B/stream", 1<<10),
		res.inside.figure("IdleStream", "", "B/stream-beyond-net/http", 1<<10))
}

// writeFailures writes which measurements failed and were repeated.
func (res *results) writeFailures(b *bytes.Buffer) {
	for _, w := range res.rows {
		if len(w.failures) > 0 {
			fmt.Fprintf(b, "- %s, %s: %d measurements failed and were repeated; the first error was %q.\n", w.name,
				w.on, len(w.failures), w.failures[0].Error())
		}
	}
}
