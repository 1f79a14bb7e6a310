package terraform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// loggedFields returns the fields of a relay's lines of requests: one of a named token
// that failed over and took tokens, and one that the relay refused.
func loggedFields(t *testing.T) map[string]bool {
	t.Helper()
	u := fakeopenai.StartUpstream(t)
	const token = "0123456789abcdef0123456789abcdef"
	cfg, err := core.ParseEnv([]string{
		`RELAY_ACCESS_TOKENS=[{"name":"alice","token":"` + token + `"}]`,
		"RELAY_UPSTREAMS=http://" + proc.RefusingAddr(t) + "#a," + u.URL + "#b",
		"RELAY_LOG_USAGE=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	relay, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for key, status := range map[string]int{"rt_" + token + ".sk-test": 200, "sk-test": 401} {
		req := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Accept-Encoding", "identity")
		res := httptest.NewRecorder()
		relay.ServeHTTP(res, req) // returns after it has logged
		if res.Code != status {
			t.Fatalf("got %d, want %d: %s", res.Code, status, res.Body)
		}
	}
	fields := make(map[string]bool)
	for line := range bytes.Lines(log.Bytes()) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if record["msg"] != "request" {
			continue
		}
		if want := map[bool]string{true: "INFO", false: "WARN"}[record["error"] == nil]; record["level"] != want {
			t.Errorf("the level is %v, want %s: %s", record["level"], want, line)
		}
		if attempts, _ := record["attempts"].(float64); record["error"] == nil && attempts != 2 {
			t.Errorf("a request that failed over has %v attempts", attempts)
		}
		for name := range record {
			fields[name] = true
		}
	}
	return fields
}

// queryFields returns the names in a query of Logs Insights that must be fields of the
// log: those that are neither its language's, nor CloudWatch's own, nor made by it.
func queryFields(query string) []string {
	made := make(map[string]bool)
	for _, match := range regexp.MustCompile(`\bas (\w+)`).FindAllStringSubmatch(query, -1) {
		made[match[1]] = true
	}
	query = regexp.MustCompile(`"[^"]*"|\w+\(|\bas \w+`).ReplaceAllString(query, " ")
	var names []string
	for _, name := range regexp.MustCompile(`@?\b[a-z]\w*`).FindAllString(query, -1) {
		switch name {
		case "filter", "stats", "sort", "by", "and", "desc", "@timestamp":
		default:
			if !made[name] {
				names = append(names, name)
			}
		}
	}
	return names
}

// The queries of the dashboard, the metrics on Google and the queries in the docs name
// only fields that the relay logs: one that it does not would count nothing, silently.
func TestQueriesNameFieldsOfTheLog(t *testing.T) {
	named := make(map[string][]string) // by file
	files, err := filepath.Glob("lambda/queries/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		named[file] = queryFields(text(t, file))
	}
	const metrics, docs = "gcf/log_metrics.tf", "../docs/operate.md"
	named[metrics] = found(t, metrics, `jsonPayload\.(\w+)`)
	named[metrics] = append(named[metrics], found(t, metrics, `value += "(\w+)"`)...)
	for _, labels := range found(t, metrics, `labels += \[(.*)\]`) {
		named[metrics] = append(named[metrics], regexp.MustCompile(`\w+`).FindAllString(labels, -1)...)
	}
	named[docs] = found(t, docs, `json(?:P|_p)ayload\.(\w+)`)
	if len(files) != 7 || len(named[metrics]) < 15 || len(named[docs]) < 7 {
		t.Fatalf("found %d queries, and the fields %q", len(files), named)
	}
	fields := loggedFields(t)
	for file, names := range named {
		if len(names) < 2 {
			t.Errorf("%s: found the fields %q", file, names)
		}
		for _, name := range names {
			if !fields[name] {
				t.Errorf("%s has the field %s, which the log has not", file, name)
			}
		}
	}
}

// The queries that Terraform saves are those of docs/operate.md.
func TestSavedQueriesAreDocumented(t *testing.T) {
	saved := found(t, "lambda/dashboard.tf", `\n  saved += \[(.*)\]\n`)
	if len(saved) != 1 {
		t.Fatalf("lambda/dashboard.tf has the lists of saved queries %q, want one", saved)
	}
	docs := text(t, "../docs/operate.md")
	for _, name := range strings.Split(saved[0], ", ") {
		query := text(t, fmt.Sprintf("lambda/queries/%s.txt", strings.Trim(name, `"`)))
		if !strings.Contains(docs, "\n```\n"+query+"```\n") {
			t.Errorf("docs/operate.md lacks the saved query %s:\n%s", name, query)
		}
	}
}

// The README has each metric that Terraform creates on Google, and docs/operate.md
// queries no other.
func TestMetricsOnGoogleAreDocumented(t *testing.T) {
	created := make(map[string]bool)
	for _, name := range found(t, "gcf/log_metrics.tf", `\n    (\w+) = \{\n      description`) {
		created[name] = true
		if !strings.Contains(text(t, "gcf/README.md"), "`NAME/"+name+"`") {
			t.Errorf("gcf/README.md lacks the metric %s", name)
		}
	}
	queried := found(t, "../docs/operate.md", `googleapis\.com/user/relay/(\w+)_sum`)
	if len(created) != 5 || len(queried) == 0 {
		t.Fatalf("found the metrics %v, and queries of %q", created, queried)
	}
	for _, name := range queried {
		if !created[name] {
			t.Errorf("docs/operate.md queries the metric %s, which Terraform does not create", name)
		}
	}
}

// found returns what the group of an expression matches in a file, each time.
func found(t *testing.T, file, expression string) (matches []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text(t, file), -1) {
		matches = append(matches, match[1])
	}
	return matches
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
