package main

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/relay/internal/figures"
)

// measured returns figures with which every bound is just kept.
func measured() figures.File {
	compare, onLambda, servers := new(figures.Run), new(figures.Run), new(figures.Run)
	compare.Figures = []figures.Figure{
		{Of: relay, On: plain, What: "CPU/request", Values: []float64{34, 68}},
		{Of: nginx, On: plain, What: "CPU/request", Values: []float64{10, 20}},
		{Of: caddy, On: plain, What: "CPU/request", Values: []float64{100, 200}},
		{Of: worker, On: plain, What: "CPU/request", Values: []float64{200, 400}},
		{Of: relay, On: https1, What: "CPU/request", Values: []float64{50}},
		{Of: nginx, On: https1, What: "CPU/request", Values: []float64{20}},
		{Of: worker, On: https1, What: "CPU/request", Values: []float64{500}},
		{Of: relay, On: plain, What: "p50 at a fixed rate", Values: []float64{700}},
		{Of: nginx, On: plain, What: "p50 at a fixed rate", Values: []float64{400}},
		{Of: relay, On: https1, What: "p50 at a fixed rate", Values: []float64{700}},
		{Of: nginx, On: https1, What: "p50 at a fixed rate", Values: []float64{500}},
		{Of: relay, On: plain, What: "events that came together", Values: []float64{0}},
		{Of: relay, On: plain, What: "event p50", Values: []float64{350}},
		{Of: direct, On: plain, What: "event p50", Values: []float64{50}},
		{Of: relay, On: plain, What: "idle stream of 1,000", Values: []float64{64}},
		{Of: relay, On: plain, What: "idle stream of 2,000", Values: []float64{64}},
		{Of: relay, On: plain, What: "CPU/event", Values: []float64{40}},
		{Of: worker, On: plain, What: "CPU/event", Values: []float64{79}},
		{Of: relay, On: https1, What: "RSS", Values: []float64{16}},
		{Of: worker, On: https1, What: "RSS", Values: []float64{200}},
		{Of: worker, On: plain, What: "idle stream of 1,000", Values: []float64{100}},
	}
	for what, v := range map[string]float64{"start": 5, "events that came together": 0, "event, added": 0.3, "RSS": 11.44, "zip for arm64": 2.6, "short answer, added": 1} {
		onLambda.Add(relay, lambda, what, "", v)
	}
	for _, platform := range []string{"Google Cloud Functions", "Vercel"} {
		servers.Add(relay, platform, "RSS", "MiB", 12)
		servers.Add(relay, platform, "short answer, added", "ms", 1)
	}
	return figures.File{"relay": compare, "lambda": onLambda, "servers": servers}
}

// set replaces the values of a figure.
func set(f figures.File, section, of, on, what string, values ...float64) {
	for i, m := range f[section].Figures {
		if m.Of == of && m.On == on && m.What == what {
			f[section].Figures[i].Values = values
		}
	}
}

func TestBounds(t *testing.T) {
	all := judge(measured())
	for _, j := range all {
		if got := j.within(j.must); got != "yes" {
			t.Errorf("%s: %v, within %v: %q, want yes", j.what, j.measured, j.must, got)
		}
	}
	if err := verdict(all); err != nil {
		t.Errorf("verdict() = %v", err)
	}
}

// Every bound can be broken, and by its own figure.
func TestBoundsCanBeBroken(t *testing.T) {
	for i, change := range []func(figures.File){
		func(f figures.File) { set(f, "relay", nginx, plain, "CPU/request", 9.9, 19.9) },
		func(f figures.File) { set(f, "relay", caddy, plain, "CPU/request", 34, 68) },
		func(f figures.File) { set(f, "relay", worker, plain, "CPU/request", 84, 160) },
		func(f figures.File) { set(f, "relay", relay, https1, "CPU/request", 51) },
		func(f figures.File) { set(f, "relay", nginx, plain, "p50 at a fixed rate", 399) },
		func(f figures.File) { set(f, "relay", relay, https1, "p50 at a fixed rate", 801) },
		func(f figures.File) { set(f, "relay", relay, plain, "events that came together", 1) },
		func(f figures.File) { set(f, "relay", direct, plain, "event p50", 49) },
		func(f figures.File) { set(f, "relay", relay, plain, "idle stream of 1,000", 64.1) },
		func(f figures.File) { set(f, "relay", relay, plain, "idle stream of 2,000", 64.1) },
		func(f figures.File) { set(f, "lambda", relay, lambda, "start", 5.1) },
		func(f figures.File) { set(f, "lambda", relay, lambda, "events that came together", 1) },
		func(f figures.File) { set(f, "lambda", relay, lambda, "event, added", 0.31) },
		func(f figures.File) { set(f, "lambda", relay, lambda, "RSS", 11.5) },
		func(f figures.File) { set(f, "lambda", relay, lambda, "zip for arm64", 2.61) },
	} {
		f := measured()
		change(f)
		all := judge(f)
		for k, j := range all {
			if got, want := j.within(j.must), map[bool]string{true: "no", false: "yes"}[k == i]; got != want {
				t.Errorf("change %d: %s: %q, want %q", i, j.what, got, want)
			}
		}
		if err := verdict(all); !errors.Is(err, errNotKept) {
			t.Errorf("change %d: verdict() = %v, want %v", i, err, errNotKept)
		}
		if !strings.Contains(string(writeBounds(f, all)), "| **no** |") {
			t.Errorf("change %d: the table does not say so", i)
		}
	}
}

func TestBoundsThatCouldNotBeJudged(t *testing.T) {
	f := measured()
	set(f, "relay", caddy, plain, "CPU/request")
	f["relay"].Missing = []string{"Caddy: not installed"}
	all := judge(f)
	if err := verdict(all); err != nil {
		t.Errorf("verdict() without Caddy = %v", err)
	}
	table := string(writeBounds(f, all))
	if !strings.Contains(table, "| CPU per request, × Caddy | Caddy: not installed | 0.55 |  |") || strings.Contains(table, "NaN") {
		t.Errorf("the table does not say that Caddy is missing:\n%s", table)
	}
	if !strings.Contains(table, "Of 15 bounds that the relay has set itself, 14 could be judged and 14 are kept.") {
		t.Errorf("the bounds are not counted well:\n%s", table)
	}
	if err := verdict(judge(figures.File{})); !errors.Is(err, errNothing) {
		t.Errorf("verdict() of nothing = %v, want %v", err, errNothing)
	}
}

func TestAimsAreSaidApart(t *testing.T) {
	table := string(writeBounds(measured(), judge(measured())))
	if !strings.Contains(table, "| CPU per request, × nginx | 3.40 (3.40–3.40) | 3.40 | yes | 2.00 | no |") {
		t.Errorf("the table is\n%s", table)
	}
}

func TestObstacle(t *testing.T) {
	f := measured()
	if got := obstacle(f); got != "" {
		t.Errorf("without the figures it says %q", got)
	}
	f["relay"].Figures = append(f["relay"].Figures,
		figures.Figure{Of: floor, On: plain, What: "CPU/request", Values: []float64{20, 40}},
		figures.Figure{Of: floor, On: https1, What: "CPU/request", Values: []float64{50}})
	got := obstacle(f)
	for _, want := range []string{"takes 2.00 times what nginx", "2.50 times over TLS", "takes 1.70 and 1.00 times"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q: %s", want, got)
		}
	}
}

func TestCosts(t *testing.T) {
	for _, test := range []struct {
		what      string
		got, want float64
	}{
		// 1e6 × 10 s × 0.25 GB × 0.0000133334 + 0.20
		{"Lambda", lambdaCost(1e6, 10, 256), 33.5335},
		{"half the memory", lambdaCost(1e6, 10, 128) - 0.20, 33.3335 / 2},
		// 1e6 × 10 s / 80 × (0.000024 + 0.5 × 0.0000025) + 0.40
		{"Cloud Run", runCost(1e6, 10, 80, 1, 0.5), 3.55625},
		{"a stream at a time", runCost(1e6, 10, 1, 1, 0.5), 252.9},
		// 1e6 × 0.036 s = 10 h × 0.128; 1e6 × 10 s / 10 / 3600 × 2 GB × 0.0106; 0.60
		{"Vercel", fluidCost(1e6, 10, 0.036, 10, 2), 1.28 + 5.888889 + 0.60},
		// 1e6 × 20 ms × 0.02e-6 + 0.30
		{"Workers", workerCost(1e6, 0.020), 0.70},
	} {
		if math.Abs(test.got-test.want) > 1e-4 {
			t.Errorf("%s: %v, want %v", test.what, test.got, test.want)
		}
	}
}

func TestUse(t *testing.T) {
	got := useOf(measured(), relay, "lambda", lambda)
	// 50 µs and 500 events of 40 µs; 10 s and 1 ms; 64 KiB
	want := use{cpu: 0.02005, seconds: 10.001, warm: 11.44, stream: 0.0625}
	if math.Abs(got.cpu-want.cpu) > 1e-9 || math.Abs(got.seconds-want.seconds) > 1e-9 || got.warm != want.warm || got.stream != want.stream {
		t.Errorf("useOf() = %+v, want %+v", got, want)
	}
	u := use{cpu: 0.1, seconds: 10, warm: 10, stream: 0.1}
	for _, test := range []struct {
		n, mib, cores float64
		want          bool
	}{{100, 20, 1, true}, {101, 20, 2, false}, {100, 128, 0.99, false}} {
		if got := u.fits(test.n, test.mib, test.cores); got != test.want {
			t.Errorf("fits(%v, %v, %v) = %v, want %v", test.n, test.mib, test.cores, got, test.want)
		}
	}
	if (use{cpu: none, seconds: 10, warm: 1, stream: 1}).fits(1, 1000, 1) {
		t.Error("what was not measured fits")
	}
}

func TestCostsAreWritten(t *testing.T) {
	got := string(writeCost(measured()))
	for _, want := range []string{
		"| AWS Lambda, 256 MB, arm64 | 1 | 11.5 | 0.002 | 0.14 | 33.54 |",
		"| Cloud Run functions, 1 vCPU, 512 MiB | 80 | 17.0 | 0.16 | 1 | 3.56 |",
		// 500 µs and 500 events of 79 µs: 40 ms
		"| Cloudflare Workers, the original worker | 1 | – | 0.004 | 1 | 1.10 |",
		"0.0000133334 | GB-second | 2026-09-11, as",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the section does not say %q:\n%s", want, got)
		}
	}
	busy := measured()
	set(busy, "relay", relay, plain, "CPU/event", 200) // 0.1 s for a stream: a core is full with 100
	if got, want := string(writeCost(busy)), "| Cloud Run functions, 1 vCPU, 512 MiB | 200 | 24.5 | 2 | 1 | does not fit |"; !strings.Contains(got, want) {
		t.Errorf("the section does not say %q:\n%s", want, got)
	}
	if got := string(writeCost(figures.File{})); strings.Contains(got, "NaN") || strings.Count(got, "not measured |") != 10 {
		t.Errorf("without figures the section says\n%s", got)
	}
}

func TestEveryPriceIsStated(t *testing.T) {
	for _, p := range prices {
		if p.dollars <= 0 || !strings.HasPrefix(p.source, "https://") || p.stated == "" || p.unit == "" {
			t.Errorf("%+v is no price that anybody stated", p)
		}
	}
}

func TestRunWritesBothSections(t *testing.T) {
	dir := t.TempDir()
	page, figures := filepath.Join(dir, "page.md"), filepath.Join(dir, "page.json")
	if err := measured().Write(figures); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-figures", figures, "-out", page, "-strict"}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(b, []byte("begin bounds")) || !bytes.Contains(b, []byte("begin cost")) {
		t.Errorf("the page is %s, %v", b, err)
	}
	if err := run(t.Context(), []string{"-figures", filepath.Join(dir, "none.json"), "-strict"}, io.Discard, io.Discard); !errors.Is(err, errNothing) {
		t.Errorf("run() without figures = %v, want %v", err, errNothing)
	}
}
