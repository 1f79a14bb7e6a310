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
	fmt.Fprintf(&b, "## On AWS Lambda\n\nThe function asks for its first event %s ms after its start. Its zip is %s "+
		"MB, and its resident memory %s MiB when warm.\n"+
		"It adds %s ms to a short response and %s ms to each event (medians, which include the emulated Lambda), "+
		"and %s events came together with another.\n\n",
		figures.Format(relay.median(start)), figures.Megabytes(relay.built.zip["arm64"]),
		figures.Format(relay.median(rss)),
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
		fmt.Fprintf(&b, "For %s, the relay listens %s ms after its start, and its resident memory is %s MiB when "+
			"warm. It adds %s ms to a short response and %s ms to each event (medians);\n"+
			"%s events came together with another.\n\n", platform, figures.Format(relay.median(start)),
			figures.Format(relay.median(rss)),
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

// A line of a platform's table has a figure for each contender, and may have an aim
// for the relay.
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
			{fmt.Sprintf("or after a file of %d MB, in base64", largeFile.Body/1e6), "", value(afterFile)},
			{fmt.Sprintf("or after %d short responses over TLS", warmChats), maxWarm, value(afterTLS)},
			{"executable for arm64, amd64, MB", "", func(w *row) string { return weights(w.built.size) }},
			{"zip for arm64, amd64, MB", "≤ 2.6", func(w *row) string { return weights(w.built.zip) }},
			{fmt.Sprintf("a file of %d MB arrives", largeFile.Body/1e6), "whole",
				func(w *row) string { return w.words.upload }},
			{"a stream that the upstream breaks off looks like", "", func(w *row) string { return w.words.cut }},
			{"requests that fail after a freeze during which the upstream closed its connections", "0",
				func(w *row) string { return w.words.freeze }},
		})
}

func serverLines() []line {
	return slices.Concat(
		warmLines("start of the process until it listens, ms: p50 (least, p90)", "", ""),
		[]line{
			{"measurements repeated because a response was truncated", "",
				func(w *row) string { return fmt.Sprint(len(w.failures)) }},
			{"resident after the start, MiB", "", value(idle)},
			{fmt.Sprintf("after %d short responses", warmChats), "", value(rss)},
			{"executable for " + runtime.GOARCH + ", MB", "", func(w *row) string { return weights(w.built.size) }},
			{"a stream that the upstream breaks off looks like", "", func(w *row) string { return w.words.cut }},
		})
}

// warmLines are the lines of all platforms: of the start, titled what, and of warm
// processes.
func warmLines(what, startAim, togetherAim string) []line {
	quantiles := func(m metric) func(*row) string {
		return func(w *row) string { return figures.Quantiles(w.values[m]) }
	}
	return []line{
		{what, startAim, quantiles(start)},
		{"from there to the end of the first response, ms: the same", "", quantiles(firstResponse)},
		{"warm, short response: p50, ms added to direct", "", value(chatAdded)},
		{"the same: p99", "", value(chatAddedP99)},
		{fmt.Sprintf("event of a stream, one every %d ms: p50, ms added to direct", upstream.SlowGap.Milliseconds()),
			"", value(eventAdded)},
		{"the same: p99", "", value(eventAddedP99)},
		{"events that came together with another", togetherAim, (*row).share},
	}
}

// weights formats sizes, in the order of architectures.
func weights(sizes map[string]int64) string {
	var list []string
	for _, arch := range slices.Backward(slices.Sorted(maps.Keys(sizes))) {
		list = append(list, figures.Megabytes(sizes[arch]))
	}
	return strings.Join(list, ", ")
}

// writeDirect writes the figures of direct, which goes without a function or server.
func (res *results) writeDirect(b *bytes.Buffer, without string) {
	direct := res.rows[0]
	fmt.Fprintf(b, "Direct, without %s, the short response takes %s µs (p99 %s) and an event %s µs (p99 %s); %s "+
		"came together with another, which is due to the machine.\n\n",
		without, value(chatP50)(direct), value(chatP99)(direct), value(eventP50)(direct), value(eventP99)(direct),
		direct.share())
}

func (res *results) writeLambdaMethod(b *bytes.Buffer) {
	b.WriteString("### How the function was measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay: %s; all are built as by `make dist`. The builds for %s were run.\n",
		strings.TrimPrefix(runtime.Version(), "go"), res.row(nameRelay, onLambda).built.versions, runtime.GOARCH)
	res.writeFailures(b)
	fmt.Fprintf(b, `- No AWS account is needed: internal/lambdaemu emulates Lambda and its function URL in the mode RESPONSE_STREAM; api-proxy cannot stream, so it is measured in
  BUFFERED. The emulator's cost is in all rows; a real sandbox, its network and its CPU share are not.
- The relay has its default settings, so it logs every request; the others log nothing. They are in
  bench/stock/lambdaurl and bench/stock/apiproxy.
- Starts of each: %d. Processes whose memory was measured: %d after init, twice as many when warm. Rounds of warm
  requests: %d, each with a new process per contender and %d short responses of %d bytes one after the other, then a
  stream of %d events. In parentheses, unless noted otherwise, are the minimum and the maximum.
- Contenders take turns, in a different order each time, so that a disturbance of the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench -suite lambda -quick`"+` for a rough look. It needs Linux.
`, res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize, res.plan.events)
}

func (res *results) writeServersMethod(b *bytes.Buffer) {
	b.WriteString("### How the servers were measured\n\n" + res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Go: %s; in the relay for %s: %s; for %s: %s. All are built as by `make dist`. Google's "+
		"buildpack and Vercel use their own flags, so sizes differ there.\n",
		strings.TrimPrefix(runtime.Version(), "go"), onGCF, library(res.row(nameRelay, onGCF)), onVercel,
		library(res.row(nameRelay, onVercel)))
	res.writeFailures(b)
	fmt.Fprintf(b, `- The relay is gcf/cmd and ./vercel. The others, bench/stock/gcf and bench/stock/server, are what a user would write in fifteen lines, with FlushInterval -1.
- Only the servers were measured, on this machine: sandboxes, networks, the platforms' front ends and their CPU
  shares are not in the figures, nor is the proxy that Vercel starts with the server. The functions framework runs as
  on the platform (K_SERVICE is set), where it prints empty lines after each request.
- The relay has its default settings, so it logs every request; the others log only errors. Logs go to the null device.
- Processes are polled by connecting every %d µs, so starts appear slightly later than they are. Starts of each: %d.
  Processes of each whose memory was measured: %d. Rounds of warm requests: %d, each with a new process per contender
  and %d short responses of %d bytes one after the other, then a stream of %d events. In parentheses, unless noted
  otherwise, are the minimum and the maximum.
- Contenders take turns, in a different order each time, so that a disturbance of the machine hits all of them.
- To repeat: `+"`make bench`, or `go run ./bench -suite servers -quick`"+` for a rough look. It needs Linux.
`, proc.PollGap.Microseconds(), res.plan.starts, res.plan.memory, res.rounds, res.plan.chats, upstream.ChatSize,
		res.plan.events)
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
