package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
)

// The queries of docs/operate.md for jq give the usage in a real log.
func TestUsageQueries(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed: apt-get install jq")
	}
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	byDay := regexp.MustCompile("(?s)```jq\n(.*?)```").FindSubmatch(page)
	share := regexp.MustCompile("`(\\[inputs [^`]*length)`").FindSubmatch(page)
	if byDay == nil || share == nil {
		t.Fatal("docs/operate.md has no queries of usage for jq")
	}
	u := fakeopenai.StartUpstream(t)
	s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_USAGE=true"})
	for _, body := range []string{chatBody, chatBody, streamBody, strings.Replace(chatBody, `"m"`, `"n"`, 1)} {
		req := newCall(t, "POST", s.base+"/v1/chat/completions", "", body)
		req.Header.Set("Accept-Encoding", "identity")
		if status, text := send(t, req); status != 200 {
			t.Fatal(status, text)
		}
	}
	s.waitForLog(t, `"msg":"request"`, 4)
	jq := func(query string) string {
		cmd := exec.CommandContext(t.Context(), "jq", "-rRn", query)
		cmd.Stdin = strings.NewReader("not JSON\n" + s.stderr.String())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", query, err, out)
		}
		return string(out)
	}
	day := time.Now().Format(time.DateOnly)
	got := regexp.MustCompile(`(\t\d+){4}\n`).ReplaceAllString(jq(string(byDay[1])), " …\n")
	if want := day + "\tm\t2 …\n" + day + "\tn\t1 …\n"; got != want {
		t.Errorf("usage by day is %q, want %q, of the log\n%s", got, want, s.stderr)
	}
	if got := jq(string(share[1])); got != "0.25\n" {
		t.Errorf("the share of unknown usage is %q, want 0.25", got)
	}
}
