package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// words puts the texts of i18n.mjs in the order of their language: each compresses
// better by itself.
var words = api.Plugin{Name: "words", Setup: func(build api.PluginBuild) {
	build.OnLoad(api.OnLoadOptions{Filter: `/i18n\.mjs$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
		module, err := os.ReadFile(args.Path)
		if err != nil {
			return api.OnLoadResult{}, err
		}
		contents, err := part(string(module))
		return api.OnLoadResult{Contents: &contents, Loader: api.LoaderJS}, err
	})
}}

// wordLine is a line such as "name: ['English', 'Chinese'],".
var wordLine = regexp.MustCompile("^  (\\w+): \\[(?:'([^'\\\\`$]+)'|\"([^\"\\\\`$]+)\"), '([^'\\\\`$]+)'\\],$")

const (
	beginWords = "export const words = {\n"
	endWords   = "\n};\n"
)

// wordsByLanguage is a module with what comes before the words, the two lists, and
// what comes after.
const wordsByLanguage = "%s\nconst english = `%s`.split('\\n');\nconst chinese = `%s`.split('\\n');\n" + `
export const words = Object.fromEntries(english.map((line, i) => {
  const [name, text] = line.split(/ (.*)/);
  return [name, [text, chinese[i]]];
}));
%s`

// part returns a module whose words, an object with a pair of texts for each name,
// are made of two lists.
func part(module string) (string, error) {
	before, rest, ok := strings.Cut(module, beginWords)
	lines, after, ended := strings.Cut(rest, endWords)
	if !ok || !ended {
		return "", errors.New("i18n.mjs has no words")
	}
	var english, chinese []string
	for line := range strings.SplitSeq(lines, "\n") {
		if line == "" {
			continue
		}
		m := wordLine.FindStringSubmatch(line)
		if m == nil {
			return "", fmt.Errorf("i18n.mjs: not a name with two texts without escapes: %s", line)
		}
		english = append(english, m[1]+" "+m[2]+m[3])
		chinese = append(chinese, m[4])
	}
	return fmt.Sprintf(wordsByLanguage, before, strings.Join(english, "\n"), strings.Join(chinese, "\n"), after), nil
}
