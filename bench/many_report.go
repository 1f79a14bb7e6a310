package main

import (
	"bytes"
	"fmt"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

// streamsReport writes the results of the suite streams as Markdown.
func (res *results) streamsReport() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `## Many event streams

Streams that are open at the same time, with one event every %s s each, of %d bytes. Memory is by how much a new
process has grown for each; CPU is that of an event; the delay of an event is counted from when the upstream wrote
it. Medians of %d rounds, with minimum and maximum in parentheses.

`, figures.Format(upstream.EndlessGap.Seconds()), upstream.EventSize, res.rounds)
	nginx := res.row(nameNginx, plain)
	for _, n := range res.plan.streams {
		fmt.Fprintf(&b, "### %s streams\n\n", thousands(n))
		if fitting(n) < n {
			fmt.Fprintf(&b, "On this machine a process may have %s descriptors, and a relay needs two for each "+
				"stream: so it is %s streams.\n\n",
				thousands(maxFiles()), thousands(fitting(n)))
		}
		columns := []column{
			{"KiB/stream", relayed(value(manyMemory(n)))},
			{"µs CPU/event", relayed(value(manyCPU(n)))},
		}
		if nginx != nil {
			columns = append(columns, column{"CPU × nginx", relayed(func(w *row) string {
				return figures.Spread(w.compared(manyCPU(n), nginx))
			})})
		}
		writeTable(&b, res.at(plain), append(columns,
			column{"delay p50 µs", value(manyP50(n))},
			column{"delay p99 µs", value(manyP99(n))},
			column{"opened in s", value(manyOpen(n))},
			column{"lost", func(w *row) string { return figures.Thousands(w.sum(manyLost(n))) }},
		))
	}
	res.writeStreamsMethod(&b)
	return b.Bytes()
}

func (res *results) writeStreamsMethod(b *bytes.Buffer) {
	for _, reason := range res.missing {
		fmt.Fprintf(b, "%s.\n\n", reason)
	}
	b.WriteString("How this was measured:\n\n" + res.machine.Lines(res.began, res.took))
	b.WriteString(`- Each contender is a new process in each round, in turns. Up to 64 streams are opened at the same time, each with its first event.
- Events have numbers: one that is missing is lost. So is a stream that ends, which none should.
- To repeat: ` + "`go run ./bench -suite streams`" + `, with -quick for a rough look at 1,000.
`)
	res.writeFailures(b)
}
