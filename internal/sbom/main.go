// Command sbom writes what the programs that are deployed are made of: the
// standard library and each module of which a package is compiled in, as a
// CycloneDX 1.5 document. It asks the go command and go.sum only, needs no
// network, and writes the same bytes for the same sources.
//
//	sbom [-o dist/sbom.json]
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"example.com/relay/internal/build"
)

// programs are what is deployed.
var programs = []string{"./cmd/relay", "./lambda", "./gcf/cmd", "./vercel"}

func main() {
	out := flag.String("o", "", "`file` to write, in place of standard output")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	doc, err := document()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if out == "" {
		_, err = os.Stdout.Write(text)
		return err
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d components\n", out, len(doc.Components))
	return nil
}

// A bom is as much of CycloneDX as is needed here.
type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// document returns the document for the module around the present folder.
func document() (*bom, error) {
	version, err := goOutput("env", "GOVERSION")
	if err != nil {
		return nil, err
	}
	sums, err := readSums("go.sum")
	if err != nil {
		return nil, err
	}
	used, err := modules()
	if err != nil {
		return nil, err
	}
	doc := &bom{Format: "CycloneDX", Spec: "1.5", Version: 1}
	doc.Metadata.Component = component{Type: "application", Name: "example.com/relay"}
	doc.Components = []component{library("stdlib", strings.TrimPrefix(strings.TrimSpace(version), "go"), property{"used by", strings.Join(programs, " ")})}
	for name, by := range used {
		path, version, _ := strings.Cut(name, " ")
		sum, ok := sums[name]
		if !ok {
			return nil, fmt.Errorf("go.sum has no sum of %s", name)
		}
		doc.Components = append(doc.Components, library(path, version, property{"go.sum", sum}, property{"used by", strings.Join(by, " ")}))
	}
	slices.SortFunc(doc.Components, func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	return doc, nil
}

func library(path, version string, properties ...property) component {
	return component{Type: "library", Name: path, Version: version, PURL: "pkg:golang/" + path + "@" + version, Properties: properties}
}

// modules returns the modules that are compiled in, as "path version", with the
// programs that hold them.
func modules() (map[string][]string, error) {
	used := make(map[string][]string)
	for _, program := range programs {
		out, err := goOutput(slices.Concat([]string{"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}"}, build.Lambda.Flags, []string{program})...)
		if err != nil {
			return nil, err
		}
		names := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if name != "" {
				used[name] = append(used[name], program)
			}
		}
	}
	return used, nil
}

// readSums returns the hashes of module contents in a go.sum.
func readSums(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 {
			sums[f[0]+" "+f[1]] = f[2]
		}
	}
	return sums, nil
}

func goOutput(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, &stderr)
	}
	return string(out), nil
}
