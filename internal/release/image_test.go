package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"example.com/relay/internal/fakeopenai"
)

// pulled pushes the image of a release to a registry in this process, and returns what
// is pulled from there.
func pulled(t *testing.T, release string) v1.ImageIndex {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image := strings.TrimPrefix(server.URL, "http://") + "/owner/relay:" + imageTag(testVersion)
	var out strings.Builder
	if err := run(t.Context(), []string{"push", "-from", release, image}, &out); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out.String()); got != digest.String() {
		t.Errorf("push printed %s, the registry has %s", got, digest)
	}
	layout, err := readLayout(filepath.Join(release, imageFile), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if released, err := layout.Digest(); err != nil || released != digest {
		t.Errorf("released is %s, %v; pulled is %s", released, err, digest)
	}
	return index
}

// own returns the image for this machine's architecture.
func own(t *testing.T, index v1.ImageIndex) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH {
			img, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	t.Fatalf("no image for linux/%s in %+v", runtime.GOARCH, manifest.Manifests)
	return nil
}

func TestImageIsPushedAndPulled(t *testing.T) {
	index := pulled(t, released(t, first))
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	img := own(t, index)
	media, err := img.MediaType()
	if err != nil || media != types.OCIManifestSchema1 {
		t.Errorf("media type %s, %v", media, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	if file.OS != "linux" || file.Architecture != runtime.GOARCH || c.User != "65532:65532" ||
		c.Labels["org.opencontainers.image.version"] != testVersion {
		t.Errorf("the image is %+v", file)
	}
	if !slices.Equal(slices.Concat(c.Entrypoint, c.Cmd), []string{"/relay", "serve", "-listen", "0.0.0.0:8787"}) {
		t.Errorf("it runs %q %q", c.Entrypoint, c.Cmd)
	}
	if _, ok := c.ExposedPorts["8787/tcp"]; !ok || c.Healthcheck == nil ||
		!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/relay", "health", "http://127.0.0.1:8787"}) {
		t.Errorf("ports %v, health check %+v", c.ExposedPorts, c.Healthcheck)
	}
}

// The image of a release for all platforms, of programs that are text.
func TestImageHasEveryPlatform(t *testing.T) {
	make := func() string {
		r := release{version: testVersion + "+commit", source: "https://example.com/owner/relay", out: t.TempDir(),
			work: t.TempDir()}
		var err error
		if r.platforms, err = parsePlatforms(strings.Join(allPlatforms, ",")); err != nil {
			t.Fatal(err)
		}
		for _, p := range r.platforms {
			err := errors.Join(
				os.Mkdir(filepath.Dir(r.program(p)), 0o755),
				os.WriteFile(r.program(p), []byte(p.String()), 0o644),
				os.WriteFile(r.file(archiveName(p)+sbomSuffix), []byte(`{"metadata":{"component":{}}}`), 0o644),
			)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.image(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.out
	}
	one, another := make(), make()
	if read(t, one, imageFile) != read(t, another, imageFile) {
		t.Error("the same programs make other images")
	}
	index := pulled(t, one)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		program := read(t, unpackImage(t, img), "relay")
		if program != m.Platform.String() || file.Architecture != m.Platform.Architecture {
			t.Errorf("the image for %s has the program for %s and is of %s", m.Platform, program, file.Architecture)
		}
		if file.Config.Labels["org.opencontainers.image.source"] != "https://example.com/owner/relay" {
			t.Errorf("labels %v", file.Config.Labels)
		}
		got = append(got, program)
	}
	if !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %q", got)
	}
}

// unpackImage unpacks an image's root file system.
func unpackImage(t *testing.T, img v1.Image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(img)
	defer content.Close()
	if err := unpack(content, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImageHoldsTheRelayAndRootsOnly(t *testing.T) {
	dir := unpackImage(t, own(t, pulled(t, released(t, first))))
	var files []string
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, file)
			files = append(files, name)
		}
		return err
	})
	if err != nil || !slices.Equal(files, []string{rootsFile, "relay"}) {
		t.Errorf("files %q, %v", files, err)
	}
	roots, rest := 0, []byte(read(t, dir, rootsFile))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
		roots++
	}
	if roots < 80 {
		t.Errorf("%d root certificates", roots)
	}
	unpacked := t.TempDir()
	if runtime.GOOS == "linux" {
		unpackArchive(t, released(t, first), unpacked)
		if read(t, unpacked, "relay") != read(t, dir, "relay") {
			t.Error("the image's relay is another than the archive's")
		}
	}
}

// What a container engine does, without one: the program of the image that was
// pulled, as its user, on its root file system, which is read-only.
func TestImageServes(t *testing.T) {
	img := own(t, pulled(t, released(t, first)))
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat(file.Config.Entrypoint, file.Config.Cmd)
	args[len(args)-1] = "127.0.0.1:0" // tests listen on no other address
	dir := unpackImage(t, img)
	api := fakeopenai.StartUpstream(t)
	const token = "CANARY-image-token-of-32-characters"
	c := startContainer(t, dir, []string{"RELAY_UPSTREAMS=" + api.URL, "RELAY_ACCESS_TOKENS=" + token}, args...)
	base := c.await(t, "base URL: ")
	c.checkProcess(t)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/chat/completions",
		strings.NewReader(`{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer rt_"+token+".sk-test")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stream, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || strings.Count(string(stream), "data: ") < 3 ||
		!strings.HasSuffix(string(stream), "data: [DONE]\n\n") {
		t.Errorf("status %d, %v, stream:\n%s", res.StatusCode, err, stream)
	}
	if h := health(t, base); h.Version != testVersion {
		t.Errorf("health %+v", h)
	}

	check := slices.Clone(file.Config.Healthcheck.Test[1:])
	check[len(check)-1] = strings.TrimSuffix(base, "/v1")
	if out, code := startContainer(t, dir, nil, check...).wait(); code != 0 ||
		!strings.Contains(out, "version "+testVersion) {
		t.Errorf("the health check exits with %d: %s", code, out)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	if out, code := c.wait(); code != 0 || !strings.Contains(out, "stopped, everything finished") {
		t.Errorf("SIGTERM ends it with %d: %s", code, out)
	}
	if out, code := startContainer(t, dir, nil, check...).wait(); code != 1 {
		t.Errorf("the health check of a stopped relay exits with %d: %s", code, out)
	}
}
