package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"example.com/relay/bench/doc"
)

// report writes the results as Markdown.
func (res *results) report() []byte {
	var b bytes.Buffer
	res.writeShort(&b)
	res.writeChat(&b)
	res.writeStreams(&b)
	res.writeMemory(&b)
	res.writeInside(&b)
	res.writeMethod(&b)
	return b.Bytes()
}

// writeShort writes what most readers came for.
func (res *results) writeShort(b *bytes.Buffer) {
	relay, direct, stock, nginx := res.row(nameRelay), res.row(nameDirect), res.row(nameStock), res.row(nameNginx)
	fmt.Fprintf(b, "Per request, the relay takes %s times the CPU of a stock `httputil.ReverseProxy`", doc.Figure(doc.Median(relay.chat.compared(cpu, stock.chat))))
	if nginx != nil {
		fmt.Fprintf(b, " and %s times that of nginx", doc.Figure(doc.Median(relay.chat.compared(cpu, nginx.chat))))
	}
	fmt.Fprintf(b, ". It adds %s ms to the first event of a stream and %s ms to each event (medians, %d streams at a time).\n\n",
		doc.Figure(doc.Median(relay.stream.over(first, direct.stream))/1000), doc.Figure(doc.Median(relay.stream.over(lagP50, direct.stream))/1000), clients)
	for _, name := range res.missing {
		fmt.Fprintf(b, "%s: not installed.\n\n", name)
	}
}

func (res *results) writeChat(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Answers of 600 bytes

Closed loop, %d clients, plain HTTP/1.1 on both sides. Medians of %d rounds, in brackets the least and the largest.
CPU is user and system time of the relay's own processes: on shared cores the fairest figure.

Ratios, each taken within a round:

`, clients, res.rounds)
	direct, stock, nginx := res.row(nameDirect), res.row(nameStock), res.row(nameNginx)
	ratio := func(m metric, base *row) func(*row) string {
		return func(w *row) string { return doc.Spread(w.chat.compared(m, base.chat)) }
	}
	columns := []column{{"CPU × stock", relayed(ratio(cpu, stock))}}
	if nginx != nil {
		columns = append(columns, column{"CPU × nginx", relayed(ratio(cpu, nginx))})
	}
	columns = append(columns, column{"req/s × direct", ratio(rate, direct)}, column{"p50 × direct", ratio(p50, direct)}, column{"p99 × direct", ratio(p99, direct)})
	res.writeTable(b, columns)
	b.WriteString("The figures behind them:\n\n")
	value := func(m metric) func(*row) string { return func(w *row) string { return doc.Spread(w.chat.values(m)) } }
	res.writeTable(b, []column{
		{"µs CPU/request", relayed(value(cpu))},
		{"req/s", value(rate)},
		{"p50 µs", value(p50)},
		{"p99 µs", value(p99)},
		{"RSS MiB", relayed(value(rss))},
		{"upstream connections per 10k requests", value(conns)},
	})
}

func (res *results) writeStreams(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Event streams

%d streams at a time, an event each %s ms in each: what a stream waits for its first event, and each event on its way.
The upstream writes the time into events. How long clients and upstream take to be woken up is in all rows; the differences
are the relay's. CPU time comes in steps of 10 ms, so here it is rough.

`, clients, doc.Figure(pacedGapMS))
	direct, nginx := res.row(nameDirect), res.row(nameNginx)
	value := func(m metric) func(*row) string { return func(w *row) string { return doc.Spread(w.stream.values(m)) } }
	added := func(m metric) func(*row) string {
		return relayed(func(w *row) string { return doc.Spread(w.stream.over(m, direct.stream)) })
	}
	columns := []column{
		{"first event µs", value(first)},
		{"added to direct", added(first)},
		{"event lag p50 µs", value(lagP50)},
		{"added to direct", added(lagP50)},
		{"event lag p99 µs", value(lagP99)},
		{"µs CPU/event", relayed(value(cpu))},
	}
	if nginx != nil {
		columns = append(columns, column{"CPU × nginx", relayed(func(w *row) string { return doc.Spread(w.stream.compared(cpu, nginx.stream)) })})
	}
	res.writeTable(b, columns)
}

func (res *results) writeMemory(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Idle streams

By how much a new process grows (resident, as the kernel counts it) for each of %d streams that are open and silent. Processes of each: %d.

`, res.plan.idleStreams, res.plan.memoryRounds)
	stock := res.row(nameStock)
	res.writeTable(b, []column{
		{"KiB/stream", relayed(func(w *row) string { return doc.Spread(w.memory.values(idle)) })},
		{"× stock", relayed(func(w *row) string { return doc.Spread(w.memory.compared(idle, stock.memory)) })},
	})
}

func (res *results) writeMethod(b *bytes.Buffer) {
	b.WriteString("## How this was measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s", strings.TrimPrefix(runtime.Version(), "go"))
	for _, w := range res.rows {
		if w.c.version != "" {
			fmt.Fprintf(b, "; %s: %s", w.name, w.c.version)
		}
	}
	b.WriteString(".\n")
	b.WriteString(`- Contenders take turns within a round and in another order in each, so that what disturbs the machine hits all of them.
- nginx: one worker for each core, nothing buffered, connections to the upstream kept, no access log. Caddy: flushes at once, no log.
  Stock: NewSingleHostReverseProxy and its default transport, which keeps two idle connections. Their configurations are in bench/compare.
- A closed loop asks a slow relay less, so latencies are those under the load that each can bear, not at the same load.
`)
	for _, w := range res.rows {
		if w.failed > 0 {
			fmt.Fprintf(b, "- %s: %d of %s requests failed, with %q first.\n", w.name, w.failed, doc.Thousands(float64(w.asked)), w.failure)
		}
	}
	b.WriteString("- To repeat: `make bench`, or `go run ./bench/compare -quick` for a rough look. It needs Linux; nginx and Caddy take part when they are on PATH.\n")
}
