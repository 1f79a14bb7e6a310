package tfdoc

import (
	"fmt"
	"strings"
)

// Inputs returns the table of the module's variables.
func (m Module) Inputs() string {
	var b strings.Builder
	b.WriteString("| Variable | Type | Default | |\n| --- | --- | --- | --- |\n")
	for _, v := range m.Variables {
		value := "required"
		if v.HasDefault {
			value = code(v.Default)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.title(), code(v.Type), value, cell(v.Description))
	}
	return b.String()
}

// Results returns the table of the module's outputs.
func (m Module) Results() string {
	var b strings.Builder
	b.WriteString("| Output | |\n| --- | --- |\n")
	for _, o := range m.Outputs {
		fmt.Fprintf(&b, "| %s | %s |\n", o.title(), cell(o.Description))
	}
	return b.String()
}

func (b Block) title() string {
	if b.Sensitive {
		return code(b.Name) + " (sensitive)"
	}
	return code(b.Name)
}

func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// Replace returns text with what stands between the marks of a section in
// place of what stood there. The marks are comments of HTML.
func Replace(text, section, content string) (string, error) {
	begin, end := "<!-- begin "+section+":", "<!-- end "+section+" -->"
	head, rest, ok := strings.Cut(text, begin)
	mark, rest, ok2 := strings.Cut(rest, "-->\n")
	_, tail, ok3 := strings.Cut(rest, end)
	if !ok || !ok2 || !ok3 {
		return "", fmt.Errorf("there is no section %s", section)
	}
	return head + begin + mark + "-->\n" + content + end + tail, nil
}
