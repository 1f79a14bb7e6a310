package main

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"time"

	"example.com/relay/internal/figures"
)

// shownInits is how many packages the report names; it sums up the others.
const shownInits = 15

// writeInit writes what a start consists of, and whether it should do more.
func (res *results) writeInit(b *bytes.Buffer) {
	relay := res.row(nameRelay, onLambda)
	packages := medians(relay.inits)
	all := sum(packages)
	toNext := relay.median(start)
	fmt.Fprintf(b, `### What init costs

The initialisers of %d packages take %s ms and %s KiB together, which is %s %% of the %s ms to the first
`+"`/next`"+` (GODEBUG=inittrace=1, medians of %d starts). The rest is the kernel's exec, Go's runtime, the settings,
and the first connection to the Runtime API.

`, len(packages), figures.Format(all.clock), figures.Format(all.bytes/1024), figures.Format(100*all.clock/toNext),
		figures.Format(toNext), len(relay.inits))
	b.WriteString(figures.Header("ms", "KiB allocated"))
	for _, p := range packages[:min(shownInits, len(packages))] {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", p.name, strconv.FormatFloat(p.clock, 'f', 3, 64),
			figures.Format(p.bytes/1024))
	}
	if len(packages) > shownInits {
		rest := packages[shownInits:]
		others := sum(rest)
		fmt.Fprintf(b, "| %d others | %s | %s |\n", len(rest), strconv.FormatFloat(others.clock, 'f', 3, 64),
			figures.Format(others.bytes/1024))
	}
	b.WriteByte('\n')
	res.writeTLS(b)
}

// sum returns what packages take together.
func sum(packages []packageInit) (all packageInit) {
	for _, p := range packages {
		all.clock, all.bytes = all.clock+p.clock, all.bytes+p.bytes
	}
	return all
}

// writeTLS writes what the first connection to the upstream costs, and why init
// does not open it.
func (res *results) writeTLS(b *bytes.Buffer) {
	relay := res.row(nameRelay, onLambda)
	overTLS := relay.median(firstTLS)
	more := overTLS - relay.median(firstResponse)
	roots, n := readRoots()
	fmt.Fprintf(b, `Opening the connection to the upstream during init would not pay off. Over TLS the first response takes %s ms, which is %s ms more than without, and the second response takes %s ms.
Round trips are free here, so this is work: reading %d roots (%s ms, measured alone), the handshake, and the check of
the certificate. At 256 MB, 0.14 of a core, it may take %s ms. But init is billed like the request after it, and the
client whose request causes a start waits for both: what one of them saves, the other spends, and the two round trips
of a handshake take as long in either. Only provisioned concurrency starts ahead of requests, and by the first
request the upstream may have closed such a connection. If a sandbox got more CPU in init than its memory buys, which
AWS does not promise, reading the roots there would save most of their cost.

`, figures.Format(overTLS), figures.Format(more), figures.Format(relay.median(secondTLS)), n, figures.Format(roots),
		figures.Format(more*1769/256))
}

// readRoots returns how many ms it takes to read this machine's roots, and how
// many they are.
func readRoots() (ms float64, n int) {
	bundle, n := systemRoots()
	var all []float64
	for range 5 {
		began := time.Now()
		x509.NewCertPool().AppendCertsFromPEM(bundle)
		all = append(all, figures.Millis(time.Since(began)))
	}
	return figures.Median(all), n
}

// medians returns each package's median over several starts, the longest first.
func medians(traces []*initTrace) []packageInit {
	clocks, bytes := make(map[string][]float64), make(map[string][]float64)
	for _, trace := range traces {
		for _, p := range trace.packages {
			clocks[p.name] = append(clocks[p.name], p.clock)
			bytes[p.name] = append(bytes[p.name], p.bytes)
		}
	}
	var all []packageInit
	for name := range clocks {
		all = append(all, packageInit{name, figures.Median(clocks[name]), figures.Median(bytes[name])})
	}
	slices.SortFunc(all, func(a, b packageInit) int {
		return cmp.Or(cmp.Compare(b.clock, a.clock), cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name))
	})
	return all
}
