// Command source prints what dist/gcf.zip is made of, as internal/pack takes
// it: a line name=file for each file of the module that the function is built
// from on Linux, the function's own at the root of the archive. It wants to be
// run at the root of the module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// function is the folder whose files go to the archive's root: Google's Go
// buildpack looks for the function nowhere else.
const function = "gcf"

func main() {
	lines, err := source()
	if err != nil {
		fmt.Fprintln(os.Stderr, "source:", err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(lines, "\n"))
}

// source returns the lines, sorted.
func source() ([]string, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", "./"+function)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines, err := read(json.NewDecoder(out))
	return lines, errors.Join(err, cmd.Wait())
}

// read returns the sorted lines for the packages that go list printed.
func read(packages *json.Decoder) ([]string, error) {
	lines := []string{"go.mod=go.mod", "go.sum=go.sum"}
	for {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              *struct {
				Dir  string
				Main bool
			}
		}
		if err := packages.Decode(&p); err == io.EOF {
			slices.Sort(lines)
			return lines, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || !p.Module.Main {
			continue // the buildpack fetches it
		}
		dir, err := filepath.Rel(p.Module.Dir, p.Dir)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Concat(p.GoFiles, p.EmbedFiles) {
			file := filepath.ToSlash(filepath.Join(dir, name))
			lines = append(lines, strings.TrimPrefix(file, function+"/")+"="+file)
		}
	}
}
