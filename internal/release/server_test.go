package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestUnit has systemd verify the service and its socket, with a program that
// exists here.
func TestUnit(t *testing.T) {
	text := read(t, root, "docs", "server", "relay.service")
	socket := read(t, root, "docs", "server", "relay.socket")
	const installed, address = "/usr/local/bin/relay", "127.0.0.1:8787"
	if strings.Count(text, "ExecStart="+installed+" serve -listen "+address+"\n") != 1 {
		t.Errorf("the unit does not start %s on %s", installed, address)
	}
	if strings.Count(socket, "\nListenStream="+address+"\n") != 1 {
		t.Errorf("the socket is not on %s, on which the unit says the relay listens", address)
	}
	if !strings.Contains(text, "\nType=notify\n") ||
		!strings.Contains(text, "\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n") {
		t.Error("systemd does not wait for READY=1, or the relay cannot send it")
	}
	systemd, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("THE UNIT WAS NOT VERIFIED: there is no systemd-analyze, which Debian's package systemd has")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "relay")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	unit, socketUnit := filepath.Join(dir, "relay.service"), filepath.Join(dir, "relay.socket")
	if err := os.WriteFile(socketUnit, []byte(socket), 0o644); err != nil {
		t.Fatal(err)
	}
	verify := func(text string, args ...string) (string, error) {
		t.Helper()
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(text, installed, program)), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), systemd, append(args, unit)...).CombinedOutput()
		return string(out), err
	}
	if out, err := verify(text, "verify", "--man=no", socketUnit); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := verify(text+"\n[Service]\nRestrat=always\n", "verify", "--man=no"); !strings.Contains(out,
		"Restrat") {
		t.Errorf("systemd-analyze verify finds no fault in a unit with one: %v\n%s", err, out)
	}
	if out, err := verify(text, "security", "--offline=true", "--threshold=20"); err != nil {
		t.Errorf("systemd-analyze security: exposed by more than 2.0: %v\n%s", err, out)
	}
}

func TestCompose(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(file, []byte(read(t, root, "docs", "server", "compose.yaml")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "relay.env"), []byte("RELAY_ACCESS_TOKENS=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("relay"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	relay, err := project.GetService("relay")
	if err != nil {
		t.Fatal(err)
	}
	config := new(release).config()
	if relay.User != config.User || !relay.ReadOnly || !slices.Equal(relay.CapDrop, []string{"ALL"}) ||
		relay.Environment["RELAY_ACCESS_TOKENS"] == nil {
		t.Errorf("the service is %+v", relay)
	}
	if check := relay.HealthCheck; check == nil || !slices.Equal(check.Test, config.Healthcheck.Test) {
		t.Errorf("the health check is %+v, that of the image %+v", check, config.Healthcheck)
	}
	if len(relay.Ports) != 1 || relay.Ports[0].HostIP != "127.0.0.1" || relay.Ports[0].Target != 8787 {
		t.Errorf("ports %+v", relay.Ports)
	}
}
