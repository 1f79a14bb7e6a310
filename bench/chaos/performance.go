package main

import (
	"errors"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"example.com/relay/internal/figures"
)

var (
	blue  = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	green = color.RGBA{R: 0x4d, G: 0xa0, B: 0x5a, A: 0xff}
	amber = color.RGBA{R: 0xd9, G: 0x96, B: 0x2f, A: 0xff}
	dark  = color.RGBA{R: 0x55, G: 0x55, B: 0x55, A: 0xff}
)

// shown are the contenders that are drawn, from top to bottom, with the names
// they have in the plot.
var shown = []struct{ name, label string }{
	{"relay", "relay"},
	{"relay as a gateway to three regions", "gateway"},
	{"net/http, copying and nothing else", "net/http alone"},
	{"nginx", "nginx"},
	{"haproxy", "haproxy"},
	{"Caddy", "Caddy"},
	{"stock httputil.ReverseProxy", "stock proxy"},
	{"worker on workerd", "worker"},
}

// direct is what latencies are added to.
const direct = "direct, no relay"

var errNothing = errors.New("nothing was measured")

// A bar is drawn for each contender of which its figure was measured.
type bar struct {
	label  string
	color  color.Color
	values func(f figures.File, name string) []float64
}

// A panel has a group of bars for each contender.
type panel struct {
	title, axis string
	bars        []bar
}

var panels = []panel{
	{"CPU time for a response of 600 bytes", "µs, by kind of upstream", []bar{
		{"plain HTTP", blue, figure("plain HTTP", "CPU/request")},
		{"TLS, HTTP/1.1", green, figure("TLS, HTTP/1.1", "CPU/request")},
		{"TLS, HTTP/2", amber, figure("TLS, HTTP/2", "CPU/request")},
	}},
	{"Latency added, 200 requests a second", "ms, p50, by kind of upstream", []bar{
		{"plain HTTP", blue, added("plain HTTP", "p50 at a fixed rate")},
		{"TLS, HTTP/1.1", green, added("TLS, HTTP/1.1", "p50 at a fixed rate")},
		{"TLS, HTTP/2", amber, added("TLS, HTTP/2", "p50 at a fixed rate")},
	}},
	{"Latency added to a stream", "ms, p50", []bar{
		{"first event", blue, added("plain HTTP", "first event")},
		{"each event", green, added("plain HTTP", "event p50")},
	}},
	{"Memory for an idle stream", "KiB", []bar{
		{"1,000 streams", blue, figure("plain HTTP", "idle stream of 1,000")},
		{"2,000 streams", green, figure("plain HTTP", "idle stream of 2,000")},
	}},
}

// figure returns the values of a figure as they are.
func figure(on, what string) func(figures.File, string) []float64 {
	return func(f figures.File, name string) []float64 { return f.Values("relay", name, on, what) }
}

// added returns how much a figure in µs is above that of direct, in ms.
func added(on, what string) func(figures.File, string) []float64 {
	return func(f figures.File, name string) []float64 {
		return figures.Added(f.Values("relay", name, on, what), f.Values("relay", direct, on, what))
	}
}

// drawPerformance draws what bench measured of the relay and of others: all
// panels, two in a row. The same figures give the same bytes.
func drawPerformance(f figures.File, path string) error {
	const columns = 2
	useFont()
	grid := make([][]*plot.Plot, (len(panels)+columns-1)/columns)
	for i, p := range panels {
		drawn, err := p.draw(f)
		if err != nil {
			return fmt.Errorf("%s: %w", p.title, err)
		}
		grid[i/columns] = append(grid[i/columns], drawn)
	}
	return writeSVG(path, grid, 11*vg.Centimeter, 7*vg.Centimeter)
}

// draw draws one panel: medians as bars, and lines from the least to the largest.
func (p panel) draw(f figures.File) (*plot.Plot, error) {
	out := plot.New()
	out.Title.Text, out.X.Label.Text, out.X.Min = p.title, p.axis, 0
	var labels []string
	var rows [][][]float64 // for each contender, of each bar
	for _, c := range slices.Backward(shown) {
		row := make([][]float64, len(p.bars))
		for i, b := range p.bars {
			row[i] = b.values(f, c.name)
		}
		if slices.ContainsFunc(row, func(v []float64) bool { return len(v) > 0 }) {
			labels, rows = append(labels, c.label), append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil, errNothing
	}
	for i, b := range p.bars {
		if err := p.addBars(out, rows, i, b); err != nil {
			return nil, err
		}
	}
	out.NominalY(labels...)
	out.Legend.Top = true
	out.Y.Max = float64(len(rows)) + 0.3 // room for the legend above the first group
	out.Legend.TextStyle.Font.Size = 7
	out.Title.TextStyle.Font.Size = 10
	for _, style := range []*draw.TextStyle{&out.X.Label.TextStyle, &out.X.Tick.Label, &out.Y.Tick.Label} {
		style.Font.Size = 8
	}
	return out, nil
}

// addBars adds the bar with an index of each group, the first on top.
func (p panel) addBars(out *plot.Plot, rows [][][]float64, i int, b bar) error {
	const thick = 0.8 // of the room for a group
	width := thick / float64(len(p.bars))
	offset := thick/2 - width*(float64(i)+0.5)
	for at, row := range rows {
		if len(row[i]) == 0 {
			continue
		}
		y, x := float64(at)+offset, figures.Median(row[i])
		box, err := plotter.NewPolygon(plotter.XYs{{X: 0, Y: y - width*0.45}, {X: x, Y: y - width*0.45},
			{X: x, Y: y + width*0.45}, {X: 0, Y: y + width*0.45}})
		if err != nil {
			return err
		}
		box.Color, box.LineStyle.Width = b.color, 0
		spread, err := plotter.NewLine(plotter.XYs{{X: slices.Min(row[i]), Y: y}, {X: slices.Max(row[i]), Y: y}})
		if err != nil {
			return err
		}
		spread.Color, spread.Width = dark, vg.Points(0.8)
		out.Add(box, spread)
	}
	out.Legend.Add(b.label, swatch{b.color})
	return nil
}

// A swatch is the sign of a bar in the legend.
type swatch struct{ color color.Color }

func (s swatch) Thumbnail(c *draw.Canvas) {
	const gap = vg.Length(1)
	c.FillPolygon(s.color, []vg.Point{{X: c.Min.X, Y: c.Min.Y + gap}, {X: c.Min.X, Y: c.Max.Y - gap},
		{X: c.Max.X, Y: c.Max.Y - gap}, {X: c.Max.X, Y: c.Min.Y + gap}})
}
