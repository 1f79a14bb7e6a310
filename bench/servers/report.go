package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

// A line of a table has a figure for each contender.
type line struct {
	what string
	cell func(w *row) string
}

// report writes the results as Markdown.
func (res *results) report() []byte {
	var b bytes.Buffer
	b.WriteString("## On Google Cloud Functions and Vercel\n\n")
	for _, platform := range []string{gcf, vercel} {
		res.writeSummary(&b, platform)
	}
	for _, platform := range []string{gcf, vercel} {
		res.writeTable(&b, platform)
	}
	direct := res.rows[0]
	fmt.Fprintf(&b, "Direct, without a server, the short answer takes %s µs (p99 %s) and an event %s µs (p99 %s); %s came together with another; there, that is the machine's doing.\n\n",
		figures.Spread(direct.chatP50), figures.Spread(direct.chatP99), figures.Spread(direct.lagP50), figures.Spread(direct.lagP99), figures.Share(direct.together, direct.events))
	res.writeMethod(&b)
	return b.Bytes()
}

// on returns the rows of a platform, the relay's first.
func (res *results) on(platform string) (rows []*row) {
	for _, w := range res.servers() {
		if w.c.platform == platform {
			rows = append(rows, w)
		}
	}
	return rows
}

func (res *results) writeSummary(b *bytes.Buffer, platform string) {
	direct, relay := res.rows[0], res.on(platform)[0]
	fmt.Fprintf(b, "For %s, the relay listens %s ms after its start and is resident with %s MiB when warm. It adds %s ms to a short answer and %s ms to each event (medians);\n"+
		"%s events came together with another.\n\n", platform, figures.Format(figures.Median(relay.start)), figures.Format(figures.Median(relay.warm)),
		figures.Format(figures.Median(figures.Added(relay.chatP50, direct.chatP50))), figures.Format(figures.Median(figures.Added(relay.lagP50, direct.lagP50))), figures.Share(relay.together, relay.events))
}

func (res *results) writeTable(b *bytes.Buffer, platform string) {
	fmt.Fprintf(b, "### %s\n\n", platform)
	var names []string
	for _, w := range res.on(platform) {
		names = append(names, w.name)
	}
	b.WriteString(figures.Header(names...))
	for _, l := range res.lines() {
		fmt.Fprintf(b, "| %s |", l.what)
		for _, w := range res.on(platform) {
			fmt.Fprintf(b, " %s |", l.cell(w))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// lines are those of the tables.
func (res *results) lines() []line {
	direct := res.rows[0]
	return []line{
		{"start of the process until it listens, ms: p50 (least, p90)", func(w *row) string { return figures.Quantiles(w.start) }},
		{"from there to the end of the first answer, ms: the same", func(w *row) string { return figures.Quantiles(w.first) }},
		{"warm, short answer: p50, ms added to direct", func(w *row) string { return figures.Spread(figures.Added(w.chatP50, direct.chatP50)) }},
		{"the same: p99", func(w *row) string { return figures.Spread(figures.Added(w.chatP99, direct.chatP99)) }},
		{fmt.Sprintf("event of a stream, one each %d ms: p50, ms added to direct", upstream.SlowGap.Milliseconds()), func(w *row) string { return figures.Spread(figures.Added(w.lagP50, direct.lagP50)) }},
		{"the same: p99", func(w *row) string { return figures.Spread(figures.Added(w.lagP99, direct.lagP99)) }},
		{"events that came together with another", func(w *row) string { return figures.Share(w.together, w.events) }},
		{"measurements that an answer broke off in, and that were repeated", func(w *row) string { return fmt.Sprint(len(w.failures)) }},
		{"resident after the start, MiB", func(w *row) string { return figures.Spread(w.idle) }},
		{fmt.Sprintf("after %d short answers", warmChats), func(w *row) string { return figures.Spread(w.warm) }},
		{"executable for " + runtime.GOARCH + ", MB", func(w *row) string { return figures.Megabytes(w.built.size) }},
		{"a stream that the upstream breaks off looks like", func(w *row) string { return w.cut }},
	}
}

// writeFailures writes how measurements failed.
func (res *results) writeFailures(b *bytes.Buffer) {
	for _, w := range res.rows {
		if len(w.failures) > 0 {
			fmt.Fprintf(b, "- %s: failed first with %q.\n", w.name, w.failures[0].Error())
		}
	}
}

func (res *results) writeMethod(b *bytes.Buffer) {
	b.WriteString("### How the servers were measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay for %s: %s; for %s: %s. All are built as by `make dist`. Google's buildpack and Vercel build with flags of their own, so that sizes differ there.\n",
		strings.TrimPrefix(runtime.Version(), "go"), gcf, library(res.on(gcf)[0]), vercel, library(res.on(vercel)[0]))
	res.writeFailures(b)
	fmt.Fprintf(b, `- The relay is gcf/cmd and ./vercel. The others, bench/servers/stockgcf and stockserver, are what a user would write in fifteen lines, with FlushInterval -1.
- It is the servers alone that were measured, here: sandboxes, networks, the platforms' front ends and their shares of CPU are not in the figures, nor is the proxy
  that Vercel starts beside the server. The functions framework runs as on the platform (K_SERVICE is set), where it prints empty lines after each request.
- The relay has its default settings, so it logs every request; the others log nothing but errors. Logs go to the null device.
- Whether a process listens is asked about each %d µs, by connecting, so that starts are late by as much and a little. Starts of each: %d. Processes of each whose memory
  was taken: %d. Rounds of warm requests: %d, each with new processes and for each %d short answers of %d bytes one after the other, then a stream of %d events.
  In brackets, where not said otherwise, are the least and the largest.
- Contenders take turns, and in another order each time, so that what disturbs the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench/servers -quick`"+` for a rough look. It needs Linux.
`, pollGap.Microseconds(), res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize, res.plan.events)
}

// library returns the framework in w's executable.
func library(w *row) string {
	for version := range strings.SplitSeq(w.built.versions, ", ") {
		if strings.HasPrefix(version, "functions-framework-go ") {
			return version
		}
	}
	return "no library"
}
