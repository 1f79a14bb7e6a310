package main

import (
	"bytes"
	"fmt"

	"example.com/relay/bench/doc"
	"example.com/relay/bench/upstream"
)

const pacedGapMS = float64(upstream.PacedGap) / 1e6

// A column of a table has a cell for each contender.
type column struct {
	title string
	cell  func(*row) string
}

// writeTable writes a table with a row for each contender.
func (res *results) writeTable(b *bytes.Buffer, columns []column) {
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	b.WriteString(doc.Header(titles...))
	for _, w := range res.rows {
		fmt.Fprintf(b, "| %s |", w.name)
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", c.cell(w))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// relayed returns cell without what would be said of direct, which has no
// relay that could take anything.
func relayed(cell func(*row) string) func(*row) string {
	return func(w *row) string {
		if w.c.process == nil {
			return "–"
		}
		return cell(w)
	}
}

// row returns the row of a contender, or nil if it took no part.
func (res *results) row(name string) *row {
	for _, w := range res.rows {
		if w.name == name {
			return w
		}
	}
	return nil
}

// insideNames are the benchmarks that are reported, with what they are.
var insideNames = []struct{ name, what string }{
	{"Chat", "answer of 600 bytes"},
	{"Events", "stream of 200 events"},
	{"Embeddings", "answer of 30 KB"},
	{"Download", "download of 2 MiB"},
	{"Upload", "upload of 5 MiB"},
}

// writeInside writes what the benchmarks in one process say, if they were run.
func (res *results) writeInside(b *bytes.Buffer) {
	if len(res.inside) == 0 {
		return
	}
	b.WriteString(`## In one process

From ` + "`go test -bench . ./bench`" + `: all of it in one process, clients and upstream allocating next to nothing, so that allocations are the relay's.
Times are of all three together.

`)
	b.WriteString(doc.Header("allocations/request", "× stock", "KiB allocated/request", "× stock", "time × direct", "stock's time × direct"))
	for _, n := range insideNames {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", n.what,
			res.inside.figure(n.name, "relay", "allocs/op", 1), res.inside.ratio(n.name, "relay", "stock", "allocs/op"),
			res.inside.figure(n.name, "relay", "B/op", 1<<10), res.inside.ratio(n.name, "relay", "stock", "B/op"),
			res.inside.ratio(n.name, "relay", "direct", "ns/op"), res.inside.ratio(n.name, "stock", "direct", "ns/op"))
	}
	fmt.Fprintf(b, "\nAn idle stream holds %s KiB of live heap and stacks, %s KiB of them beyond the least that net/http's server and transport can do with.\n\n",
		res.inside.figure("IdleStream", "", "B/stream", 1<<10), res.inside.figure("IdleStream", "", "B/stream-beyond-net/http", 1<<10))
}
