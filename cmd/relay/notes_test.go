package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"example.com/relay/core"
)

func TestNotes(t *testing.T) {
	loopback := []core.Secret{"http://127.0.0.1:1"}
	for _, test := range []struct {
		name    string
		environ []string
		listen  string
		want    string
	}{
		{"nothing", nil, defaultListen, ""},
		{"PORT", []string{"PORT=8080"}, defaultListen, "PORT is set, but not read"},
		{"PORT and -listen", []string{"PORT=8080"}, "127.0.0.1:8080", ""},
	} {
		got := strings.Join(notes(test.environ, test.listen, loopback), "\n")
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// On an empty root there are neither CA certificates nor a resolver; upstreams on
// this machine need none.
func TestNotesOnAnEmptyRoot(t *testing.T) {
	root := t.TempDir()
	if out, err := exec.Command("unshare", "-r", "true").CombinedOutput(); err != nil {
		t.Skipf("no user namespaces here: %s", out)
	}
	static := root + "/relay"
	build := exec.Command("go", "build", "-o", static, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for upstream, want := range map[string][2]bool{ // CA certificates, resolver
		"":                       {true, true},
		"https://192.0.2.1":      {true, false},
		"http://127.0.0.1:1":     {false, false},
		"https://relay.example":  {true, true},
		"https://localhost:8443": {false, false},
	} {
		cmd := exec.CommandContext(t.Context(), "unshare", "-r", "chroot", root, "/relay", "-listen", "127.0.0.1:0")
		cmd.Env = []string{"RELAY_UPSTREAMS=" + upstream, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 0, 4096)
		for b := make([]byte, 1024); !bytes.Contains(said, []byte("Hello!")) || !bytes.HasSuffix(said, []byte("\n")); {
			n, err := out.Read(b)
			said = append(said, b[:n]...)
			if err != nil {
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for i, note := range []string{"no CA certificates", "no resolver"} {
			if got := bytes.Contains(said, []byte(note)); got != want[i] {
				t.Errorf("upstream %q: says %q: %t, want %t, in:\n%s", upstream, note, got, want[i], said)
			}
		}
	}
}
