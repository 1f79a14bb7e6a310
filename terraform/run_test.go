package terraform_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
)

// An event is a line that terraform test -json prints.
type event struct {
	Type  string `json:"type"`
	Run   string `json:"@testrun"`
	State *struct {
		Outputs outputs `json:"outputs"`
		Values  struct {
			Outputs outputs `json:"outputs"`
		} `json:"values"` // where OpenTofu has them
	} `json:"test_state"`
	Plan *struct {
		Changes []struct {
			Address string `json:"address"`
			Mode    string `json:"mode"`
			Change  struct {
				Actions []string        `json:"actions"`
				After   json.RawMessage `json:"after"`
			} `json:"change"`
		} `json:"resource_changes"`
	} `json:"test_plan"`
}

// after is a planned resource's environment, in the places where the platforms have
// it.
type after struct {
	Environment []struct {
		Variables map[string]string `json:"variables"`
	} `json:"environment"`
	Template []struct {
		Containers []struct {
			Env []struct{ Name, Value string }
		}
	}
	Bindings []struct{ Name, Text string }
	Key      string `json:"key"`
	Value    string `json:"value"`
}

// outputs are the outputs of a root module.
type outputs map[string]struct {
	Value json.RawMessage `json:"value"`
}

// terraformTest runs a file of testdata as a test of a folder of the tree that make
// tf has prepared, and returns terraform's events by the names of their runs.
func terraformTest(t *testing.T, folder, file string) map[string]event {
	t.Helper()
	terraform, tree := tools(t)
	source, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(tree, "terraform", folder)
	if err := os.MkdirAll(filepath.Join(dir, "gotests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "gotests", file), source, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), terraform, "test", "-json", "-verbose", "-test-directory=gotests",
		"-filter=gotests/"+file)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	runs := make(map[string]event)
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) == nil && (e.State != nil || e.Plan != nil) {
			runs[e.Run] = e
		}
	}
	return runs
}

// changes returns the planned changes of a run, sorted, one line per resource.
func (e event) changes() []string {
	var lines []string
	if e.Plan == nil {
		return nil
	}
	for _, c := range e.Plan.Changes {
		if c.Mode == "managed" && !slices.Equal(c.Change.Actions, []string{"no-op"}) {
			lines = append(lines, strings.Join(c.Change.Actions, "+")+" "+c.Address)
		}
	}
	slices.Sort(lines)
	return lines
}

// A plan of everywhere has the expected changes, and after an apply (to mocks) the
// output endpoints is the file that the gateway reads.
func TestTerraformEverywhere(t *testing.T) {
	runs := terraformTest(t, "examples/everywhere", "everywhere.tftest.hcl")
	golden(t, "testdata/everywhere.txt", strings.Join(runs["a_plan"].changes(), "\n")+"\n")
	applied := runs["an_apply"]
	if applied.State == nil {
		t.Fatal("no state in terraform's output")
	}
	endpoints := cmp.Or(string(applied.State.Outputs["endpoints"].Value),
		string(applied.State.Values.Outputs["endpoints"].Value))
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(endpoints)); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/endpoints.json", compact.String()+"\n")
}

// A third region only creates resources, wherever it is in the list, and leaves the
// existing ones alone.
func TestTerraformLeavesOtherRegionsAlone(t *testing.T) {
	for module, region := range map[string]string{"lambda": "ap-northeast-1", "gcf": "asia-northeast1"} {
		runs := terraformTest(t, module, "regions_"+module+".tftest.hcl")
		changes := runs["a_third_region"].changes()
		if len(changes) < 2 {
			t.Errorf("%s: a third region plans %q, want 2 changes or more", module, changes)
		}
		for _, line := range changes {
			if !strings.HasPrefix(line, "create ") || !strings.Contains(line, `"`+region) {
				t.Errorf("%s: a third region would %s", module, line)
			}
		}
		if again := runs["the_other_way_round"].changes(); len(again) > 0 {
			t.Errorf("%s: another order of regions plans %q, want nothing", module, again)
		}
	}
}

// A deployment on Vercel keeps the environment that it was created with, so a change
// of the environment must create a new one.
func TestTerraformRedeploysOnVercel(t *testing.T) {
	runs := terraformTest(t, "vercel", "settings_vercel.tftest.hcl")
	for _, run := range []string{"a_new_setting", "another_token"} {
		if changes := runs[run].changes(); !slices.Contains(changes, "create+delete vercel_deployment.this") {
			t.Errorf("%s plans %q, want a new deployment", run, changes)
		}
	}
}

// The relay accepts the environment that Terraform gives to its functions, and reads
// the intended settings from it.
func TestTerraformEnvironmentIsAccepted(t *testing.T) {
	for _, module := range modules {
		runs := terraformTest(t, module, "environment_"+module+".tftest.hcl")
		cfg, err := core.ParseEnv(environ(runs["a_function_with_everything_set"]))
		if err != nil {
			t.Errorf("%s: the relay refuses its environment: %v", module, err)
		}
		if len(cfg.AccessTokens) != 2 || len(cfg.AllowedOrigins) != 2 || cfg.APIKey != "sk-test" ||
			cfg.Name != "relay-2" || cfg.MaxStreamTime != 10*time.Minute ||
			len(cfg.Upstreams) != 1 || string(cfg.Upstreams[0]) != "https://api.openai.com" {
			t.Errorf("%s: the relay reads from its environment %+v", module, cfg)
		}
		for _, token := range cfg.AccessTokens {
			if !strings.HasPrefix(string(token), "sha256:") {
				t.Errorf("%s: a token is in the environment in plain text", module)
			}
		}
		cfg, err = core.ParseEnv(environ(runs["a_function_whose_upstreams_hold_keys"]))
		want := []core.Secret{"https://:sk-openai@api.openai.com",
			"https://:az-%3C&%3E%22=@NAME.openai.azure.com/openai/v1#azure"}
		if err != nil || !slices.Equal(cfg.Upstreams, want) || !cfg.HoldsKey() || len(cfg.NamedTokens) != 1 ||
			!slices.Equal(cfg.NamedTokens[0].Upstreams, []string{"azure"}) {
			t.Errorf("%s: with keys of upstreams: %v, %d upstreams, %+v", module, err, len(cfg.Upstreams), cfg)
		}
	}
}

// environ returns the planned environment of a run's functions.
func environ(e event) []string {
	env := []string{}
	if e.Plan == nil {
		return env
	}
	for _, c := range e.Plan.Changes {
		var after after
		_ = json.Unmarshal(c.Change.After, &after) // other resources use these names for other things
		for _, v := range after.Bindings {
			env = append(env, v.Name+"="+v.Text)
		}
		if after.Key != "" {
			env = append(env, after.Key+"="+after.Value)
		}
		for _, block := range after.Environment {
			for name, value := range block.Variables {
				env = append(env, name+"="+value)
			}
		}
		for _, template := range after.Template {
			for _, container := range template.Containers {
				for _, v := range container.Env {
					env = append(env, v.Name+"="+v.Value)
				}
			}
		}
	}
	return env
}
