//go:build linux

package vercelbuild

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Secrets are files that a working copy may contain and that must not be uploaded.
// Build creates them before it asks what would be uploaded.
var Secrets = []string{
	".env", ".env.production", "vercel/.env", "vercel/.env.local", "core/.env", "key.pem", "vercel/key.pem",
	"notes.txt",
	"terraform/vercel/prod.tfvars", "terraform/vercel/terraform.tfstate", "terraform/vercel/terraform.tfstate.backup",
	"vercel/prod.tfvars",
	"dist/relay", "node_modules/x/index.js",
}

// link is the file that vercel link writes.
const link = ".vercel/project.json"

// clone copies the files in root that git tracks or does not ignore to dir, links
// it to a Vercel project, and adds Secrets.
func clone(root, dir string) error {
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	list, err := git.Output()
	if err != nil {
		return missing(fmt.Sprintf("what git tracks: git ls-files: %v", err))
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		err := copyFile(filepath.Join(dir, name), filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted, but not yet in git
			return err
		}
	}
	for _, name := range Secrets {
		if err := write(filepath.Join(dir, name), []byte("secret")); err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, link),
		[]byte(`{"projectId":"prj_test","orgId":"team_test","settings":{"rootDirectory":"vercel"}}`))
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return write(to, content)
}

// write writes a file and the folders that it needs.
func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// upload runs vercel deploy in dir against an API that rejects the deployment, and
// returns the files that would have been uploaded.
func upload(vercel, dir string) ([]string, error) {
	var files []string
	api := http.NewServeMux()
	respond := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	api.Handle("/", respond(200, `{}`))
	api.Handle("/v2/user", respond(200, `{"user":{"id":"u","uid":"u","username":"u","email":"u@vercel.example",`+
		`"version":"northstar","defaultTeamId":"team_test"}}`))
	api.Handle("/teams/team_test", respond(200, `{"id":"team_test","slug":"team","name":"team"}`))
	api.Handle("/v9/projects/prj_test", respond(200, `{"id":"prj_test","name":"relay","accountId":"team_test",`+
		`"rootDirectory":"vercel","framework":"go"}`))
	api.HandleFunc("POST /v13/deployments", func(w http.ResponseWriter, req *http.Request) {
		var deployment struct{ Files []struct{ File string } }
		if err := json.NewDecoder(req.Body).Decode(&deployment); err != nil {
			respond(400, `{"error":{"code":"malformed","message":"malformed"}}`)(w, req)
			return
		}
		for _, f := range deployment.Files {
			files = append(files, f.File)
		}
		respond(400, `{"error":{"code":"enough","message":"enough"}}`)(w, req)
	})
	server := httptest.NewServer(api)
	cmd, err := command(vercel, dir, "deploy", "--prod", "--yes", "--token", "test", "--api", server.URL)
	if err != nil {
		server.Close()
		return nil, err
	}
	out, _ := cmd.CombinedOutput() // it fails, since the API rejects the deployment
	server.Close()
	if !strings.Contains(string(out), "enough") || len(files) == 0 {
		return nil, fmt.Errorf("vercel deploy: %s", out)
	}
	return files, nil
}
