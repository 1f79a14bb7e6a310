//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// secrets are files as they may lie about in a clone, none of which may leave it.
var secrets = []string{
	".env", ".env.production", "vercel/.env", "vercel/.env.local", "core/.env", "key.pem", "vercel/key.pem", "notes.txt",
	"terraform/vercel/prod.tfvars", "terraform/vercel/terraform.tfstate", "terraform/vercel/terraform.tfstate.backup", "vercel/prod.tfvars",
	"dist/relay", "node_modules/x/index.js",
}

// link is what vercel link writes.
const link = ".vercel/project.json"

// copyRepository copies what git tracks, and what it would, to a new folder
// linked to a project of Vercel, adds secrets, and returns it.
func copyRepository(t *testing.T) string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = ".."
	list, err := git.Output()
	if err != nil {
		t.Skipf("the real build copies what git tracks: git ls-files: %v", err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // deleted, but not yet in git
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(content))
	}
	for _, name := range secrets {
		write(t, filepath.Join(dir, name), "secret")
	}
	write(t, filepath.Join(dir, link), `{"projectId":"prj_test","orgId":"team_test","settings":{"rootDirectory":"vercel"}}`)
	return dir
}

// write writes a file and the folders that it needs.
func write(t *testing.T, file, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// upload runs vercel deploy in dir against an API that takes nothing, and
// returns the files that it would have uploaded.
func upload(t *testing.T, cli, dir string) []string {
	t.Helper()
	var files []string
	api := http.NewServeMux()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	api.Handle("/", answer(200, `{}`))
	api.Handle("/v2/user", answer(200, `{"user":{"id":"u","uid":"u","username":"u","email":"u@vercel.example","version":"northstar","defaultTeamId":"team_test"}}`))
	api.Handle("/teams/team_test", answer(200, `{"id":"team_test","slug":"team","name":"team"}`))
	api.Handle("/v9/projects/prj_test", answer(200, `{"id":"prj_test","name":"relay","accountId":"team_test","rootDirectory":"vercel","framework":"go"}`))
	api.HandleFunc("POST /v13/deployments", func(w http.ResponseWriter, req *http.Request) {
		var deployment struct{ Files []struct{ File string } }
		if err := json.NewDecoder(req.Body).Decode(&deployment); err != nil {
			t.Error(err)
		}
		for _, f := range deployment.Files {
			files = append(files, f.File)
		}
		answer(400, `{"error":{"code":"enough","message":"enough"}}`)(w, req)
	})
	server := httptest.NewServer(api)
	out, _ := vercelCommand(t, cli, dir, "deploy", "--prod", "--yes", "--token", "test", "--api", server.URL).CombinedOutput()
	server.Close()
	if !strings.Contains(string(out), "enough") || len(files) == 0 {
		t.Fatalf("vercel deploy: %s", out)
	}
	for _, name := range secrets {
		if slices.Contains(files, name) {
			t.Errorf("vercel deploy uploads %s", name)
		}
	}
	t.Logf("vercel deploy uploads %d files: %s", len(files), strings.Join(files, " "))
	return files
}

// only returns a new folder with those files of dir.
func only(t *testing.T, dir string, files []string) string {
	t.Helper()
	kept := t.TempDir()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(kept, name), string(content))
	}
	return kept
}
