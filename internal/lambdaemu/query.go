package lambdaemu

import "strings"

// query is the parameters of a query.
type query map[string][]string

// parseQuery takes every query: what cannot be decoded stays as it is.
func parseQuery(raw string, decode func(string) (string, error)) query {
	q := query{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = decoded(name, decode), decoded(value, decode)
		q[name] = append(q[name], value)
	}
	return q
}

// object returns one member per name; without names it is null.
func (q query) object(join func([]string) any) object {
	if len(q) == 0 {
		return nil
	}
	o := object{}
	for name, values := range q {
		o[name] = join(values)
	}
	return o
}

func decoded(s string, decode func(string) (string, error)) string {
	if d, err := decode(s); err == nil {
		return d
	}
	return s
}

// verbatim decodes nothing.
func verbatim(s string) (string, error) { return s, nil }
