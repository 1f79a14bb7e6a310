package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"example.com/relay/internal/figures"
)

// lambdaCost is for n requests: the whole time of each is billed with the whole
// memory, as a sandbox serves one request at a time.
func lambdaCost(n, seconds, mb float64) float64 {
	return n * (lambdaRequest.dollars + seconds*mb/1024*lambdaGBSecond.dollars)
}

// runCost is for n requests of which as many as concurrency share an instance:
// the instance is billed while it has a request.
func runCost(n, seconds, concurrency, cpus, gib float64) float64 {
	return n * (runRequest.dollars + seconds/concurrency*(cpus*runCPUSecond.dollars+gib*runGiBSecond.dollars))
}

// fluidCost is for n requests of which as many as concurrency share an instance:
// its memory is billed while it has a request, CPU time only when it is used.
func fluidCost(n, seconds, cpu, concurrency, gb float64) float64 {
	return n * (fluidRequest.dollars + cpu/3600*fluidCPUHour.dollars + seconds/concurrency/3600*gb*fluidGBHour.dollars)
}

// workerCost is for n requests: their time is not billed.
func workerCost(n, cpu float64) float64 {
	return n * (workerRequest.dollars + 1000*cpu*workerCPUMS.dollars)
}

// lambdaCores is the share of a core that a function has by its memory.
func lambdaCores(mb float64) float64 { return mb / 1769 }

// An offer is an instance of a platform, and how many streams share it.
type offer struct {
	what    string
	use     use
	streams float64 // at a time in an instance
	mib     float64
	cores   float64
	dollars float64
}

// offers are those that are reported, with the relay as it was measured.
func offers(f figures.File) []offer {
	var all []offer
	onLambda := useOf(f, relay, "lambda", lambda)
	for _, mb := range []float64{128, 256, 512} {
		all = append(all, offer{fmt.Sprintf("AWS Lambda, %.0f MB, arm64", mb), onLambda, 1, mb, lambdaCores(mb),
			lambdaCost(requests, onLambda.seconds, mb)})
	}
	const gcf, vercel = "Google Cloud Functions", "Vercel"
	onRun := useOf(f, relay, "servers", gcf)
	for _, o := range []struct{ streams, cpus, mib float64 }{{1, 1.0 / 6, 256}, {80, 1, 512}, {200, 1, 512}} {
		all = append(all, offer{fmt.Sprintf("Cloud Run functions, %.3g vCPU, %.0f MiB", o.cpus, o.mib), onRun, o.streams, o.mib, o.cpus,
			runCost(requests, onRun.seconds, o.streams, o.cpus, o.mib/1024)})
	}
	onFluid := useOf(f, relay, "servers", vercel)
	for _, streams := range []float64{1, 10, 100} {
		const gb = 2 // as the standard function has, with one vCPU
		all = append(all, offer{"Vercel Fluid, 1 vCPU, 2 GB", onFluid, streams, gb * 1024, 1,
			fluidCost(requests, onFluid.seconds, onFluid.cpu, streams, gb)})
	}
	onWorkers := useOf(f, worker, "", "")
	return append(all, offer{workers, onWorkers, 1, 128, 1, workerCost(requests, onWorkers.cpu)})
}

// dollarsOf writes the cost of an offer, unless it is one that nobody can have.
func (o offer) dollarsOf() string {
	switch {
	case math.IsNaN(o.use.cpu) || math.IsNaN(o.use.memory(o.streams)) || math.IsNaN(o.dollars):
		return "not measured"
	case o.what != workers && !o.use.fits(o.streams, o.mib, o.cores):
		return "does not fit"
	}
	return strconv.FormatFloat(o.dollars, 'f', 2, 64)
}

// workers is the offer whose isolates are not processes, so that the memory of
// workerd says nothing of what fits.
const workers = "Cloudflare Workers, the original worker"

// writeCost writes what streams cost on each platform.
func writeCost(f figures.File) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `## What it costs

%s chat requests whose answers are streams of %.0f s with an event each %.0f ms, in US dollars, beyond all free allowances; network traffic and subscriptions are not in it.
CPU time, memory and added time are those measured above: of a request over TLS and %.0f events, resident after warm-up and by idle stream. CPU time is that of this machine's cores.

`, figures.Thousands(requests), streamSeconds, 1000/eventsSecond, streamSeconds*eventsSecond)
	b.WriteString(figures.Header("streams at a time in an instance", "MiB needed", "cores needed", "of", "dollars"))
	for _, o := range offers(f) {
		memory := figures.Format(o.use.memory(o.streams))
		if o.what == workers {
			memory = "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", o.what, figures.Thousands(o.streams), memory,
			digits(o.use.cores(o.streams)), digits(o.cores), o.dollarsOf())
	}
	b.WriteString(`
Lambda bills the whole time of a stream with the whole memory. The others bill an instance while it has a request, so that instances which are not full cost as much as full ones: half as many streams
in an instance cost twice as much, but for what is billed by request and by CPU time. Workers bill CPU time alone; their plan has a minimum of 5 dollars a month.

- Lambda: requests × (price of a request + seconds × MB / 1024 × price of a GB-second). Streams of less than 6 MB are not billed for their bytes.
- Cloud Run functions: requests × (price of a request + seconds / streams at a time × (vCPU × price of a vCPU-second + GiB × price of a GiB-second)).
- Vercel: requests × (price of an invocation + CPU hours × price of an hour + seconds / streams at a time / 3600 × GB × price of a GB-hour).
- Workers: requests × (price of a request + ms of CPU time × price of one).

`)
	b.WriteString("| price of | dollars | for each | stated |\n|---|---:|---|---|\n")
	for _, p := range prices {
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s |\n", p.platform, p.source, strconv.FormatFloat(p.dollars, 'f', -1, 64), p.unit, p.stated)
	}
	return b.Bytes()
}

// digits writes a small number with two digits that count.
func digits(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}
