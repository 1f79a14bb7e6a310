package main

import (
	"archive/zip"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// entry is a file of a zip.
type entry struct {
	name    string
	mode    fs.FileMode
	content string
}

func writeZip(t *testing.T, entries ...entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lambda.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	defer archive.Close()
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name}
		header.SetMode(e.mode)
		w, err := archive.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// executable returns the head of a 64-bit little-endian ELF file.
func executable(machine elf.Machine) string {
	b := make([]byte, 64)
	copy(b, elf.ELFMAG)
	b[elf.EI_CLASS], b[elf.EI_DATA], b[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB),
		byte(elf.EV_CURRENT)
	binary.LittleEndian.PutUint16(b[16:], uint16(elf.ET_EXEC))
	binary.LittleEndian.PutUint16(b[18:], uint16(machine))
	binary.LittleEndian.PutUint32(b[20:], uint32(elf.EV_CURRENT))
	binary.LittleEndian.PutUint16(b[52:], 64)
	return string(b)
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	path := writeZip(t, entry{"bootstrap", 0o755, "#!/bin/sh\n"}, entry{"more/", fs.ModeDir | 0o755, ""},
		entry{"more/file", 0o644, "more"})
	bootstrap, err := unpack(path, dir)
	if err != nil || bootstrap != filepath.Join(dir, "bootstrap") {
		t.Fatalf("unpack = %s, %v", bootstrap, err)
	}
	if info, err := os.Stat(bootstrap); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("bootstrap: %v, %v", info, err)
	}
	if more, err := os.ReadFile(filepath.Join(dir, "more/file")); string(more) != "more" || err != nil {
		t.Errorf("more/file = %q, %v", more, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	other := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other = elf.EM_X86_64
	}
	script := "#!/bin/sh\n"
	for _, test := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"nothing", nil, "no file bootstrap"},
		{"another name", []entry{{"main", 0o755, script}}, "no file bootstrap"},
		{"in a folder", []entry{{"dist/bootstrap", 0o755, script}}, "no file bootstrap"},
		{"not executable", []entry{{"bootstrap", 0o644, script}}, "chmod 755"},
		{"only for its owner", []entry{{"bootstrap", 0o700, script}}, "chmod 755"},
		{"a folder", []entry{{"bootstrap", fs.ModeDir | 0o755, ""}}, "chmod 755"},
		{"no executable", []entry{{"bootstrap", 0o755, "text"}}, "neither a Linux executable"},
		{"empty", []entry{{"bootstrap", 0o755, ""}}, "neither a Linux executable"},
		{"another machine", []entry{{"bootstrap", 0o755, executable(other)}}, "and this machine is"},
		{"no machine of Lambda's", []entry{{"bootstrap", 0o755, executable(elf.EM_RISCV)}},
			"which Lambda does not support"},
		{"a way out", []entry{{"bootstrap", 0o755, script}, {"../out", 0o644, ""}}, "leaves the folder"},
		{"a link", []entry{{"bootstrap", 0o755, script}, {"link", fs.ModeSymlink | 0o777, "/etc"}},
			"not a regular file"},
	} {
		_, err := unpack(writeZip(t, test.entries...), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: unpack = %v, want %q", test.name, err, test.want)
		}
	}
	not := filepath.Join(t.TempDir(), "not.zip")
	if err := os.WriteFile(not, []byte("not"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(not, t.TempDir()); err == nil {
		t.Error("unpack of no zip = nil, want an error")
	}
}
