package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRunServesUntilCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, options{listen: "127.0.0.1:0"}, in) }()

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // ends with the pipe
	url := strings.TrimSpace(strings.TrimPrefix(line, "Base URL: "))
	req, err := http.NewRequest("GET", url+"/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-fake")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s/models = %d, want 200", url, res.StatusCode)
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run after cancel = %v, want nil", err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.com:80", "127.0.0.1"} {
		if err := run(t.Context(), options{listen: address}, io.Discard); !errors.Is(err, errNotLoopback) {
			t.Errorf("run(-listen %s) = %v, want %v", address, err, errNotLoopback)
		}
	}
	if err := run(t.Context(), options{listen: "127.0.0.1:0", fault: "nonsense"}, io.Discard); err == nil {
		t.Error("run(-fault nonsense) = nil, want an error")
	}
}

func TestIsLoopback(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1", "127.9.9.9:1"} {
		if !isLoopback(address) {
			t.Errorf("isLoopback(%q) = false, want true", address)
		}
	}
}
