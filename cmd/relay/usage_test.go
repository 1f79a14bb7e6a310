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
	unnamed, alice := strings.Repeat("0", 32), strings.Repeat("1", 32)
	s := startServe(t, []string{
		"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_USAGE=true",
		`RELAY_ACCESS_TOKENS=["` + unnamed + `",{"name":"alice","token":"` + alice + `"}]`,
	})
	for _, call := range []struct{ token, body string }{
		{unnamed, chatBody}, {alice, chatBody}, {unnamed, chatBody},
		{alice, streamBody}, {alice, strings.Replace(chatBody, `"m"`, `"n"`, 1)},
	} {
		req := newCall(t, "POST", s.base+"/v1/chat/completions", "", call.body)
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set("X-Relay-Token", call.token)
		if status, text := send(t, req); status != 200 {
			t.Fatal(status, text)
		}
	}
	s.waitForLog(t, `"msg":"request"`, 5)
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
	if want := day + "\t-\tm\t2 …\n" + day + "\talice\tm\t1 …\n" + day + "\talice\tn\t1 …\n"; got != want {
		t.Errorf("usage by day is %q, want %q, of the log\n%s", got, want, s.stderr)
	}
	if got := jq(string(share[1])); got != "0.2\n" {
		t.Errorf("the share of unknown usage is %q, want 0.2", got)
	}
}
