package main

import (
	"fmt"
	"image/color"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// What the plot shows of the time around the break, and how finely: every point
// would make it a megabyte.
const (
	plotBefore = time.Second
	plotAfter  = 4 * time.Second
	slot       = 50 * time.Millisecond
	perRow     = 2 // panels in a row
)

// The plot's scale, in ms. What lies beyond is drawn at its edge.
const (
	minMS = 0.1
	maxMS = 10_000
)

var (
	middle = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	worst  = color.RGBA{R: 0xc8, G: 0x3c, B: 0x2c, A: 0xff}
	grey   = color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}
)

// draw draws a panel for each experiment: the time to the first byte around the
// break, over all runs with resend on over HTTP/2.
func (res *results) draw(path string) error {
	var drawn []*series
	for _, s := range res.series {
		if s.resend && s.on == https2 {
			drawn = append(drawn, s)
		}
	}
	if len(drawn) == 0 {
		return fmt.Errorf("%s: nothing to draw: the plot is of runs over HTTP/2 with resend on", path)
	}
	rows := (len(drawn) + perRow - 1) / perRow
	grid := make([][]*plot.Plot, rows)
	for i := range grid {
		grid[i] = make([]*plot.Plot, perRow)
	}
	for i, s := range drawn {
		p, err := s.panel()
		if err != nil {
			return err
		}
		grid[i/perRow][i%perRow] = p
	}
	return writeSVG(path, grid, 11*vg.Centimeter, 5.5*vg.Centimeter)
}

// panel draws one experiment.
func (s *series) panel() (*plot.Plot, error) {
	useFont()
	p := plot.New()
	p.Title.Text = s.name
	p.X.Label.Text = "s since the break"
	p.Y.Label.Text = "ms to the first byte"
	p.X.Min, p.X.Max = -plotBefore.Seconds(), plotAfter.Seconds()
	p.Y.Min, p.Y.Max = minMS, maxMS
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.ConstantTicks([]plot.Tick{{Value: 0.1, Label: "0.1"}, {Value: 1, Label: "1"},
		{Value: 10, Label: "10"},
		{Value: 100, Label: "100"}, {Value: 1000, Label: "1,000"}, {Value: 10_000, Label: "10,000"}})
	p.X.Tick.Marker = plot.ConstantTicks([]plot.Tick{{Value: -1, Label: "-1"}, {Value: 0, Label: "0"},
		{Value: 1, Label: "1"},
		{Value: 2, Label: "2"}, {Value: 3, Label: "3"}, {Value: 4, Label: "4"}})
	mark, err := line(plotter.XYs{{X: 0, Y: minMS}, {X: 0, Y: maxMS}}, grey)
	if err != nil {
		return nil, err
	}
	medians, maxima := s.lines()
	top, err := line(maxima, worst)
	if err != nil {
		return nil, err
	}
	mid, err := line(medians, middle)
	if err != nil {
		return nil, err
	}
	p.Add(mark, top, mid)
	p.Legend.Add("worst of all runs", top)
	p.Legend.Add("median", mid)
	p.Legend.Top = true
	p.Legend.TextStyle.Font.Size = 7
	for _, style := range []*draw.TextStyle{&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label,
		&p.Y.Tick.Label} {
		style.Font.Size = 8
	}
	p.Title.TextStyle.Font.Size = 10
	return p, nil
}

func line(points plotter.XYs, c color.Color) (*plotter.Line, error) {
	l, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	l.Color, l.Width = c, vg.Points(0.8)
	return l, nil
}

// lines returns the median and the largest of each slot of time, over all runs.
func (s *series) lines() (medians, maxima plotter.XYs) {
	slots := make([][]float64, (plotBefore+plotAfter)/slot)
	for _, fig := range s.runs {
		for _, p := range fig.points {
			if at := p.at + plotBefore; at >= 0 && int(at/slot) < len(slots) {
				slots[at/slot] = append(slots[at/slot], min(max(float64(p.first.Nanoseconds())/1e6, minMS), maxMS))
			}
		}
	}
	for i, values := range slots {
		if len(values) == 0 {
			continue // nothing was answered then
		}
		slices.Sort(values)
		x := (time.Duration(i)*slot + slot/2 - plotBefore).Seconds()
		medians = append(medians, plotter.XY{X: x, Y: values[len(values)/2]})
		maxima = append(maxima, plotter.XY{X: x, Y: values[len(values)-1]})
	}
	return medians, maxima
}
