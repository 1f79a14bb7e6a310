package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, regions.Program)) }

// brief is a plan for tests.
var brief = plan{rate: 200, killAt: 600 * time.Millisecond, outage: 400 * time.Millisecond,
	runFor: 1500 * time.Millisecond, useFor: time.Second}

// A stub is a gateway that is as simple as can be: it tries the regions in order
// and moves on when a connection is refused. Its flaws are what the rig is to
// find.
type stub struct {
	urls  []string
	calls atomic.Int64

	doubles  bool // sends every tenth POST twice
	invents  bool // sends POSTs of its own
	hides    bool // ends cut streams as if they were complete
	forgets  bool // never returns to a region that was refused
	resends  bool // sends again after a broken connection
	idles    bool // sends nothing anywhere
	silent   bool // does not tell its attempts
	rambles  bool // has its own words for errors
	forsaken [3]atomic.Bool
}

func (g *stub) start(t *testing.T) starter {
	return func(_ context.Context, fleet *regions.Fleet) (string, func(), error) {
		g.urls = fleet.URLs()
		server := httptest.NewServer(g)
		t.Cleanup(server.Close)
		return server.URL, server.Close, nil
	}
}

func (g *stub) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if g.idles {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	n := g.calls.Add(1)
	if g.doubles && n%10 == 0 {
		g.spend(req, body, req.Header.Get("X-Client-Request-Id"))
	}
	if g.invents && n%10 == 0 {
		g.spend(req, body, "of my own")
	}
	for i, url := range g.urls {
		if g.forsaken[i].Load() {
			continue
		}
		if !g.silent {
			w.Header().Set("X-Relay-Attempts", fmt.Sprint(i+1))
		}
		res, err := g.send(req, url, body)
		if err == nil {
			g.copy(w, res)
			return
		}
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused && g.forgets {
			g.forsaken[i].Store(true)
		} else if !refused && !g.resends {
			break
		}
	}
	if !g.rambles {
		w.Header().Set("X-Relay-Error", "upstream_reset")
		w.Header().Set("Retry-After-Ms", "50")
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (g *stub) send(req *http.Request, url string, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(req.Context(), req.Method, url+req.URL.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.GetBody = req.Header.Clone(), nil
	return http.DefaultTransport.RoundTrip(out)
}

// spend sends a request and discards its response.
func (g *stub) spend(req *http.Request, body []byte, id string) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Client-Request-Id", id)
	if res, err := g.send(req, g.urls[1], body); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func (g *stub) copy(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	buf := make([]byte, 4<<10)
	for {
		n, err := res.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = http.NewResponseController(w).Flush()
		if err == io.EOF || err != nil && g.hides {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// play runs an experiment with a stub over http.
func play(t *testing.T, name string, g *stub) *tally {
	t.Helper()
	e := byName(t, name)
	fig, err := e.stage(t.Context(), plain, regions.Program.Path(t), brief, g.start(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			fig.explain(t.Output())
		}
	})
	return fig
}

func byName(t *testing.T, name string) *experiment {
	t.Helper()
	i := slices.IndexFunc(experiments, func(e experiment) bool { return e.name == name })
	if i < 0 {
		t.Fatalf("no experiment %q", name)
	}
	e := experiments[i]
	e.outage = 0
	return &e
}

// broken returns the bounds that a run of an experiment does not keep.
func broken(t *testing.T, name string, resend bool, fig *tally) (names []string) {
	t.Helper()
	s := &series{experiment: byName(t, name), on: plain, resend: resend, runs: []*tally{fig}}
	res := &results{series: []*series{s}, runs: 1}
	for _, f := range res.findings() {
		if !f.kept() {
			names = append(names, f.what)
		}
	}
	if failed := res.verdict() != nil; failed != (len(names) > 0) {
		t.Errorf("verdict() = %v with %q", res.verdict(), names)
	}
	return names
}

func TestSoundGatewayIsFoundSound(t *testing.T) {
	fig := play(t, none, &stub{})
	if got := fig.outcomes[load.Complete]; got != fig.requests || fig.requests != 300 {
		t.Errorf("%d of %d requests complete, want all of 300: %s", got, fig.requests, fig)
	}
	if got := broken(t, none, false, fig); len(got) > 0 {
		t.Errorf("bounds not kept: %q", got)
	}
	fig = play(t, "refused", &stub{resends: true})
	if fig.outcomes[load.Cut] == 0 || fig.outcomes[load.Truncated] > 0 || fig.used == 0 {
		t.Errorf("a region refused: %s, want streams cut and the region used again", fig)
	}
	for _, what := range broken(t, "refused", true, fig) {
		// It asks the refused region first each time, which is what the budget is for.
		if !strings.HasPrefix(what, "retries beyond") {
			t.Errorf("not kept: %q", what)
		}
	}
	if fig.maxAttempts != 2 || retries(fig) == 0 {
		t.Errorf("%d attempts at most, %v retries", fig.maxAttempts, retries(fig))
	}
}

func TestFlawsAreFound(t *testing.T) {
	for _, test := range []struct {
		flaw, experiment string
		stub             *stub
		found            func(*tally) float64
		bound            string
	}{
		{"a POST sent twice", none, &stub{doubles: true}, doubled, "POSTs that reached the API twice, resend off"},
		{"a POST of its own", none, &stub{invents: true}, func(f *tally) float64 { return float64(f.unknown) },
			"POSTs that reached the API and that no client sent"},
		{"truncated streams that end cleanly", "reset", &stub{hides: true}, count(load.Truncated),
			"truncated responses that look complete"},
		{"a request lost at a reset", "reset", &stub{rambles: true}, count(load.Failed), ""},
		{"a request lost at a reset, said so", "reset", &stub{}, count(load.Ambiguous), ""},
		{"a POST resent at a reset", "reset", &stub{resends: true}, doubled,
			"POSTs that reached the API twice, resend off"},
		{"a region forgotten", "refused", &stub{forgets: true},
			func(f *tally) float64 { return max(0, usedAgain(f)-forever+1) },
			"a region that came back is used again after"},
		{"attempts not told", none, &stub{silent: true}, func(f *tally) float64 { return float64(f.untold) },
			"responses without X-Relay-Attempts"},
		{"a slow response", "slow to connect", &stub{}, func(f *tally) float64 { return max(0, slowest(f)-500) }, ""},
		{"other words when all are down", "all refused", &stub{rambles: true},
			func(f *tally) float64 { return float64(f.unheard) }, "all regions down: other responses"},
	} {
		t.Run(test.flaw, func(t *testing.T) {
			fig := play(t, test.experiment, test.stub)
			if test.found(fig) == 0 {
				t.Errorf("not found: %s", fig)
			}
			if got := broken(t, test.experiment, false, fig); test.bound != "" && !slices.Contains(got, test.bound) {
				t.Errorf("bounds not kept: %q, want %q among them", got, test.bound)
			}
		})
	}
}

// slowest returns the longest time to a first byte, in ms.
func slowest(f *tally) float64 { return float64(f.first.Quantile(1).Milliseconds()) }

func TestAllDownIsTimed(t *testing.T) {
	fig := play(t, "all refused", &stub{})
	if fig.told.Count() < 40 || fig.unheard > 0 || fig.maxAttempts != 3 {
		t.Errorf("%d told, %d not, %d attempts", fig.told.Count(), fig.unheard, fig.maxAttempts)
	}
	if got := untilTold(&tally{}); got != forever {
		t.Errorf("untilTold() of nothing = %v", got)
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	for _, test := range []struct {
		attempts int
		want     float64
	}{{1000, 0}, {1215, 0}, {1216, 1}} {
		fig := &tally{plan: plan{rate: 200}, requests: 1000, attempts: test.attempts}
		if got := overBudget(fig); got != test.want {
			t.Errorf("overBudget(%d attempts of 1000 requests in 5 s) = %v, want %v", test.attempts, got, test.want)
		}
	}
}

func TestBreakingWhatIsNotUsedShowsNothing(t *testing.T) {
	g := &stub{idles: true}
	if _, err := byName(t, "refused").stage(t.Context(), plain, regions.Program.Path(t), brief,
		g.start(t)); err == nil || !strings.Contains(err.Error(), "no region is in use") {
		t.Errorf("stage() = %v, want it to complain", err)
	}
}

// sample returns results of every experiment, the same each time.
func sample(runs int) *results {
	res := &results{runs: runs, series: every(nil)}
	for k, s := range res.series {
		for j := range runs {
			fig := &tally{plan: full, requests: 1600, attempts: 1600 + k, maxAttempts: 2,
				used: time.Second + time.Duration(j)*time.Millisecond}
			fig.outcomes[load.Complete] = 1600
			for i := range 1600 {
				first := time.Duration(1+(i*7919+k*31+j)%977) * 10 * time.Microsecond
				fig.first.Record(first)
				fig.points = append(fig.points, point{time.Duration(i)*5*time.Millisecond - full.killAt, first})
			}
			fig.told.Record(time.Second)
			s.runs = append(s.runs, fig)
		}
	}
	return res
}

func TestReport(t *testing.T) {
	res := sample(3)
	report := string(res.report())
	for _, want := range []string{
		"| black hole | https, HTTP/2 | off | 1,600 | 0 / 0 |", "### When every region is down",
		"| all refused | https, HTTP/2 | on | 1,000 / 1,000 |",
		"1.00 / 1.00 |", "holds", "make chaos",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, never := range []string{"NaN", "not measured", "**does not hold**", "%!"} {
		if strings.Contains(report, never) {
			t.Errorf("the report says %q:\n%s", never, report)
		}
	}
	if err := res.verdict(); err != nil {
		t.Error(err)
	}
	res.series[4].runs[1].outcomes[load.Truncated] = 1
	if report := string(res.report()); !strings.Contains(report, "**does not hold**") ||
		!errors.Is(res.verdict(), errBounds) {
		t.Error("one truncated answer of one run goes unnoticed")
	}
}

func TestPlotIsSmallAndTheSameEachTime(t *testing.T) {
	var drawn [][]byte
	for i := range 2 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i, ".svg"))
		if err := sample(10).draw(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		drawn = append(drawn, b)
	}
	if !bytes.Equal(drawn[0], drawn[1]) {
		t.Error("two plots of the same differ")
	}
	if len(drawn[0]) > 100<<10 || !bytes.Contains(drawn[0], []byte("rolling restart, SIGKILL")) {
		t.Errorf("the plot has %d bytes, want 100 KiB at most and every experiment", len(drawn[0]))
	}
}

func TestSlotsKeepTheSlowest(t *testing.T) {
	s := &series{runs: []*tally{
		{points: []point{{0, time.Millisecond}, {time.Millisecond, 3 * time.Second}, {-2 * time.Second, time.Hour}}},
		{points: []point{{2 * time.Millisecond, 2 * time.Millisecond}, {time.Hour, time.Hour}}},
	}}
	medians, maxima := s.lines()
	if len(medians) != 1 || medians[0].Y != 2 || maxima[0].Y != 3000 {
		t.Errorf("lines() = %v, %v, want one slot with 2 and 3000", medians, maxima)
	}
}

func TestFlags(t *testing.T) {
	opts, err := parse([]string{"-quick", "-only", "black", "-gateway", "A=1 B=2"}, io.Discard)
	if err != nil || opts.runs != 1 || len(opts.gateway) != 2 || !opts.only.MatchString("black hole") {
		t.Errorf("parse() = %+v, %v", opts, err)
	}
	for _, bad := range [][]string{{"-runs", "0"}, {"-only", "("}, {"extra"}, {"-no-such"}} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("parse(%q) = no error", bad)
		}
	}
}
