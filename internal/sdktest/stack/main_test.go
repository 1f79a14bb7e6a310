package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestRun goes the way of a test: start, call a relay, look behind the scenes,
// close the standard input.
func TestRun(t *testing.T) {
	in, closeIn := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(in, stdout, true, false) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var greeting map[string]any
	if err := json.Unmarshal([]byte(line), &greeting); err != nil {
		t.Fatal(err)
	}
	url := func(name string) string {
		u, _ := greeting[name].(string)
		return u
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url("open")+"/v1/models?q="+accessToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+heldKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()

	req.URL.Host = strings.TrimPrefix(url("lambda"), "http://")
	req.URL.RawQuery = "q=CANARY" // a relay hands on no token that it was shown
	req.Header.Set("X-Relay-Token", accessToken)
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()

	if got := get(t, url("control")+"/requests?done=2"); !strings.Contains(got, `"canceled":false`) || !strings.Contains(got, `"done":true`) {
		t.Errorf("requests = %s, want one that is done", got)
	}
	if got := get(t, url("control")+"/hits"); !strings.Contains(got, `"open":1`) || !strings.Contains(got, `"lambda":1`) {
		t.Errorf("hits = %s, want one of open and one of lambda", got)
	}
	post(t, url("control")+"/reset", "")
	if got := get(t, url("control")+"/requests"); got != "[]\n" {
		t.Errorf("requests after a reset = %s, want none", got)
	}
	// A deep check takes no fault of a request, and is none.
	post(t, url("control")+"/script", `["status=429"]`)
	if got := get(t, url("open")+"/relay/health?deep=1"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("deep check = %s, want one that is ok", got)
	}
	if got := get(t, url("control")+"/requests"); got != "[]\n" {
		t.Errorf("requests after a deep check = %s, want none", got)
	}
	if got := get(t, url("open")+"/v1/models"); !strings.Contains(got, "rate_limit") {
		t.Errorf("models = %s, want the fault", got)
	}

	if got := get(t, url("control")+"/log"); !strings.Contains(got, "models") || strings.Contains(got, "CANARY") {
		t.Errorf("log = %s, want the request without a secret", got)
	}
	closeIn.Close()
	if err := <-done; err != nil {
		t.Errorf("run = %v, want nil after its input closed", err)
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	res, err := http.Post(url, "", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
