package build

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Epoch is the time of every file: the earliest that a zip can hold.
var Epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// WriteZip writes an archive of files, which are given by their names in it,
// and returns a line about it: its size and SHA-256. The bytes depend on nothing
// but names and contents. Files whose name has no dot are made executable (0755),
// all others plain (0644). There must be some.
func WriteZip(out string, files map[string]string) (string, error) {
	return write(out, files, pack)
}

// write writes what pack makes of files, and returns a line about it.
func write(out string, files map[string]string, pack func(map[string]string) ([]byte, error)) (string, error) {
	if len(files) == 0 {
		return "", fmt.Errorf("%s: nothing to put into it", out)
	}
	archive, err := pack(files)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(out, archive, 0o644); err != nil {
		return "", err
	}
	size := len(archive)
	return fmt.Sprintf("%s: %.2f MB (%d bytes), sha256 %x", out, float64(size)/1e6, size, sha256.Sum256(archive)), nil
}

func pack(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := add(z, name, files[name]); err != nil {
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
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: Epoch}
	header.SetMode(mode(name))
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// mode returns the permissions of a file in an archive.
func mode(name string) fs.FileMode {
	if strings.Contains(path.Base(name), ".") {
		return 0o644
	}
	return 0o755
}
