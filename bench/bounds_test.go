package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/relay/internal/figures"
)

// justKept returns figures with which every bound is just kept.
func justKept() figures.File {
	relay, lambda := new(figures.Run), new(figures.Run)
	relay.Figures = []figures.Figure{
		{Of: nameRelay, On: plain, What: "CPU/request", Values: []float64{48, 96}},
		{Of: nameNginx, On: plain, What: "CPU/request", Values: []float64{10, 20}},
		{Of: nameCaddy, On: plain, What: "CPU/request", Values: []float64{64, 128}},
		{Of: nameWorker, On: plain, What: "CPU/request", Values: []float64{200, 400}},
		{Of: nameUsage, On: plain, What: "CPU/request", Values: []float64{55, 110}},
		{Of: nameWorkerJS, On: plain, What: "CPU/request", Values: []float64{400, 800}},
		{Of: nameRelay, On: https1, What: "CPU/request", Values: []float64{84}},
		{Of: nameNginx, On: https1, What: "CPU/request", Values: []float64{20}},
		{Of: nameRelay, On: https2, What: "CPU/request", Values: []float64{109.2}},
		{Of: nameRelay, On: plain, What: "p50 at a fixed rate", Values: []float64{700}},
		{Of: nameNginx, On: plain, What: "p50 at a fixed rate", Values: []float64{400}},
		{Of: nameRelay, On: https1, What: "p50 at a fixed rate", Values: []float64{900}},
		{Of: nameNginx, On: https1, What: "p50 at a fixed rate", Values: []float64{500}},
		{Of: nameRelay, On: plain, What: "events that came together", Values: []float64{16}},
		{Of: nameRelay, On: plain, What: "event p50", Values: []float64{350}},
		{Of: nameDirect, On: plain, What: "event p50", Values: []float64{50}},
		{Of: nameNginx, On: plain, What: "event p50", Values: []float64{200}},
		{Of: nameRelay, On: plain, What: "first event", Values: []float64{800}},
		{Of: nameNginx, On: plain, What: "first event", Values: []float64{300}},
		{Of: nameRelay, On: plain, What: "CPU/event", Values: []float64{40}},
		{Of: nameWorker, On: plain, What: "CPU/event", Values: []float64{40}},
		{Of: nameWorkerJS, On: plain, What: "CPU/event", Values: []float64{60}},
		{Of: nameNginx, On: plain, What: "CPU/event", Values: []float64{20}},
		{Of: nameRelay, On: plain, What: "idle stream of 1,000", Values: []float64{56}},
		{Of: nameRelay, On: plain, What: "idle stream of 2,000", Values: []float64{56}},
	}
	for what, v := range map[string]float64{
		"start": 5, "events that came together": 0, "event, added": 0.3, "RSS": 11.44, "zip for arm64": 3,
	} {
		lambda.Add(nameRelay, onLambda, what, "", v)
	}
	streams := new(figures.Run)
	streams.Figures = []figures.Figure{
		{Of: nameRelay, On: plain, What: "CPU/event, 1,000 streams", Values: []float64{32}},
		{Of: nameNginx, On: plain, What: "CPU/event, 1,000 streams", Values: []float64{20}},
		{Of: nameRelay, On: plain, What: "CPU/event, 5,000 streams", Values: []float64{32}},
		{Of: nameNginx, On: plain, What: "CPU/event, 5,000 streams", Values: []float64{20}},
		{Of: nameRelay, On: plain, What: "memory of a stream, 10,000 streams", Values: []float64{40}},
		{Of: nameRelay, On: plain, What: "time to open, 10,000 streams", Values: []float64{20}},
		{Of: nameRelay, On: plain, What: "lost events and streams, 10,000 streams", Values: []float64{0}},
	}
	return figures.File{"relay": relay, "lambda": lambda, "streams": streams}
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
	all := judge(justKept())
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
		func(f figures.File) { set(f, "relay", nameNginx, plain, "CPU/request", 9.9, 19.9) },
		func(f figures.File) { set(f, "relay", nameCaddy, plain, "CPU/request", 34, 68) },
		func(f figures.File) {
			set(f, "relay", nameWorker, plain, "CPU/request", 84, 160)
			set(f, "relay", nameWorkerJS, plain, "CPU/request", 84, 160)
		},
		func(f figures.File) { set(f, "relay", nameUsage, plain, "CPU/request", 56, 112) },
		func(f figures.File) { set(f, "relay", nameRelay, https1, "CPU/request", 85) },
		func(f figures.File) { set(f, "relay", nameRelay, https2, "CPU/request", 109.3) },
		func(f figures.File) { set(f, "relay", nameNginx, plain, "p50 at a fixed rate", 399) },
		func(f figures.File) { set(f, "relay", nameRelay, https1, "p50 at a fixed rate", 901) },
		func(f figures.File) { set(f, "relay", nameRelay, plain, "events that came together", 17) },
		func(f figures.File) { set(f, "relay", nameDirect, plain, "event p50", 49) },
		func(f figures.File) { set(f, "relay", nameNginx, plain, "first event", 299) },
		func(f figures.File) { set(f, "relay", nameNginx, plain, "event p50", 199) },
		func(f figures.File) { set(f, "relay", nameNginx, plain, "CPU/event", 19) },
		func(f figures.File) { set(f, "streams", nameNginx, plain, "CPU/event, 1,000 streams", 19) },
		func(f figures.File) { set(f, "streams", nameNginx, plain, "CPU/event, 5,000 streams", 19) },
		func(f figures.File) { set(f, "streams", nameRelay, plain, "memory of a stream, 10,000 streams", 41) },
		func(f figures.File) { set(f, "streams", nameRelay, plain, "time to open, 10,000 streams", 21) },
		func(f figures.File) {
			set(f, "streams", nameRelay, plain, "lost events and streams, 10,000 streams", 1)
		},
		func(f figures.File) { set(f, "relay", nameRelay, plain, "idle stream of 1,000", 56.1) },
		func(f figures.File) { set(f, "relay", nameRelay, plain, "idle stream of 2,000", 56.1) },
		func(f figures.File) { set(f, "relay", nameWorkerJS, plain, "CPU/request", 401, 801) },
		func(f figures.File) { set(f, "relay", nameWorkerJS, plain, "CPU/event", 60.1) },
		func(f figures.File) { set(f, "lambda", nameRelay, onLambda, "start", 5.1) },
		func(f figures.File) { set(f, "lambda", nameRelay, onLambda, "events that came together", 1) },
		func(f figures.File) { set(f, "lambda", nameRelay, onLambda, "event, added", 0.31) },
		func(f figures.File) { set(f, "lambda", nameRelay, onLambda, "RSS", 11.5) },
		func(f figures.File) { set(f, "lambda", nameRelay, onLambda, "zip for arm64", 3.01) },
	} {
		f := justKept()
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
	f := justKept()
	set(f, "relay", nameCaddy, plain, "CPU/request")
	f["relay"].Missing = []string{"Caddy: not installed"}
	all := judge(f)
	if err := verdict(all); err != nil {
		t.Errorf("verdict() without Caddy = %v", err)
	}
	table := string(writeBounds(f, all))
	missing := "| CPU per request, × Caddy | Caddy: not installed | 0.75 |  |"
	if !strings.Contains(table, missing) || strings.Contains(table, "NaN") {
		t.Errorf("the table does not say that Caddy is missing:\n%s", table)
	}
	if !strings.Contains(table, "Of the relay's 27 bounds, 26 could be judged and 26 are kept.") {
		t.Errorf("the bounds are not counted well:\n%s", table)
	}
	if err := verdict(judge(figures.File{})); !errors.Is(err, errNothing) {
		t.Errorf("verdict() of nothing = %v, want %v", err, errNothing)
	}
}

func TestAimsAreSaidApart(t *testing.T) {
	table := string(writeBounds(justKept(), judge(justKept())))
	if !strings.Contains(table, "| CPU per request, × nginx | 4.80 (4.80–4.80) | 4.80 | yes | 2.00 | no |") {
		t.Errorf("the table is\n%s", table)
	}
}

func TestObstacle(t *testing.T) {
	f := justKept()
	if got := obstacle(f); got != "" {
		t.Errorf("without the figures it says %q", got)
	}
	f["relay"].Figures = append(f["relay"].Figures,
		figures.Figure{Of: nameFloor, On: plain, What: "CPU/request", Values: []float64{20, 40}},
		figures.Figure{Of: nameFloor, On: https1, What: "CPU/request", Values: []float64{50}})
	got := obstacle(f)
	for _, want := range []string{"takes 2.00 times the CPU of nginx", "2.50 times over TLS",
		"takes 2.40 and 1.68 times"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q: %s", want, got)
		}
	}
}

func TestBoundsAreWritten(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte("<!-- begin bounds: x -->\n<!-- end bounds -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := justKept().Write(filepath.Join(dir, "page.json")); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-suite", "bounds", "-out", page, "-strict"}, io.Discard,
		io.Discard); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(page); err != nil || !bytes.Contains(b, []byte("27 could be judged")) {
		t.Errorf("the page is %s, %v", b, err)
	}
	none := []string{"-suite", "bounds", "-figures", filepath.Join(dir, "none.json"), "-strict"}
	if err := run(t.Context(), none, io.Discard, io.Discard); !errors.Is(err, errNothing) {
		t.Errorf("run() without figures = %v, want %v", err, errNothing)
	}
}
