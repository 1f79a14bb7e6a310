package page

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/internal/section"
)

var update = flag.Bool("update", false, "write the generated sections of docs/clients.md")

// A client is one of src/clients.json, which the page shows and of which
// docs/clients.md is made. In its texts {base} stands for the relay's base URL
// with "/v1", {root} for that without, {key} for what goes into a field for an
// API key, and {model} for a model.
type client struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Kind     string            `json:"kind"` // one of kinds
	Settings []setting         `json:"settings"`
	Env      map[string]string `json:"env"`      // what is enough to set, if variables are
	Snippets []snippet         `json:"snippets"` // what is enough to write, one of them
	Link     *link             `json:"link"`     // nil: the app has none
	Relay    string            `json:"relay"`    // what the relay must be started with
	Works    string            `json:"works"`    // empty: nobody has run it
	Limits   string            `json:"limits"`   // what does not work
	Package  string            `json:"package"`  // that internal/clienttest runs, from npm
	Verified string            `json:"verified"` // the version that was run through the relay; null: none
}

// A setting is a place in a client, in English and, if its menus have other
// names, in Chinese, and what goes there.
type setting struct {
	Where   string `json:"where"`
	WhereZH string `json:"where_zh"`
	Value   string `json:"value"`
}

// A snippet is a piece of configuration or code.
type snippet struct {
	File   string `json:"file"` // where it goes, if it is a file's
	Lang   string `json:"lang"`
	When   string `json:"when"` // the case that it is for, if there are several; the page shows it up to " ("
	WhenZH string `json:"when_zh"`
	Text   string `json:"text"`
}

// A link opens an app and fills its settings in: url with the payload, as JSON
// or that in base64, both percent-encoded. Without a key the payload's member
// with {key} is left out, if that is optional.
type link struct {
	URL     string          `json:"url"`
	Payload json.RawMessage `json:"payload"`
	Encode  string          `json:"encode"` // json or base64
	Key     string          `json:"key"`    // optional or required
}

// kinds are the kinds of clients in the order of the page, and their headings.
var kinds = []struct{ name, heading string }{
	{"sdk", "SDKs and APIs"}, {"framework", "Frameworks"}, {"agent", "Coding agents"}, {"chat", "Chat apps"},
}

func clients(t *testing.T) []client {
	t.Helper()
	text, err := os.ReadFile("src/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Clients []client }
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil {
		t.Fatalf("src/clients.json: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Fatalf("src/clients.json goes on after its object: %v", err)
	}
	return table.Clients
}

func TestClients(t *testing.T) {
	all := clients(t)
	if len(all) < 15 {
		t.Errorf("%d clients, want all", len(all))
	}
	known := make(map[string]bool)
	place := regexp.MustCompile(`\{[a-z]+\}`)
	for _, c := range all {
		if c.ID == "" || c.Name == "" || known[c.ID] {
			t.Errorf("client %q (%s) has no id of its own, or no name", c.ID, c.Name)
		}
		if (c.Works == "") != (c.Verified == "") {
			t.Errorf("%s: works %q, verified with %q: what was run is what is known to work", c.ID, c.Works, c.Verified)
		}
		known[c.ID] = true
		if !slices.ContainsFunc(kinds, func(k struct{ name, heading string }) bool { return k.name == c.Kind }) {
			t.Errorf("%s is of an unknown kind: %s", c.ID, c.Kind)
		}
		texts := slices.Collect(maps.Values(c.Env))
		for _, s := range c.Settings {
			texts = append(texts, s.Value)
		}
		for _, s := range c.Snippets {
			if s.Lang == "" {
				t.Errorf("%s has a snippet in no language", c.ID)
			}
			texts = append(texts, s.Text)
		}
		if !slices.ContainsFunc(texts,
			func(s string) bool { return strings.Contains(s, "{base}") || strings.Contains(s, "{root}") }) {
			t.Errorf("%s is nowhere told the relay's address", c.ID)
		}
		if l := c.Link; l != nil {
			texts = append(texts, string(l.Payload))
			if strings.Count(l.URL, "{payload}") != 1 || !slices.Contains([]string{"json", "base64"}, l.Encode) ||
				!slices.Contains([]string{"optional", "required"}, l.Key) {
				t.Errorf("%s: link = %+v", c.ID, *l)
			}
		}
		for _, text := range texts {
			for _, p := range place.FindAllString(text, -1) {
				if !slices.Contains([]string{"{base}", "{root}", "{key}", "{model}"}, p) {
					t.Errorf("%s: %s stands for nothing", c.ID, p)
				}
			}
		}
	}
}

// A version that make clients runs is the one that is pinned there.
func TestVerifiedVersions(t *testing.T) {
	pinned := make(map[string]string)
	for _, folder := range []string{"", "agents/"} {
		text, err := os.ReadFile("../../internal/clienttest/" + folder + "package.json")
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ DevDependencies map[string]string }
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		for name, version := range list.DevDependencies {
			pinned[name] = version[strings.LastIndex(version, "@")+1:] // behind the name of an alias
		}
	}
	checked := 0
	for _, c := range clients(t) {
		if c.Package == "" {
			continue
		}
		checked++
		if c.Verified != pinned[c.Package] {
			t.Errorf("%s is verified with %s %q, want %q, which internal/clienttest runs", c.ID, c.Package, c.Verified,
				pinned[c.Package])
		}
	}
	if checked < 10 {
		t.Errorf("%d clients are run by internal/clienttest, want all that it has", checked)
	}
}

// docs/clients.md says what the page says.
func TestDocsAreUpToDate(t *testing.T) {
	const page = "../../docs/clients.md"
	all := clients(t)
	for name, want := range map[string]string{"clients": clientsTable(all), "configurations": configurations(all)} {
		if *update {
			if err := section.Write(page, name, []byte(want)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		got, err := section.Content(string(text), name)
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s is out of date: run make docs. Its section %s is\n%s\nwant\n%s", page, name, got, want)
		}
	}
}

// local fills a text in as for a relay on this computer that wants a token.
var local = strings.NewReplacer("{base}", "http://127.0.0.1:8787/v1", "{root}", "http://127.0.0.1:8787",
	"{key}", "rt_<token>.<key>", "{model}", "gpt-5-mini")

// clientsTable returns a table of the clients for each kind, in Markdown.
func clientsTable(all []client) string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "### %s\n\n| Client | Setting: value | Works | Does not, or differs | Verified with |\n"+
			"| --- | --- | --- | --- | --- |\n", k.heading)
		for _, c := range all {
			if c.Kind != k.name {
				continue
			}
			var settings []string
			for _, s := range c.Settings {
				settings = append(settings, s.Where+": `"+local.Replace(s.Value)+"`")
			}
			if c.Relay != "" {
				settings = append(settings, "the relay: `"+c.Relay+"`")
			}
			verified := c.Verified
			switch {
			case verified == "":
				verified = "not run here: as its documentation says"
			case c.Package != "":
				verified = "`" + c.Package + "` " + verified
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.Name, strings.Join(settings, "<br>"), c.Works, c.Limits,
				verified)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// configurations returns the clients' variables and files, in Markdown.
func configurations(all []client) string {
	var b strings.Builder
	for _, c := range all {
		if len(c.Env) == 0 && len(c.Snippets) == 0 {
			continue
		}
		fmt.Fprintf(&b, "### %s\n\n", c.Name)
		if c.Relay != "" {
			fmt.Fprintf(&b, "A relay with `%s`:\n\n", c.Relay)
		}
		if len(c.Env) > 0 {
			b.WriteString("```sh\n")
			for _, name := range slices.Sorted(maps.Keys(c.Env)) {
				fmt.Fprintf(&b, "export %s='%s'\n", name, local.Replace(c.Env[name]))
			}
			b.WriteString("```\n\n")
		}
		for _, s := range c.Snippets {
			if s.File != "" {
				fmt.Fprintf(&b, "`%s`", s.File)
				if s.When != "" {
					fmt.Fprintf(&b, ", %s", s.When)
				}
				b.WriteString(":\n\n")
			}
			fmt.Fprintf(&b, "```%s\n%s\n```\n\n", s.Lang, local.Replace(s.Text))
		}
	}
	return b.String()
}
