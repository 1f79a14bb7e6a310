package workerd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"example.com/relay/internal/proc"
)

// A Worker is one module and what it runs with.
type Worker struct {
	Module   []byte
	Name     string            // of the module's file; if empty, worker.js
	Date     string            // compatibility date; if empty, DefaultDate
	Bindings map[string]string // variables and secrets, which are the same here
	Address  string            // to listen on; if empty, a free port of 127.0.0.1
	Roots    []byte            // PEM certificates to trust; if nil, those of browsers
	Internet string            // address that every fetch connects to by plain HTTP; if empty, the URL's
}

// DefaultDate is the compatibility date of a Worker that names none: what the
// dashboard gives to new ones.
const DefaultDate = "2026-11-01"

// A Process is a workerd that serves one Worker.
type Process struct {
	URL string // "http://127.0.0.1:port"
	cmd *exec.Cmd
	dir string
}

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Start starts program for w and returns when it listens. What the Worker writes
// by console goes to out.
func Start(program string, w Worker, out io.Writer) (*Process, error) {
	dir, err := os.MkdirTemp("", "workerd")
	if err != nil {
		return nil, err
	}
	p := &Process{dir: dir}
	if p.URL, err = p.start(program, w, out); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Stop ends the process and returns when it has ended.
func (p *Process) Stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	os.RemoveAll(p.dir)
}

func (p *Process) start(program string, w Worker, out io.Writer) (url string, err error) {
	file, err := Write(p.dir, w)
	if err != nil {
		return "", err
	}
	events, control, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer events.Close()
	p.cmd = exec.Command(program, "serve", "--control-fd=3", file)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.ExtraFiles = []*os.File{control}
	p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	proc.DieWithParent(p.cmd.SysProcAttr)
	err = p.cmd.Start()
	control.Close()
	if err != nil {
		return "", err
	}
	scan := bufio.NewScanner(events)
	for scan.Scan() {
		var event struct {
			Event string
			Port  int
		}
		if json.Unmarshal(scan.Bytes(), &event) == nil && event.Event == "listen" {
			return fmt.Sprintf("http://127.0.0.1:%d", event.Port), nil
		}
	}
	return "", errors.New("workerd ended before it listened")
}

// Write writes w's module and its configuration into dir and returns the name of the
// configuration, which "workerd serve" takes. It is for those who start the program
// themselves; without Address it would not tell them where it listens.
func Write(dir string, w Worker) (string, error) {
	if w.Name == "" {
		w.Name = "worker.js"
	}
	if err := os.WriteFile(filepath.Join(dir, w.Name), w.Module, 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "roots.pem"), w.Roots, 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "config.capnp")
	return file, os.WriteFile(file, []byte(config(w)), 0o600)
}

// config returns the configuration by which workerd serves w. Without "private"
// it would not connect to loopback addresses.
func config(w Worker) string {
	var bindings strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.Bindings)) {
		fmt.Fprintf(&bindings, "    (name = %s, text = %s),\n", quote(name), quote(w.Bindings[name]))
	}
	date, address := w.Date, w.Address
	if date == "" {
		date = DefaultDate
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	trust := "trustBrowserCas = true"
	if w.Roots != nil {
		trust = `trustedCertificates = [embed "roots.pem"]`
	}
	internet := `network = (allow = ["public", "private"], tlsOptions = (` + trust + `))`
	if w.Internet != "" {
		internet = "external = (address = " + quote(w.Internet) + ", http = ())"
	}
	return fmt.Sprintf(`using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", %[5]s),
  ],
  sockets = [(name = "http", address = %[1]s, http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [(name = %[2]s, esModule = embed %[2]s)],
  compatibilityDate = %[3]s,
  bindings = [
%[4]s  ],
);
`, quote(address), quote(w.Name), quote(date), bindings.String(), internet)
}

// quote writes s as a text of Cap'n Proto.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
