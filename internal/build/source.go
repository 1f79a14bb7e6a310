package build

import (
	"context"
	"encoding/json"
	"errors"
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

// Source returns what Google builds its function from, as [WriteZip] takes it:
// each file of the module that the function is built from on Linux, the
// function's own at the root of the archive.
func Source(ctx context.Context) (map[string]string, error) {
	root, err := Root(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", "./"+function)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	names, err := read(json.NewDecoder(out))
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for _, name := range names {
		files[strings.TrimPrefix(name, function+"/")] = filepath.Join(root, filepath.FromSlash(name))
	}
	return files, nil
}

// read returns the module's own files among those that go list printed.
func read(packages *json.Decoder) ([]string, error) {
	files := []string{"go.mod", "go.sum"}
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
			return files, nil
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
			files = append(files, filepath.ToSlash(filepath.Join(dir, name)))
		}
	}
}
