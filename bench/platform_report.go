package main

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/proc"
)

// lambdaReport writes the results of the suite lambda as Markdown.
func (res *results) lambdaReport() []byte {
	var b bytes.Buffer
	relay := res.row(nameRelay, onLambda)
	fmt.Fprintf(&b, "## On AWS Lambda\n\nThe function asks for its first event %s ms after its start, weighs %s MB as a zip and is resident with %s MiB when warm.\n"+
		"It adds %s ms to a short response and %s ms to each event (medians, the emulated Lambda's own work among them), and %s events came together with another.\n\n",
		figures.Format(relay.median(start)), figures.Megabytes(relay.built.zip["arm64"]), figures.Format(relay.median(rss)),
		figures.Format(relay.median(chatAdded)), figures.Format(relay.median(eventAdded)), relay.share())
	res.writePlatform(&b, onLambda, lambdaLines())
	res.writeDirect(&b, "a function")
	res.writeInit(&b)
	res.writeLambdaMethod(&b)
	return b.Bytes()
}

// serversReport writes the results of the suite servers as Markdown.
func (res *results) serversReport() []byte {
	var b bytes.Buffer
	b.WriteString("## On Google Cloud Functions and Vercel\n\n")
	for _, platform := range []string{onGCF, onVercel} {
		relay := res.row(nameRelay, platform)
		fmt.Fprintf(&b, "For %s, the relay listens %s ms after its start and is resident with %s MiB when warm. It adds %s ms to a short response and %s ms to each event (medians);\n"+
			"%s events came together with another.\n\n", platform, figures.Format(relay.median(start)), figures.Format(relay.median(rss)),
			figures.Format(relay.median(chatAdded)), figures.Format(relay.median(eventAdded)), relay.share())
	}
	for _, platform := range []string{onGCF, onVercel} {
		fmt.Fprintf(&b, "### %s\n\n", platform)
		res.writePlatform(&b, platform, serverLines())
	}
	res.writeDirect(&b, "a server")
	res.writeServersMethod(&b)
	return b.Bytes()
}

// A line of a platform's table has a figure for each contender, and an aim if the
// relay has one there.
type line struct {
	what, aim string
	cell      func(w *row) string
}

// writePlatform writes the table of a platform.
func (res *results) writePlatform(b *bytes.Buffer, platform string, lines []line) {
	rows := res.at(platform)
	var titles []string
	for _, w := range rows {
		titles = append(titles, w.name)
	}
	hasAims := slices.ContainsFunc(lines, func(l line) bool { return l.aim != "" })
	if hasAims {
		titles = append(titles, "aim")
	}
	b.WriteString(figures.Header(titles...))
	for _, l := range lines {
		fmt.Fprintf(b, "| %s |", l.what)
		for _, w := range rows {
			fmt.Fprintf(b, " %s |", l.cell(w))
		}
		if hasAims {
			fmt.Fprintf(b, " %s |", l.aim)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func lambdaLines() []line {
	const maxWarm = "≤ 11.4 (12 MB)"
	return slices.Concat(
		warmLines("start of the process to its first `/next`, ms: p50 (least, p90)", "≤ 5", "0"),
		[]line{
			{"resident after init, MiB", "", value(idle)},
			{fmt.Sprintf("after %d short responses", warmChats), maxWarm, value(rss)},
			{fmt.Sprintf("then after %d MB of JSON", largeJSON.Body/1e6), "", value(afterJSON)},
			{fmt.Sprintf("or after a file of %d MB, which comes as base64", largeFile.Body/1e6), "", value(afterFile)},
			{fmt.Sprintf("or after %d short responses that came over TLS", warmChats), maxWarm, value(afterTLS)},
			{"executable for arm64, amd64, MB", "", func(w *row) string { return weights(w.built.size) }},
			{"zip for arm64, amd64, MB", "≤ 2.6", func(w *row) string { return weights(w.built.zip) }},
			{fmt.Sprintf("a file of %d MB arrives", largeFile.Body/1e6), "whole", func(w *row) string { return w.words.upload }},
			{"a stream that the upstream breaks off looks like", "", func(w *row) string { return w.words.cut }},
			{"requests that fail after a freeze in which the upstream closed its connections", "0", func(w *row) string { return w.words.freeze }},
		})
}

func serverLines() []line {
	return slices.Concat(
		warmLines("start of the process until it listens, ms: p50 (least, p90)", "", ""),
		[]line{
			{"measurements that a response broke off in, and that were repeated", "", func(w *row) string { return fmt.Sprint(len(w.failures)) }},
			{"resident after the start, MiB", "", value(idle)},
			{fmt.Sprintf("after %d short responses", warmChats), "", value(rss)},
			{"executable for " + runtime.GOARCH + ", MB", "", func(w *row) string { return weights(w.built.size) }},
			{"a stream that the upstream breaks off looks like", "", func(w *row) string { return w.words.cut }},
		})
}

// warmLines are those that all platforms have: of the start, which is called
// what, and of warm processes.
func warmLines(what, startAim, togetherAim string) []line {
	quantiles := func(m metric) func(*row) string {
		return func(w *row) string { return figures.Quantiles(w.values[m]) }
	}
	return []line{
		{what, startAim, quantiles(start)},
		{"from there to the end of the first response, ms: the same", "", quantiles(firstAnswer)},
		{"warm, short response: p50, ms added to direct", "", value(chatAdded)},
		{"the same: p99", "", value(chatAddedP99)},
		{fmt.Sprintf("event of a stream, one each %d ms: p50, ms added to direct", upstream.SlowGap.Milliseconds()), "", value(eventAdded)},
		{"the same: p99", "", value(eventAddedP99)},
		{"events that came together with another", togetherAim, (*row).share},
	}
}

// weights writes sizes, in the order of architectures.
func weights(sizes map[string]int64) string {
	var list []string
	for _, arch := range slices.Backward(slices.Sorted(maps.Keys(sizes))) {
		list = append(list, figures.Megabytes(sizes[arch]))
	}
	return strings.Join(list, ", ")
}

// writeDirect writes what direct takes, without what stands in its place for
// others.
func (res *results) writeDirect(b *bytes.Buffer, without string) {
	direct := res.rows[0]
	fmt.Fprintf(b, "Direct, without %s, the short response takes %s µs (p99 %s) and an event %s µs (p99 %s); %s came together with another; there, that is the machine's doing.\n\n",
		without, value(chatP50)(direct), value(chatP99)(direct), value(eventP50)(direct), value(eventP99)(direct), direct.share())
}

func (res *results) writeLambdaMethod(b *bytes.Buffer) {
	b.WriteString("### How the function was measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay: %s; built as by `make dist`, the others likewise. This machine ran the builds for %s.\n",
		strings.TrimPrefix(runtime.Version(), "go"), res.row(nameRelay, onLambda).built.versions, runtime.GOARCH)
	res.writeFailures(b)
	fmt.Fprintf(b, `- No AWS account is needed: internal/lambdaemu, which speaks the Runtime API, stands in for Lambda and its function URL in the mode RESPONSE_STREAM;
  api-proxy cannot stream, so its is BUFFERED. What that costs is in all rows. A real sandbox, its network and its share of CPU are not in them.
- The relay has its default settings, so it logs every request; the others log nothing. They are in bench/stock/lambdaurl and bench/stock/apiproxy.
- Starts of each: %d. Processes whose memory was taken: %d after init, twice as many when warm. Rounds of warm requests: %d, each with new processes and for each
  %d short responses of %d bytes one after the other, then a stream of %d events. In brackets, where not said otherwise, are the least and the largest.
- Contenders take turns, and in another order each time, so that what disturbs the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench -suite lambda -quick`"+` for a rough look. It needs Linux.
`, res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize, res.plan.events)
}

func (res *results) writeServersMethod(b *bytes.Buffer) {
	b.WriteString("### How the servers were measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay for %s: %s; for %s: %s. All are built as by `make dist`. Google's buildpack and Vercel build with flags of their own, so that sizes differ there.\n",
		strings.TrimPrefix(runtime.Version(), "go"), onGCF, library(res.row(nameRelay, onGCF)), onVercel, library(res.row(nameRelay, onVercel)))
	res.writeFailures(b)
	fmt.Fprintf(b, `- The relay is gcf/cmd and ./vercel. The others, bench/stock/gcf and bench/stock/server, are what a user would write in fifteen lines, with FlushInterval -1.
- It is the servers alone that were measured, here: sandboxes, networks, the platforms' front ends and their shares of CPU are not in the figures, nor is the proxy
  that Vercel starts beside the server. The functions framework runs as on the platform (K_SERVICE is set), where it prints empty lines after each request.
- The relay has its default settings, so it logs every request; the others log nothing but errors. Logs go to the null device.
- Whether a process listens is asked about each %d µs, by connecting, so that starts are late by as much and a little. Starts of each: %d. Processes of each whose memory
  was taken: %d. Rounds of warm requests: %d, each with new processes and for each %d short responses of %d bytes one after the other, then a stream of %d events.
  In brackets, where not said otherwise, are the least and the largest.
- Contenders take turns, and in another order each time, so that what disturbs the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench -suite servers -quick`"+` for a rough look. It needs Linux.
`, proc.PollGap.Microseconds(), res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize, res.plan.events)
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
