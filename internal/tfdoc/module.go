// Package tfdoc reads what a Terraform module takes and gives, and writes it as
// tables, so that no README of a module has to be kept in step by hand. It
// understands files in the form of terraform fmt, and nothing of their
// expressions.
package tfdoc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Module is what a folder's *.tf files declare, in the order of files and
// lines.
type Module struct {
	Variables []Block
	Outputs   []Block
}

// A Block is a variable or an output.
type Block struct {
	Name, File  string
	Type        string // as written, on one line; empty for outputs
	Default     string // as written, on one line
	HasDefault  bool
	Description string
	Sensitive   bool
}

// Load returns the module in a folder.
func Load(dir string) (Module, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		return Module{}, fmt.Errorf("%s: no module (%v)", dir, err)
	}
	slices.Sort(files)
	var m Module
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return Module{}, err
		}
		if err := m.parse(filepath.Base(file), string(source)); err != nil {
			return Module{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	return m, nil
}

// parse adds the variables and outputs of a file.
func (m *Module) parse(file, source string) error {
	var kind string
	var block Block
	var body []string
	for line := range strings.Lines(source) {
		line = strings.TrimRight(line, "\r\n")
		if kind == "" {
			words := strings.Fields(line)
			if len(words) == 3 && words[2] == "{" && (words[0] == "variable" || words[0] == "output") {
				name, err := strconv.Unquote(words[1])
				if err != nil {
					return fmt.Errorf("%s: %w", line, err)
				}
				kind, block, body = words[0], Block{Name: name, File: file}, nil
			}
			continue
		}
		if line != "}" {
			body = append(body, line)
			continue
		}
		if err := block.fill(body); err != nil {
			return fmt.Errorf("%s %s: %w", kind, block.Name, err)
		}
		if kind == "variable" {
			m.Variables = append(m.Variables, block)
		} else {
			m.Outputs = append(m.Outputs, block)
		}
		kind = ""
	}
	return nil
}

// fill sets what the lines between a block's braces say.
func (b *Block) fill(body []string) (err error) {
	for name, value := range arguments(body) {
		switch name {
		case "type":
			b.Type = value
		case "default":
			b.Default, b.HasDefault = value, true
		case "sensitive":
			b.Sensitive = value == "true"
		case "description":
			if b.Description, err = strconv.Unquote(value); err != nil {
				return fmt.Errorf("description: %w", err)
			}
		}
	}
	return nil
}

// arguments returns the arguments of a block, without those of blocks in it,
// each value on one line.
func arguments(body []string) map[string]string {
	args := make(map[string]string)
	last := ""
	for _, line := range body {
		inner, top := strings.CutPrefix(line, "  ")
		if !top {
			continue
		}
		name, value, ok := strings.Cut(inner, "=")
		switch {
		case !strings.HasPrefix(inner, " ") && strings.HasSuffix(inner, "{") && !ok:
			last = "" // a block
		case !strings.HasPrefix(inner, " ") && ok:
			last = strings.TrimSpace(name)
			args[last] = strings.TrimSpace(value)
		case last != "":
			args[last] += joint(args[last], line) + strings.Join(strings.Fields(line), " ")
		}
	}
	return args
}

// joint returns what stands between two lines of a value when they become one.
func joint(before, line string) string {
	if strings.HasSuffix(before, "{") || strings.HasSuffix(before, "(") ||
		strings.HasPrefix(strings.TrimSpace(line), "}") {
		return " "
	}
	return ", "
}
