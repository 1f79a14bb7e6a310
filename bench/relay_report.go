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

// writeShort writes the summary.
func (res *results) writeShort(b *bytes.Buffer) {
	relay, direct := res.row(nameRelay, plain), res.row(nameDirect, plain)
	b.WriteString("Per request, with all its checks and its log, the relay takes ")
	var ratios []string
	for _, name := range []string{nameStock, nameNginx, nameHAProxy, nameCaddy, nameWorker, namePortkey} {
		if base := res.row(name, plain); base != nil {
			ratios = append(ratios, figures.Format(figures.Median(relay.compared(cpu, base)))+" times the CPU of "+name)
		}
	}
	fmt.Fprintf(b, "%s. It adds %s ms to the first event of a stream and %s ms to each event (medians, %d "+
		"concurrent streams).\n\n", strings.Join(ratios, ", "),
		figures.Format(figures.Median(relay.added(first, direct))),
		figures.Format(figures.Median(relay.added(eventP50, direct))), clients)
	for _, reason := range res.missing {
		fmt.Fprintf(b, "%s.\n\n", reason)
	}
}

func (res *results) writeChat(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Responses of 600 bytes

Closed loop, %d clients, HTTP/1.1 without TLS to the relay. Medians of %d rounds, with minimum and maximum in
parentheses; ratios are taken within a round. CPU is user and system time of the relay's own processes, the fairest
figure on shared cores. The gateway's excludes its regions.

`, clients, res.rounds)
	for _, kind := range kinds {
		fmt.Fprintf(b, "### Upstream: %s\n\n", kind)
		if kind == https2 {
			b.WriteString("nginx and the worker do not support HTTP/2 to upstreams: ratios to them are to their " +
				"figures over HTTP/1.1. Direct uses HTTP/1.1 too.\n" +
				"So does the relay, for as many requests at a time as there are clients here; one row has it use " +
				"HTTP/2 (`RELAY_UPSTREAM_HTTP=2`).\n\n")
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
	b.WriteString("In a closed loop a slow relay gets fewer requests, so these latencies are not at the same load. " +
		"Those are next.\n\n")
}

func (res *results) writeSteady(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Latency at %d requests a second

The same responses in an open loop: requests are sent when they are due, however slow others are, and latency counts
from then, so that no wait is left out. What a relay adds is the difference to direct with the same upstream, in ms,
round by round. Clients send half their requests at most %s µs late, in all rows.

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
	fmt.Fprintf(b, "## Larger bodies\n\nClosed loop, %d clients, plain HTTP to the upstream: the relay's CPU time "+
		"for each, in µs, and how many per second.\n\n", clients)
	var columns []column
	for _, body := range bodyCalls {
		columns = append(columns, column{body.name + ", µs CPU", relayed(value(body.cpu))},
			column{"per second", value(body.rate)})
	}
	writeTable(b, res.at(plain), columns)
}

func (res *results) writeStreams(b *bytes.Buffer) {
	fmt.Fprintf(b, `## Event streams

%d concurrent streams with an event every %s ms: the time to the first event, and the lag of each event, into which
the upstream writes the time. How long clients and upstream take to wake up is in all rows; the differences are the
relay's. Events that came together were in one read with the one before. CPU time comes in steps of 10 ms, so it is
rough here.

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

The time from the start of a process to the end of its first response; and by how much a new process grows (resident
memory) for each of %s idle streams, and for each of %s. Processes of each contender: %d.

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
	fmt.Fprintf(b, ".\n- The relay is built as by `make dist`; its executable for linux/%s is %s MB.\n", runtime.GOARCH,
		figures.Format(float64(res.row(nameRelay, plain).built.size[runtime.GOARCH])/1e6))
	b.WriteString(`- Contenders take turns within a round, in a different order in each, so that a disturbance of the machine hits all of them.
- The relay checks a token, replaces it with an API key and logs every request to the null device; header and CORS
  policies are the defaults. Its in-flight limit is 12,000, for the idle streams.
- nginx: one worker per core, no buffering, keep-alive to the upstream, no access log. haproxy: shared connections,
  no log. Caddy: immediate flush, no log. Stock: NewSingleHostReverseProxy with the default transport, which keeps
  two idle connections. Worker: fifteen lines of JavaScript on workerd, Cloudflare's runtime; worker.js, on the same
  runtime, is the whole relay. Portkey's gateway: the release of npm on Node, one process. It takes part in short
  responses only: with this upstream, whose longer bodies and events are no real chats, it responded with errors or
  ended the connection. "net/http, copying and nothing else" is bench/floor.go. The gateway is in front of three
  relays with default settings. Configurations are in bench/others.go, bench/worker.go and bench/portkey.go. All
  contenders check the upstream's certificate over TLS.
`)
	res.writeFailures(b)
	for _, w := range res.rows {
		if w.failed > 0 {
			fmt.Fprintf(b, "- %s, %s: %d of %s requests failed; the first error was %q.\n", w.name, w.on, w.failed,
				figures.Thousands(float64(w.asked)), w.failure)
		}
	}
	b.WriteString("- To repeat: `make bench`, or `go run ./bench -suite relay -quick` for a rough look. It needs " +
		"Linux; nginx, haproxy and Caddy take part when they are on PATH, the worker and Portkey's gateway when npm " +
		"is.\n")
}
