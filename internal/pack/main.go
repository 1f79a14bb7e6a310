// Command pack writes a zip whose bytes depend on nothing but what is in it:
// names in order, one time for all, modes as given.
//
//	pack -o dist/lambda.zip bootstrap=path/to/binary core/relay.go=core/relay.go
//
// Files whose name in the archive has no dot are made executable (0755), all
// others plain (0644). It prints the archive's name, size and SHA-256.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// epoch is the time of every file: the earliest that a zip can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	out := flag.String("o", "", "archive to write")
	flag.Parse()
	if *out == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "pack: usage: pack -o archive.zip name=file …")
		os.Exit(2)
	}
	if err := run(*out, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// run writes the files to the archive out and says so.
func run(out string, files []string, stdout io.Writer) error {
	archive, err := pack(files)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, archive, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %.2f MB (%d bytes), sha256 %x\n", out, float64(len(archive))/1e6, len(archive), sha256.Sum256(archive))
	return err
}

// pack returns an archive of files, each given as name=file.
func pack(files []string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	files = slices.Sorted(slices.Values(files))
	for _, entry := range files {
		name, file, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("%s: not in the form name=file", entry)
		}
		if err := add(z, name, file); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// add adds a file to z.
func add(z *zip.Writer, name, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o644)
	if !strings.Contains(path.Base(name), ".") {
		header.SetMode(0o755)
	}
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
