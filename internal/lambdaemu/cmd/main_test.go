package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestMain runs the tests, or the bootstrap that they put into a zip.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		bootstrap("http://" + api + "/2018-06-01/runtime/invocation/")
		return
	}
	os.Exit(m.Run())
}

// bootstrap responds to every event with the variable GREETING, and logs it.
func bootstrap(base string) {
	response, _ := json.Marshal(map[string]any{"statusCode": 200, "body": os.Getenv("GREETING")})
	for {
		res, err := http.Get(base + "next")
		if err != nil {
			return
		}
		res.Body.Close()
		_, _ = os.Stdout.WriteString(os.Getenv("GREETING") + " in the log\n")
		res, err = http.Post(base+res.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json",
			bytes.NewReader(response))
		if err != nil {
			return
		}
		res.Body.Close()
	}
}

func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	zip := writeZip(t, entry{"bootstrap", 0o755, string(binary)})
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, w := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		args := []string{"-zip", zip, "-listen", "127.0.0.1:0", "-env", "GREETING=hello=", "-mode", "BUFFERED",
			"-concurrency", "1"}
		ended <- run(ctx, args, w, &stderr)
		w.Close()
	}()
	lines := bufio.NewScanner(stdout)
	var printed []string
	for len(printed) < 2 && lines.Scan() {
		printed = append(printed, lines.Text())
	}
	if len(printed) != 2 || !strings.HasPrefix(printed[1], "curl -N http://127.0.0.1:") {
		t.Fatalf("it prints %q; %v", printed, <-ended)
	}
	base, _ := strings.CutPrefix(printed[0], "base URL: ")
	res, err := http.Get(base + "/models")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "hello=" || err != nil {
		t.Errorf("got %d %q, %v", res.StatusCode, body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run = %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
	if !strings.Contains(stderr.String(), "hello= in the log") {
		t.Errorf("standard error lacks the function's log: %s", &stderr)
	}
}

func TestBadFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "want -zip"},
		{"-zip a.zip more", "want -zip"},
		{"-zip a.zip -env NAME", "want NAME=VALUE"},
		{"-zip a.zip -listen :9000", "only loopback"},
		{"-zip a.zip -listen 0.0.0.0:9000", "only loopback"},
		{"-zip a.zip -listen 192.0.2.1:9000", "only loopback"},
		{"-zip a.zip -listen example.com:9000", "only loopback"},
		{"-zip a.zip -listen 9000", "-listen"},
		{"-zip nowhere.zip", "nowhere.zip"},
	} {
		err := run(t.Context(), strings.Fields(test.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("run %s = %v, want %q", test.args, err, test.want)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.8.8.8:1", "[::1]:9000", "localhost:9000"} {
		if err := checkLoopback(address); err != nil {
			t.Errorf("checkLoopback(%s) = %v", address, err)
		}
	}
}
