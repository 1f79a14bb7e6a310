package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/figures"
)

// measured returns a row with values of cpu, in µs.
func measured(name, on string, values ...float64) *row {
	return &row{contender: contender{name: name, on: on}, values: map[metric][]float64{cpu: values}}
}

func TestRowsAreComparedRoundByRound(t *testing.T) {
	relay, nginx := measured(nameRelay, plain, 30, 300), measured(nameNginx, plain, 10, 100, 1)
	if got := relay.compared(cpu, nginx); !slices.Equal(got, []float64{3, 3}) {
		t.Errorf("compared() = %v, want [3 3]", got)
	}
	if got := relay.added(cpu, nginx); !slices.Equal(got, []float64{0.02, 0.2}) {
		t.Errorf("added() = %v, want [0.02 0.2] ms", got)
	}
}

func TestParseBenchmarks(t *testing.T) {
	got := parseBenchmarks([]byte("goos: linux\nBenchmarkChat/relay-2   \t 3603\t 90627 ns/op\t 6.62 MB/s\t 17618 " +
		"B/op\t 170 allocs/op\n" +
		"BenchmarkIdleStream-2 1 28 ns/op 74653 B/stream\nPASS\n"))
	if len(got) != 2 || got.value("Chat", "relay", "allocs/op") != 170 ||
		got.value("IdleStream", "", "B/stream") != 74653 {
		t.Errorf("parseBenchmarks() = %v", got)
	}
	if got := got.ratio("Chat", "relay", "direct", "ns/op"); got != "–" {
		t.Errorf("ratio to what is missing = %q, want –", got)
	}
}

// bare returns results of contenders without measurements.
func bare(names ...string) *results {
	res := &results{plan: relaySuite.quick, began: time.Now()}
	for _, name := range names {
		for _, kind := range kinds {
			w := measured(name, kind)
			w.running, w.built = new(running), new(built)
			res.rows = append(res.rows, w)
		}
	}
	return res
}

func TestReportSaysWhatIsMissing(t *testing.T) {
	res := bare(nameDirect, nameRelay, nameStock)
	res.missing = []string{"nginx: not installed", "Caddy: not installed"}
	report := string(res.relayReport())
	for _, want := range []string{"nginx: not installed", "Caddy: not installed", "## Event streams",
		"## Latency at 200", "TLS, HTTP/2", "To repeat"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(report, "× nginx") || strings.Contains(report, "NaN") {
		t.Errorf("the report compares with what is missing:\n%s", report)
	}
}

func TestWhatIsNotInstalledIsLeftOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	r := &rig{dir: t.TempDir(), progress: io.Discard}
	res := new(results)
	for _, c := range relayContenders {
		switch c.name {
		case nameNginx, nameHAProxy, nameCaddy, nameWorker, nameWorkerJS, namePortkey:
			res.rows = append(res.rows, &row{contender: c})
		}
	}
	if err := res.start(t.Context(), r); err != nil || len(res.rows) > 0 {
		t.Fatalf("start() = %v, %d rows, want none", err, len(res.rows))
	}
	want := []string{"nginx: not installed", "haproxy: not installed", "Caddy: not installed",
		"worker on workerd: not installed: there is no workerd here, and no npm to install it with",
		"relay on workerd (worker.js): not installed: there is no workerd here, and no npm to install it with",
		"Portkey's gateway: not installed: there is no node here"}
	if !slices.Equal(res.missing, want) {
		t.Errorf("missing are %q, want %q", res.missing, want)
	}
}

func TestContenderThatFailsIsNotLeftOut(t *testing.T) {
	broken := errors.New("broken")
	fails := func(context.Context, *rig, *row) (*running, error) { return nil, broken }
	res := &results{rows: []*row{{contender: contender{name: "it", on: plain, start: fails}}}}
	if err := res.start(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("start() = %v, want %v", err, broken)
	}
}

// Ratios over HTTP/2 are to HTTP/1.1 of those who have no HTTP/2, and to nothing
// else.
func TestRow(t *testing.T) {
	res := &results{rows: []*row{measured(nameNginx, plain), measured(nameNginx, https1), measured(nameCaddy, https2),
		measured(nameGateway, plain)}}
	for _, test := range []struct {
		name string
		on   string
		want *row
	}{
		{nameNginx, plain, res.rows[0]},
		{nameNginx, https1, res.rows[1]},
		{nameNginx, https2, res.rows[1]},
		{nameCaddy, https2, res.rows[2]},
		{nameGateway, https2, nil},
		{nameStock, plain, nil},
	} {
		if got := res.row(test.name, test.on); got != test.want {
			t.Errorf("row(%s, %s) = %v, want %v", test.name, test.on, got, test.want)
		}
	}
}

func TestShortOfTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, test := range []struct {
		rounds int
		each   time.Duration
		want   bool
	}{{0, time.Hour, false}, {1, 5 * time.Second, false}, {1, 9 * time.Second, true}} {
		if got := (&results{rounds: test.rounds}).shortOfTime(ctx, test.each); got != test.want {
			t.Errorf("shortOfTime() after %d rounds of %v = %v, want %v", test.rounds, test.each, got, test.want)
		}
	}
}

// What fails is measured again, and leaves nothing of its first time.
func TestRoundRepeatsWhatFails(t *testing.T) {
	w := measured(nameStock, plain)
	calls := 0
	each := func(w *row) error {
		w.add(cpu, 7)
		if calls++; calls < 3 {
			return errors.New("broke off")
		}
		return nil
	}
	res := new(results)
	if err := res.round(t.Context(), 0, []*row{w}, each); err != nil || calls != 3 || len(w.failures) != 2 ||
		!slices.Equal(w.values[cpu], []float64{7}) {
		t.Errorf("round() = %v after %d calls and %d failures with %v, want nil, 3, 2, [7]", err, calls,
			len(w.failures), w.values[cpu])
	}
	err := res.round(t.Context(), 0, []*row{w}, func(*row) error { return io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(w.failures) != maxFailures {
		t.Errorf("round() of what always fails = %v after %d failures, want an end after %d", err, len(w.failures),
			maxFailures)
	}
}

func TestRunRefuses(t *testing.T) {
	var out strings.Builder
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-suite", "relay", "extra"}, `takes no "extra"`},
		{[]string{"-suite", "rely"}, `there is no suite "rely"`},
		{nil, `there is no suite ""`},
	} {
		if err := run(t.Context(), test.args, &out, &out); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("run(%q) = %v, want %q", test.args, err, test.want)
		}
	}
}

// A figure of a suite is in the file under the suite's name, and beside the page.
func TestPublish(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("<!-- begin relay: x -->\n<!-- end relay -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := parse([]string{"-suite", "relay", "-out", page}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, measuredRun := measured(nameRelay, plain, 1), new(figures.Run)
	w.values[events], w.values[together] = []float64{5, 5}, []float64{1, 2}
	w.figures(measuredRun)
	if err := opts.publish([]byte("text"), measuredRun, io.Discard); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "\n\ntext\n\n") {
		t.Errorf("the page is %q, %v", b, err)
	}
	file, err := figures.Read(strings.TrimSuffix(page, ".md") + ".json")
	if got := file.Values("relay", nameRelay, plain, cpu.what); err != nil || !slices.Equal(got, []float64{1}) {
		t.Errorf("the file has %v, %v", got, err)
	}
	if got := file.Values("relay", nameRelay, plain, together.what); !slices.Equal(got, []float64{3}) {
		t.Errorf("events that came together = %v, want their sum", got)
	}
}
