//go:build linux

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/vercelbuild"
)

// TestBuild proves the contract on what Vercel's own CLI builds from the uploaded
// files, started as on Vercel.
func TestBuild(t *testing.T) {
	function := vercelbuild.Build(t)
	t.Log(function.Log)
	checkUpload(t, function)
	checkFunction(t, function.Dir)
	t.Run("adapter", func(t *testing.T) {
		contract.TestAdapter(t, func(t *testing.T, environ []string) string {
			return function.Start(t, environ).URL
		}, contract.As("Vercel"), contract.Unhurried()) // Vercel's proxy is a ReverseProxy without full duplex
	})
	t.Run("requests end", func(t *testing.T) { testEnds(t, function) })
}

// checkUpload checks that no secrets leave a clone.
func checkUpload(t *testing.T, function *vercelbuild.Function) {
	t.Helper()
	for _, name := range vercelbuild.Secrets {
		if slices.Contains(function.Uploaded, name) {
			t.Errorf("vercel deploy uploads %s", name)
		}
	}
	t.Logf("vercel deploy uploads %d files: %s", len(function.Uploaded), strings.Join(function.Uploaded, " "))
}

// checkFunction checks the function's configuration in dir, as Vercel reads it.
func checkFunction(t *testing.T, dir string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, ".vc-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Handler, Runtime          string
		MaxDuration               int
		Regions                   []string
		SupportsResponseStreaming bool
	}
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	// No regions and no duration: they would override the project's, which Terraform sets.
	if config.Runtime != "executable" || config.Handler != "executable" || !config.SupportsResponseStreaming ||
		config.MaxDuration != 0 || len(config.Regions) > 0 {
		t.Errorf("the function is configured as %s", content)
	}
	routes, err := os.ReadFile(filepath.Join(dir, "..", "..", "config.json"))
	if err != nil || !strings.Contains(string(routes), `"dest": "/go"`) {
		t.Errorf("routes: %v %s", err, routes)
	}
}

// testEnds tests that Vercel learns when requests end. (Its proxy does not report
// truncated responses: ReverseProxy panics, which the proxy does not expect. The
// closed connection shows them.)
func testEnds(t *testing.T, function *vercelbuild.Function) {
	u := fakeopenai.StartUpstream(t)
	p := function.Start(t, []string{"RELAY_UPSTREAMS=" + u.URL})
	for _, fault := range []string{"", "status=500"} {
		res, err := http.DefaultTransport.RoundTrip(chat(t, p.URL, fault))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		select {
		case <-p.Ended:
		case <-time.After(2 * time.Second):
			t.Errorf("%q: the proxy does not report the end of the request", fault)
		}
	}
}
