package build

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPackDependsOnContentOnly(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, when time.Time) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first, err := pack(map[string]string{"core/a.go": write("a", "package a", time.Unix(1, 0)),
		"bootstrap": write("b", "\x7fELF", time.Unix(2, 0))})
	if err != nil {
		t.Fatal(err)
	}
	second, err := pack(map[string]string{"bootstrap": write("c", "\x7fELF", time.Now()),
		"core/a.go": write("d", "package a", time.Now())})
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same content gives other archives, %v", err)
	}
	z, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(r)
		got = append(got, f.Mode().String()+" "+f.Name+" "+string(content))
	}
	if want := "-rwxr-xr-x bootstrap \x7fELF|-rw-r--r-- core/a.go package a"; strings.Join(got, "|") != want {
		t.Errorf("archive holds %q, want %q", got, want)
	}
}

func TestZipErrors(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a.zip")
	for _, files := range []map[string]string{nil, {"a": filepath.Join(t.TempDir(), "missing")}} {
		if _, err := WriteZip(out, files); err == nil {
			t.Errorf("WriteZip(%q) has no error", files)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an archive was written all the same")
	}
}
