package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSetVersion(t *testing.T) {
	root, err := Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{VersionFile, "cloudflare/worker.js"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		old, err := SourceVersion(text)
		if err != nil || CheckVersion(old) != nil {
			t.Errorf("%s has the version %q, %v", name, old, err)
		}
		_, err = SetVersion(text, "9.8.7-test+$1")
		if err == nil {
			t.Errorf("%s takes a version with a dollar sign", name)
		}
		set, err := SetVersion(text, "9.8.7-test+1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := SourceVersion(set); err != nil || got != "9.8.7-test+1" {
			t.Errorf("%s has the version %q, %v", name, got, err)
		}
		if back, err := SetVersion(set, old); err != nil || !bytes.Equal(back, text) {
			t.Errorf("%s is not the same with its old version: %v", name, err)
		}
	}
	for _, text := range []string{"", "var Version = \"1.0.0\"\nconst VERSION = \"1.0.0\";\n"} {
		if _, err := SetVersion([]byte(text), "1.0.0"); err == nil {
			t.Errorf("%q has one version", text)
		}
	}
}

func TestBuildRefusesABadVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay")
	err := Relay.Build(t.Context(), Target{Version: "1.0.0 -X main.a=b"}, file)
	if err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("error %v", err)
	}
}

func TestTarGzDependsOnContentOnly(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a": "program", "b": "text", "c": "program", "d": "text"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var archives [2][]byte
	for i, files := range []map[string]string{
		{"relay": filepath.Join(dir, "a"), "LICENSE.txt": filepath.Join(dir, "b")},
		{"LICENSE.txt": filepath.Join(dir, "d"), "relay": filepath.Join(dir, "c")},
	} {
		out := filepath.Join(dir, "out.tar.gz")
		if _, err := WriteTarGz(out, files); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same content gives other archives")
	}
	compressed, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(files)
		got = append(got, header.FileInfo().Mode().String()+" "+header.Name+" "+string(content))
	}
	if want := "-rw-r--r-- LICENSE.txt text|-rwxr-xr-x relay program"; strings.Join(got, "|") != want {
		t.Errorf("archive holds %q, want %q", got, want)
	}
	if _, err := WriteTarGz(filepath.Join(dir, "none.tar.gz"), nil); err == nil {
		t.Error("an archive of nothing has no error")
	}
}
