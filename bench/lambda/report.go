package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

// A line of the table has a figure for each contender.
type line struct {
	what, aim string
	cell      func(w *row) string
}

// report writes the results as Markdown.
func (res *results) report() []byte {
	var b bytes.Buffer
	direct, relay := res.rows[0], res.rows[1]
	fmt.Fprintf(&b, "## On AWS Lambda\n\nThe function asks for its first event %s ms after its start, weighs %s MB as a zip and is resident with %s MiB when warm.\n"+
		"It adds %s ms to a short answer and %s ms to each event (medians, the emulated Lambda's own work among them), and %s events came together with another.\n\n",
		figures.Format(figures.Median(relay.init)), figures.Megabytes(relay.built.inZip["arm64"]), figures.Format(figures.Median(relay.warm)),
		figures.Format(figures.Median(figures.Added(relay.chatP50, direct.chatP50))), figures.Format(figures.Median(figures.Added(relay.lagP50, direct.lagP50))), share(relay))
	res.writeTable(&b)
	res.writeInit(&b)
	res.writeMethod(&b)
	return b.Bytes()
}

func (res *results) writeTable(b *bytes.Buffer) {
	var names []string
	for _, w := range res.functions() {
		names = append(names, w.name)
	}
	b.WriteString(figures.Header(append(names, "aim")...))
	for _, l := range res.lines() {
		fmt.Fprintf(b, "| %s |", l.what)
		for _, w := range res.functions() {
			fmt.Fprintf(b, " %s |", l.cell(w))
		}
		fmt.Fprintf(b, " %s |\n", l.aim)
	}
	direct := res.rows[0]
	fmt.Fprintf(b, "\nDirect, without a function, the short answer takes %s µs (p99 %s) and an event %s µs (p99 %s); %s came together with another; there, that is the machine's doing.\n\n",
		figures.Spread(direct.chatP50), figures.Spread(direct.chatP99), figures.Spread(direct.lagP50), figures.Spread(direct.lagP99), share(direct))
}

// lines are those of the table.
func (res *results) lines() []line {
	direct := res.rows[0]
	return []line{
		{"start of the process to its first `/next`, ms: p50 (least, p90)", "≤ 5", func(w *row) string { return figures.Quantiles(w.init) }},
		{"from there to the end of the first answer, ms: the same", "", func(w *row) string { return figures.Quantiles(w.first) }},
		{"warm, short answer: p50, ms added to direct", "", func(w *row) string { return figures.Spread(figures.Added(w.chatP50, direct.chatP50)) }},
		{"the same: p99", "", func(w *row) string { return figures.Spread(figures.Added(w.chatP99, direct.chatP99)) }},
		{fmt.Sprintf("event of a stream, one each %d ms: p50, ms added to direct", upstream.SlowGap.Milliseconds()), "", func(w *row) string { return figures.Spread(figures.Added(w.lagP50, direct.lagP50)) }},
		{"the same: p99", "", func(w *row) string { return figures.Spread(figures.Added(w.lagP99, direct.lagP99)) }},
		{"events that came together with another", "0", func(w *row) string { return share(w) }},
		{"resident after init, MiB", "", func(w *row) string { return figures.Spread(w.idle) }},
		{fmt.Sprintf("after %d short answers", warmChats), "≤ 11.4 (12 MB)", func(w *row) string { return figures.Spread(w.warm) }},
		{fmt.Sprintf("then after %d MB of JSON", largeJSON.Body/1e6), "", func(w *row) string { return figures.Spread(w.afterJSON) }},
		{fmt.Sprintf("or after a file of %d MB, which comes as base64", largeFile.Body/1e6), "", func(w *row) string { return figures.Spread(w.afterFile) }},
		{fmt.Sprintf("or after %d short answers that came over TLS", warmChats), "≤ 11.4 (12 MB)", func(w *row) string { return figures.Spread(w.warmTLS) }},
		{"executable for arm64, amd64, MB", "", func(w *row) string { return weights(w.built.size) }},
		{"zip for arm64, amd64, MB", "≤ 2.6", func(w *row) string { return weights(w.built.inZip) }},
		{fmt.Sprintf("a file of %d MB arrives", largeFile.Body/1e6), "whole", func(w *row) string { return w.lost.upload }},
		{"a stream that the upstream breaks off looks like", "", func(w *row) string { return w.lost.cut }},
		{"requests that fail after a freeze in which the upstream closed its connections", "0", func(w *row) string { return w.lost.freeze }},
	}
}

// share writes how many of w's events came together with another.
func share(w *row) string {
	return figures.Share(w.together, w.events)
}

func weights(sizes map[string]int64) string {
	var list []string
	for _, arch := range architectures {
		list = append(list, figures.Megabytes(sizes[arch]))
	}
	return strings.Join(list, ", ")
}

func (res *results) writeMethod(b *bytes.Buffer) {
	b.WriteString("### How the function was measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay: %s; built as by `make dist`, the others likewise. This machine ran the builds for %s.\n",
		strings.TrimPrefix(runtime.Version(), "go"), res.rows[1].built.versions, runtime.GOARCH)
	fmt.Fprintf(b, `- No AWS account is needed: internal/lambdaemu, which speaks the Runtime API, stands in for Lambda and its function URL in the mode RESPONSE_STREAM;
  api-proxy cannot stream, so its is BUFFERED. What that costs is in all rows. A real sandbox, its network and its share of CPU are not in them.
- The relay has its default settings, so it logs every request; the others log nothing. They are in bench/lambda/stockurl and bench/lambda/stockproxy.
- Starts of each: %d. Processes whose memory was taken: %d after init, twice as many when warm. Rounds of warm requests: %d, each with new processes and for each
  %d short answers of %d bytes one after the other, then a stream of %d events. In brackets, where not said otherwise, are the least and the largest.
- Contenders take turns, and in another order each time, so that what disturbs the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench/lambda -quick`"+` for a rough look. It needs Linux.
`, res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize, upstream.EventCount)
}
