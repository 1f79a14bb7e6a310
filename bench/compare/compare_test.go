package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/figures"
)

func TestSeriesAreComparedRoundByRound(t *testing.T) {
	relay, nginx := series{{cpu: 30}, {cpu: 300}}, series{{cpu: 10}, {cpu: 100}, {cpu: 1}}
	if got := relay.compared(cpu, nginx); len(got) != 2 || figures.Median(got) != 3 {
		t.Errorf("compared() = %v, want [3 3]", got)
	}
	if got := relay.over(cpu, nginx); len(got) != 2 || got[0] != 20 || got[1] != 200 {
		t.Errorf("over() = %v, want [20 200]", got)
	}
}

func TestParseBenchmarks(t *testing.T) {
	got := parseBenchmarks([]byte("goos: linux\nBenchmarkChat/relay-2   \t 3603\t 90627 ns/op\t 6.62 MB/s\t 17618 B/op\t 170 allocs/op\n" +
		"BenchmarkIdleStream-2 1 28 ns/op 74653 B/stream\nPASS\n"))
	if len(got) != 2 || got.value("Chat", "relay", "allocs/op") != 170 || got.value("IdleStream", "", "B/stream") != 74653 {
		t.Errorf("parseBenchmarks() = %v", got)
	}
	if got := got.ratio("Chat", "relay", "direct", "ns/op"); got != "–" {
		t.Errorf("ratio to what is missing = %q, want –", got)
	}
}

// bare returns results of contenders without measurements.
func bare(names ...string) *results {
	res := &results{plan: quick, began: time.Now()}
	for _, name := range names {
		for e := range ends {
			res.rows = append(res.rows, &row{name: name, end: e, c: &running{}})
		}
	}
	return res
}

func TestReportSaysWhatIsMissing(t *testing.T) {
	res := bare(nameDirect, nameRelay, nameStock)
	res.missing = []string{"nginx: not installed", "Caddy: not installed"}
	report := string(res.report())
	for _, want := range []string{"nginx: not installed", "Caddy: not installed", "## Event streams", "## Latency at 200", "TLS, HTTP/2", "To repeat"} {
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
	var others []contender
	for _, c := range contenders {
		switch c.name {
		case nameNginx, nameHAProxy, nameCaddy, nameWorker:
			others = append(others, c)
		}
	}
	if err := res.start(t.Context(), r, others); err != nil || len(res.rows) > 0 {
		t.Fatalf("start() = %v, %d rows, want none", err, len(res.rows))
	}
	want := []string{"nginx: not installed", "haproxy: not installed", "Caddy: not installed", "worker on workerd: not installed, and there is no npm to install it with"}
	if !slices.Equal(res.missing, want) {
		t.Errorf("missing are %q, want %q", res.missing, want)
	}
}

func TestContenderThatFailsIsNotLeftOut(t *testing.T) {
	broken := errors.New("broken")
	fails := func(context.Context, *rig, end) (*running, error) { return nil, broken }
	if err := new(results).start(t.Context(), nil, []contender{{"it", all, fails}}); !errors.Is(err, broken) {
		t.Errorf("start() = %v, want %v", err, broken)
	}
}

// Ratios over HTTP/2 are to HTTP/1.1 of those who have no HTTP/2, and to nothing
// else.
func TestRow(t *testing.T) {
	res := &results{rows: []*row{{name: nameNginx, end: plain}, {name: nameNginx, end: https1}, {name: nameCaddy, end: https2}, {name: nameGateway, end: plain}}}
	for _, test := range []struct {
		name string
		end  end
		want *row
	}{
		{nameNginx, plain, res.rows[0]},
		{nameNginx, https1, res.rows[1]},
		{nameNginx, https2, res.rows[1]},
		{nameCaddy, https2, res.rows[2]},
		{nameGateway, https2, nil},
		{nameStock, plain, nil},
	} {
		if got := res.row(test.name, test.end); got != test.want {
			t.Errorf("row(%s, %s) = %v, want %v", test.name, test.end, got, test.want)
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
