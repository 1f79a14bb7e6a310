package main

import (
	"bytes"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// useFont makes all plots use the one font that writeSVG knows a substitute for.
func useFont() { plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"} }

// writeSVG draws plots in rows, each cell of a width and a height, into a file. The
// same plots give the same bytes.
func writeSVG(path string, grid [][]*plot.Plot, width, height vg.Length) error {
	canvas := vgsvg.New(vg.Length(len(grid[0]))*width, vg.Length(len(grid))*height)
	tiles := draw.Tiles{Rows: len(grid), Cols: len(grid[0]), PadX: 4 * vg.Millimeter, PadY: 4 * vg.Millimeter,
		PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter,
		PadRight: 4 * vg.Millimeter}
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	cells := plot.Align(grid, tiles, page)
	for i, row := range grid {
		for j, p := range row {
			if p != nil {
				p.Draw(cells[i][j])
			}
		}
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	// Few have the library's fonts; without another name, browsers take a serif.
	out := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"),
		[]byte("font-family:Liberation Sans,Arial,sans-serif"))
	return os.WriteFile(path, out, 0o644)
}
