// Package tfdoc reads the variables and outputs of a Terraform module and writes
// them as tables, so that the module's README need not be kept up to date by hand.
// It reads files as terraform fmt formats them, and does not evaluate expressions.
// terraform-docs writes such tables too; tests here also check the blocks that they are
// made from.
package tfdoc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Module holds the declarations of a folder's *.tf files, in the order of files
// and lines.
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

// fill sets the fields from the lines between the block's braces.
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

// arguments returns the arguments of a block, each value on one line, without those
// of nested blocks.
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

// joint returns the separator of two lines of a value when they are joined.
func joint(before, line string) string {
	if strings.HasSuffix(before, "{") || strings.HasSuffix(before, "(") ||
		strings.HasPrefix(strings.TrimSpace(line), "}") {
		return " "
	}
	return ", "
}

// Inputs returns the table of the module's variables.
func (m Module) Inputs() string {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | |\n| --- | --- | --- | --- |\n")
	for _, v := range m.Variables {
		value := "required"
		if v.HasDefault {
			value = code(v.Default)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.title(), code(v.Type), value, cell(v.Description))
	}
	return b.String()
}

// Results returns the table of the module's outputs.
func (m Module) Results() string {
	var b strings.Builder
	b.WriteString("| Output | |\n| --- | --- |\n")
	for _, o := range m.Outputs {
		fmt.Fprintf(&b, "| %s | %s |\n", o.title(), cell(o.Description))
	}
	return b.String()
}

func (b Block) title() string {
	if b.Sensitive {
		return code(b.Name) + " (sensitive)"
	}
	return code(b.Name)
}

func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
