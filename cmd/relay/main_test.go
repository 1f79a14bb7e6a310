package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"check"}, exitUsage, "relay: check: needs one URL, not 0"},
		{[]string{"check", "-h"}, exitOK, "-token"},
		{[]string{"help"}, exitOK, "-listen"},
		{[]string{"chekc", "https://relay.example"}, exitUsage, `unknown command "chekc"`},
	} {
		var stdout, stderr bytes.Buffer
		exit := run(t.Context(), test.args, nil, &stdout, &stderr)
		if exit != test.exit || !strings.Contains(stderr.String(), test.want) || stdout.Len() > 0 {
			t.Errorf("relay %q = %d, %q, want %d, %q", test.args, exit, stderr.String(), test.exit, test.want)
		}
	}
}
