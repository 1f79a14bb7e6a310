package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

// relayReport writes the results of the suite relay as Markdown.
func (res *results) relayReport() []byte {
	var b bytes.Buffer
	res.writeShort(&b)
	res.writeChat(&b)
	res.writeSteady(&b)
	res.writeBodies(&b)
	res.writeStreams(&b)
	res.writeMemory(&b)
	res.writeInside(&b)
	res.writeMethod(&b)
	return b.Bytes()
}

// writeShort writes what most readers came for.
func (res *results) writeShort(b *bytes.Buffer) {
	relay, direct := res.row(nameRelay, plain), res.row(nameDirect, plain)
	b.WriteString("Per request, all that the relay does included, it takes ")
	var ratios []string
	for _, name := range []string{nameStock, nameNginx, nameHAProxy, nameCaddy, nameWorker} {
		if base := res.row(name, plain); base != nil {
			ratios = append(ratios, figures.Format(figures.Median(relay.compared(cpu, base)))+" times the CPU of "+name)
		}
	}
	fmt.Fprintf(b, "%s. It adds %s ms to the first event of a stream and %s ms to each event (medians, %d streams at a time).\n\n", strings.Join(ratios, ", "),
		figures.Format(figures.Median(relay.added(first, direct))), figures.Format(figures.Median(relay.added(eventP50, direct))), clients)
	for _, reason := range res.missing {
		fmt.Fprintf(b, "%s.\n\n", reason)
	}
}

func (res *results) writeChat(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Responses of 600 bytes

Closed loop, %d clients, HTTP/1.1 without TLS to the relay. Medians of %d rounds, in brackets the least and the largest; ratios are taken within a round.
CPU is user and system time of the relay's own processes: on shared cores the fairest figure. The gateway's is without that of its regions.

`, clients, res.rounds)
	for _, kind := range kinds {
		fmt.Fprintf(b, "### Upstream: %s\n\n", kind)
		if kind == https2 {
			b.WriteString("nginx and the worker have no HTTP/2 for upstreams: the ratios to them are to what they take over HTTP/1.1. Direct speaks HTTP/1.1 too.\n\n")
		}
		columns := append([]column{{"µs CPU/request", relayed(value(cpu))}}, res.compared(kind, cpu, "CPU")...)
		writeTable(b, res.at(kind), columns)
		writeTable(b, res.at(kind), []column{
			{"req/s", value(rate)},
			{"p50 µs", value(loadedP50)},
			{"p99 µs", value(loadedP99)},
			{"RSS MiB", relayed(value(rss))},
			{"upstream connections per 10k requests", value(conns)},
		})
	}
	b.WriteString("A closed loop asks a slow relay less, so these latencies are those under the load that each can bear, not at the same load. Those are next.\n\n")
}

func (res *results) writeSteady(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Latency at %d requests a second

The same responses in an open loop: requests begin when they are due, whatever becomes of others, and take their time from then on, so that no wait is left out.
What a relay adds is the difference to direct with the same upstream, in ms, round by round. Clients send half their requests %s µs late or less, which is in all rows.

`, steadyRate, figures.Format(figures.Median(res.row(nameDirect, plain).values[late])))
	for _, kind := range kinds {
		direct := res.row(nameDirect, kind)
		added := func(m metric) func(*row) string {
			return relayed(func(w *row) string { return figures.Spread(w.added(m, direct)) })
		}
		fmt.Fprintf(b, "Upstream: %s.\n\n", kind)
		writeTable(b, res.at(kind), []column{
			{"p50 added, ms", added(steadyP50)},
			{"p99 added, ms", added(steadyP99)},
			{"p50 µs", value(steadyP50)},
			{"p99 µs", value(steadyP99)},
		})
	}
}

func (res *results) writeBodies(b *bytes.Buffer) {
	fmt.Fprintf(b, "## Larger bodies\n\nClosed loop, %d clients, plain HTTP to the upstream: the relay's CPU for one, in µs, and how many a second.\n\n", clients)
	var columns []column
	for _, body := range bodyCalls {
		columns = append(columns, column{body.name + ", µs CPU", relayed(value(body.cpu))}, column{"per second", value(body.rate)})
	}
	writeTable(b, res.at(plain), columns)
}

func (res *results) writeStreams(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Event streams

%d streams at a time, an event each %s ms in each: what a stream waits for its first event, and each event on its way.
The upstream writes the time into events. How long clients and upstream take to be woken up is in all rows; the differences
are the relay's. Events that came together were read in one piece with the one before. CPU time comes in steps of 10 ms, so here it is rough.

`, clients, figures.Format(figures.Millis(upstream.PacedGap)))
	direct := res.row(nameDirect, plain)
	added := func(m metric) func(*row) string {
		return relayed(func(w *row) string { return figures.Spread(inMicros(w.added(m, direct))) })
	}
	columns := []column{
		{"first event µs", value(first)},
		{"added to direct", added(first)},
		{"event lag p50 µs", value(eventP50)},
		{"added to direct", added(eventP50)},
		{"event lag p99 µs", value(eventP99)},
		{"came together", func(w *row) string { return w.share() }},
		{"µs CPU/event", relayed(value(eventCPU))},
	}
	writeTable(b, res.at(plain), append(columns, res.compared(plain, eventCPU, "CPU")...))
}

func (res *results) writeMemory(b *bytes.Buffer) {
	n := res.plan.idleStreams
	fmt.Fprintf(b, `## Start and idle streams

How long a new process takes from its start to the end of its first response; and by how much a new process grows (resident, as the kernel counts it) for each of %s streams that are open and silent, and for each of %s. Processes of each: %d.

`, thousands(n), thousands(2*n), res.plan.memory)
	columns := []column{
		{"first response, ms", relayed(value(startup))},
		{"KiB/stream at " + thousands(n), relayed(value(idleStream(n)))},
		{"at " + thousands(2*n), relayed(value(idleStream(2 * n)))},
	}
	writeTable(b, res.at(plain), append(columns, res.compared(plain, idleStream(n), "first")...))
}

func (res *results) writeMethod(b *bytes.Buffer) {
	b.WriteString("## How this was measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s", strings.TrimPrefix(runtime.Version(), "go"))
	for _, w := range res.at(plain) {
		if w.running.version != "" {
			fmt.Fprintf(b, "; %s: %s", w.name, w.running.version)
		}
	}
	fmt.Fprintf(b, ".\n- The relay is built as by `make dist`; its executable for linux/%s has %s MB.\n", runtime.GOARCH, figures.Format(float64(res.row(nameRelay, plain).built.size[runtime.GOARCH])/1e6))
	b.WriteString(`- Contenders take turns within a round and in another order in each, so that what disturbs the machine hits all of them.
- The relay checks a token, puts an API key in its place and logs every request, to the null device; policies for headers and CORS are as by default. Its limit of
  requests at a time is 4,000, for the idle streams.
- nginx: one worker for each core, nothing buffered, connections to the upstream kept, no access log. haproxy: connections shared, no log. Caddy: flushes at once, no log.
  Stock: NewSingleHostReverseProxy and its default transport, which keeps two idle connections. Worker: fifteen lines of JavaScript on what Cloudflare runs workers on.
  "net/http, copying and nothing else" is bench/floor.go. The gateway stands before three relays of default settings. Configurations are in bench/others.go and bench/worker.go. All who speak TLS to the upstream check its certificate.
`)
	res.writeFailures(b)
	for _, w := range res.rows {
		if w.failed > 0 {
			fmt.Fprintf(b, "- %s, %s: %d of %s requests failed, with %q first.\n", w.name, w.on, w.failed, figures.Thousands(float64(w.asked)), w.failure)
		}
	}
	b.WriteString("- To repeat: `make bench`, or `go run ./bench -suite relay -quick` for a rough look. It needs Linux; nginx, haproxy and Caddy take part when they are on PATH, the worker when npm is.\n")
}
