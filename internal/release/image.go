package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"example.com/relay/internal/build"
)

const (
	// user and group of the image's process, by number: there is no /etc/passwd.
	user = "65532:65532"
	// port on which the image listens.
	port = "8787"
	// rootsFile is where Go's crypto/x509 looks first.
	rootsFile = "etc/ssl/certs/ca-certificates.crt"
	// rootsModulePath is the module that has the root certificates.
	rootsModulePath = "golang.org/x/crypto/x509roots/fallback"
)

// image makes the container image for the released Linux platforms: the command
// relay and root certificates, and nothing else. It is the file of an OCI layout.
func (r *release) image(context.Context) error {
	roots, err := layer(rootsFile, 0o644, rootCertificates())
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	sbomOf := ""
	for _, p := range r.platforms {
		if p.os != "linux" {
			continue
		}
		img, err := r.platformImage(p, roots)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}},
		})
		if sbomOf == "" {
			sbomOf = archiveName(p)
		}
	}
	if sbomOf == "" {
		return errors.New("an image needs a platform with Linux")
	}
	if err := writeLayout(r.file(imageFile), index, r.version); err != nil {
		return err
	}
	return r.imageSBOM(sbomOf)
}

// platformImage returns the image for a platform.
func (r *release) platformImage(p platform, roots v1.Layer) (v1.Image, error) {
	program, err := os.ReadFile(r.program(p))
	if err != nil {
		return nil, err
	}
	relay, err := layer("relay", 0o755, program)
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		mutate.Addendum{Layer: roots, History: history("root certificates of " + rootsModulePath)},
		mutate.Addendum{Layer: relay, History: history("relay " + r.version)},
	)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.Config = p.os, p.arch, v1.Time{Time: build.Epoch}, r.config()
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(img, types.OCIConfigJSON), nil
}

// config returns the image's configuration. Docker reads the health check from it,
// although OCI only reserves its name.
func (r *release) config() v1.Config {
	labels := map[string]string{
		"org.opencontainers.image.title":       "relay",
		"org.opencontainers.image.description": "A relay for api.openai.com",
		"org.opencontainers.image.version":     r.version,
		"org.opencontainers.image.licenses":    "MIT",
	}
	if r.source != "" {
		labels["org.opencontainers.image.source"] = r.source
	}
	return v1.Config{
		User:         user,
		WorkingDir:   "/",
		Entrypoint:   []string{"/relay"},
		Cmd:          []string{"serve", "-listen", "0.0.0.0:" + port},
		ExposedPorts: map[string]struct{}{port + "/tcp": {}},
		Labels:       labels,
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/relay", "health", "http://127.0.0.1:" + port},
			Interval: 30 * time.Second, Timeout: 6 * time.Second, StartPeriod: 5 * time.Second, Retries: 3,
		},
	}
}

func history(what string) v1.History {
	return v1.History{Created: v1.Time{Time: build.Epoch}, CreatedBy: what}
}

// layer returns a layer with one file and the folders that it is in.
func layer(name string, mode int64, content []byte) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	folders := strings.Split(filepath.ToSlash(filepath.Dir(name)), "/")
	for i := range folders {
		if dir := strings.Join(folders[:i+1], "/"); dir != "." {
			header := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: build.Epoch}
			if err := w.WriteHeader(header); err != nil {
				return nil, err
			}
		}
	}
	header := &tar.Header{Name: name, Size: int64(len(content)), Mode: mode, ModTime: build.Epoch}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(opener,
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
}

// rootCertificates returns Mozilla's root certificates as PEM. Those with constraints
// are left out, as PEM cannot express them.
func rootCertificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}

// rootsModule returns the module that the root certificates are from, and its
// version.
func rootsModule() (path, version string, err error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == rootsModulePath {
				return module.Path, module.Version, nil
			}
		}
	}
	return "", "", errors.New("this program does not know its modules: build it by the go command")
}
