// Command cpu measures what the Worker costs beside the fifteen lines that most
// people deploy, whose body passes natively: the CPU time of the runtime's process
// for each request and for each event of a stream. The two run side by side and
// take turns, so that what else the machine does meets both. It takes a minute.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/workerd"
)

//go:embed plain.js
var plain []byte

// What is measured: rounds in which each contender has its turn.
const (
	rounds   = 7
	clients  = 8
	requests = 1500 // a round

	streams = 20
	events  = 400 // a stream, eventGap apart
	gap     = 5 * time.Millisecond
)

const event = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cpu:", err)
		os.Exit(1)
	}
}

// A contender is one Worker under the same load.
type contender struct {
	name string
	*workerd.Process
	perRequest, perEvent []float64 // µs, one for each round
}

func run() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(ln, http.HandlerFunc(upstream)) }() // until the program ends
	url := "http://" + ln.Addr().String()
	module, err := cloudflare.Module()
	if err != nil {
		return err
	}
	program, err := workerd.Install()
	if err != nil {
		return err
	}
	relay := &contender{name: "worker.js"}
	lines := &contender{name: "fifteen lines"}
	for c, w := range map[*contender]workerd.Worker{
		relay: {Module: module, Bindings: map[string]string{"RELAY_UPSTREAMS": url,
			"RELAY_ACCESS_TOKENS": "token-of-the-benchmark"}},
		lines: {Module: plain, Bindings: map[string]string{"UPSTREAM": url}},
	} {
		if c.Process, err = workerd.Start(program, w, io.Discard); err != nil {
			return err
		}
		defer c.Stop()
	}
	for round := range rounds + 1 { // the first warms up
		for _, c := range []*contender{relay, lines} {
			perRequest, err := c.measure(requests, c.sendRequests)
			if err != nil {
				return err
			}
			perEvent, err := c.measure(streams*events, c.readStreams)
			if err != nil {
				return err
			}
			if round > 0 {
				c.perRequest, c.perEvent = append(c.perRequest, perRequest), append(c.perEvent, perEvent)
			}
		}
	}
	fmt.Printf("%-14s %18s %18s\n", "median of "+strconv.Itoa(rounds), "CPU per request", "CPU per event")
	for _, c := range []*contender{relay, lines} {
		fmt.Printf("%-14s %15.0f µs %15.0f µs\n", c.name, median(c.perRequest), median(c.perEvent))
	}
	fmt.Printf("%-14s %17.2f× %17.2f×\n", "ratio", ratio(relay.perRequest, lines.perRequest),
		ratio(relay.perEvent, lines.perEvent))
	return nil
}

// measure returns the CPU time in µs that the process took for each of n.
func (c *contender) measure(n int, load func() error) (float64, error) {
	before, err := cpuTime(c.Pid())
	if err != nil {
		return 0, err
	}
	if err := load(); err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	after, err := cpuTime(c.Pid())
	return float64((after - before).Microseconds()) / float64(n), err
}

func (c *contender) sendRequests() error {
	return parallel(clients, func() error {
		for range requests / clients {
			if err := c.call("/v1/embeddings"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *contender) readStreams() error {
	return parallel(streams, func() error { return c.call("/v1/chat/completions") })
}

// call sends a request as official SDKs do and reads the response.
func (c *contender) call(path string) error {
	req, err := http.NewRequest("POST", c.URL+path,
		strings.NewReader(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer rt_token-of-the-benchmark.sk-0123456789abcdef0123456789abcdef",
		"Content-Type":  "application/json", "Accept": "application/json",
		"User-Agent": "OpenAI/JS 7.59.0", "X-Stainless-Lang": "js", "X-Stainless-Package-Version": "7.59.0",
		"X-Stainless-Os": "Linux", "X-Stainless-Arch": "x64",
		"X-Stainless-Runtime": "node", "X-Stainless-Runtime-Version": "v20.20.2", "X-Stainless-Retry-Count": "0",
		"X-Stainless-Timeout": "600",
	} {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("status %d", res.StatusCode))
	}
	return nil
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: streams, DisableCompression: true}}

// upstream responds in JSON, or streams events one by one.
func upstream(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	if req.URL.Path != "/v1/chat/completions" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[{"object":"embedding","index":0,`+
			`"embedding":[0.1,0.2,0.3]}],`+
			`"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for range events {
		<-tick.C
		if _, err := io.WriteString(w, event); err != nil {
			return
		}
		_ = rc.Flush()
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// parallel runs f n times at once and returns an error of one.
func parallel(n int, f func() error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = f() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// cpuTime returns what all threads of a process have run, as the kernel counts it
// in nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, errors.New("this needs Linux, whose kernel says what a process has run")
	}
	var total time.Duration
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio returns the median of the rounds' ratios: the two of a round ran one
// right after the other.
func ratio(a, b []float64) float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] / b[i]
	}
	return median(all)
}
