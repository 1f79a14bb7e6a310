package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core/protocol"
	"example.com/relay/internal/proc"
)

const (
	testVersion = "1.2.3-test.4"
	first       = "one"   // the copy whose release is looked at
	root        = "../.." // of the repository
)

// testPlatforms are those that the tests release for: all that run here, and the
// image's.
func testPlatforms() string {
	list := "linux/" + runtime.GOARCH
	if runtime.GOOS != "linux" {
		list += "," + runtime.GOOS + "/" + runtime.GOARCH
	}
	return list
}

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	if enterImage() {
		return // not reached: this process has become another program
	}
	var err error
	if scratch, err = os.MkdirTemp("", "release"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(scratch)
	os.Exit(status)
}

// released returns a release by a copy of the sources in a folder of that name,
// made once. The first copy comes first.
func released(t *testing.T, copy string) string {
	t.Helper()
	out := filepath.Join(scratch, filepath.Base(copy)+".out")
	if _, err := os.Stat(filepath.Join(out, sumsFile)); err == nil {
		return out
	}
	tool := os.Getenv("CYCLONEDX")
	if tool == "" {
		tool = makeVariable(t, "CYCLONEDX")
	}
	dir := filepath.Join(scratch, copy)
	if copy == first {
		copySources(t, root, dir)
	} else {
		copySources(t, filepath.Join(scratch, first), dir) // not what was edited meanwhile
	}
	program := filepath.Join(scratch, filepath.Base(copy)+".program")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = filepath.Join(dir, "internal", "release")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	cmd = exec.Command(program, "-version", "v"+testVersion, "-sbom", tool, "-platforms", testPlatforms(), "-o", out)
	cmd.Dir = filepath.Join(dir, "internal", "release")
	if copy != first { // as if by another user's settings
		cmd.Env = append(os.Environ(), "GOAMD64=v2", "GOARM64=v8.1", "GOFLAGS=-tags=another -buildvcs=false",
			"TZ=Asia/Tokyo", "LC_ALL=C")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release: %v\n%s", err, text)
	}
	return out
}

// makeVariable returns a variable of the Makefile.
func makeVariable(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":="); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("the Makefile has no %s", name)
	return ""
}

// copySources copies the repository without what is not its source.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	skip := []string{".git", "dist", "node_modules", ".terraform", "terraform"}
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(skip, d.Name()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // .git of a worktree
		}
		rel, err := filepath.Rel(from, name)
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The whole release, for all platforms, is compared by make reproducible.
func TestReleaseIsReproducible(t *testing.T) {
	one, another := sums(t, released(t, first)), sums(t, released(t, "another/and/longer"))
	arch := runtime.GOARCH
	artifacts := []string{"gcf.zip", "lambda-" + arch + ".zip", imageFile, "relay-linux-" + arch + ".tar.gz",
		"worker.js"}
	for _, name := range slices.Concat(artifacts, serverFiles) {
		if one[name] == "" {
			t.Errorf("the release has no %s", name)
		}
	}
	if len(one) < 2*len(artifacts)+len(serverFiles) {
		t.Errorf("the release has %d files: %v", len(one), one)
	}
	for name, sum := range one {
		if another[name] != sum {
			t.Errorf("%s differs between two folders", name)
		}
	}
	if len(another) != len(one) {
		t.Errorf("the releases have %d and %d files", len(one), len(another))
	}
}

// sums returns SHA256SUMS of a release, each of which it checks.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	listed := make(map[string]string)
	for line := range strings.Lines(read(t, dir, sumsFile)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			t.Fatalf("%s has the line %q", sumsFile, line)
		}
		listed[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(listed)+1 {
		t.Errorf("%s lists %d of %d files", sumsFile, len(listed), len(entries)-1)
	}
	for name, sum := range listed {
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, dir, name)))); got != sum {
			t.Errorf("%s has the SHA-256 %s, listed is %s", name, got, sum)
		}
	}
	return listed
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestArchiveStarts(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "relay")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	unpackArchive(t, released(t, first), dir)
	if text := read(t, dir, "LICENSE.txt"); text != read(t, root, "LICENSE") {
		t.Errorf("LICENSE.txt is %q", text)
	}
	if line, ok := proc.Output(t.Context(), program, "version"); !ok || line != "relay "+testVersion {
		t.Errorf("relay version prints %q", line)
	}
	p, err := proc.Start(proc.Options{Bare: true}, program, "-listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	base, err := p.Await(t.Context(), "base URL: ")
	if err != nil {
		t.Fatal(err)
	}
	if h := health(t, base); h.Status != "ok" || h.Version != testVersion {
		t.Errorf("health is %+v", h)
	}
}

// unpackArchive unpacks the archive for this platform.
func unpackArchive(t *testing.T, from, to string) {
	t.Helper()
	name := filepath.Join(from, "relay-"+runtime.GOOS+"-"+runtime.GOARCH)
	if runtime.GOOS == "windows" {
		r, err := zip.OpenReader(name + ".zip")
		if err == nil {
			err = os.CopyFS(to, r)
			r.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	content, err := gzip.NewReader(strings.NewReader(read(t, name+".tar.gz")))
	if err == nil {
		err = unpack(content, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// health returns the health of the relay with a base URL.
func health(t *testing.T, base string) (h protocol.Health) {
	t.Helper()
	res, err := http.Get(strings.TrimSuffix(base, "/v1") + protocol.HealthPath)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFunctionsHaveTheVersion(t *testing.T) {
	dir := released(t, first)
	for _, test := range []struct{ archive, file, want string }{
		{"gcf.zip", "core/version.go", `var Version = "` + testVersion + `"`},
		{"lambda-" + runtime.GOARCH + ".zip", "bootstrap", testVersion},
	} {
		r, err := zip.OpenReader(filepath.Join(dir, test.archive))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		content, err := fs.ReadFile(r, test.file)
		if err != nil || !bytes.Contains(content, []byte(test.want)) {
			t.Errorf("%s in %s has no %q: %v", test.file, test.archive, test.want, err)
		}
	}
	if worker := read(t, dir, "worker.js"); !strings.Contains(worker, "\nconst VERSION = \""+testVersion+"\";\n") ||
		strings.Contains(worker, "const PAGE = null") {
		t.Error("worker.js lacks the version or the page")
	}
}

func TestEveryArtifactHasItsSBOM(t *testing.T) {
	dir := released(t, first)
	texts := append([]string{sumsFile}, serverFiles...)
	for name, sum := range sums(t, dir) {
		if strings.HasSuffix(name, sbomSuffix) || slices.Contains(texts, name) {
			continue
		}
		var bom struct {
			BOMFormat string
			Metadata  struct {
				Component struct {
					Version string
					Hashes  []struct{ Content string }
				}
			}
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal([]byte(read(t, dir, name+sbomSuffix)), &bom); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		of := bom.Metadata.Component
		if bom.BOMFormat != "CycloneDX" || of.Version != "v"+testVersion || len(of.Hashes) != 1 ||
			of.Hashes[0].Content != sum {
			t.Errorf("the SBOM of %s is a %q of %+v", name, bom.BOMFormat, of)
		}
		var got []string
		for _, c := range bom.Components {
			got = append(got, c.Name)
		}
		want := map[string]string{
			"gcf.zip":                           "github.com/GoogleCloudPlatform/functions-framework-go",
			"lambda-" + runtime.GOARCH + ".zip": "github.com/aws/aws-lambda-go",
			imageFile:                           rootsModulePath,
			"worker.js":                         "",
			"relay-linux-" + runtime.GOARCH + ".tar.gz": "std",
		}[name]
		if want != "" && !slices.Contains(got, want) || name == "worker.js" != (len(got) == 0) {
			t.Errorf("the SBOM of %s lists %q, want %s among them", name, got, want)
		}
	}
}

// The released program is stripped of nothing that its SBOM is read from.
func TestProgramKnowsItsModules(t *testing.T) {
	dir := t.TempDir()
	unpackArchive(t, released(t, first), dir)
	info, err := buildinfo.ReadFile(filepath.Join(dir, "relay"))
	if err != nil || info.Path != "example.com/relay/cmd/relay" {
		t.Errorf("build info %v, %v", info, err)
	}
}

func TestArguments(t *testing.T) {
	full := filepath.Join(t.TempDir(), "full")
	if err := os.MkdirAll(filepath.Join(full, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"-o x", "usage"},
		{"-sbom x y", "usage"},
		{"-sbom x -platforms plan9/amd64", "plan9/amd64"},
		{"-sbom x -version latest", "latest"},
		{"-sbom x -version 1.2.3 -o " + full, "folders in it"},
		{"push", "image's name"},
		{"push A:B:C", "A:B:C"},
		{"push -from nowhere registry.example/relay", "nowhere"},
	} {
		if err := run(t.Context(), strings.Fields(test.args), io.Discard); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("release %s: error %v, want %q in it", test.args, err, test.want)
		}
	}
	if _, err := os.Stat(filepath.Join(full, "folder")); err != nil {
		t.Error("a folder that does not belong to a release was emptied")
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "../outside", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := unpack(&b, inner); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "outside")); err == nil {
		t.Error("a file was written outside")
	}
}
