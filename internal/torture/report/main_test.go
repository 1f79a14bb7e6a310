package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	m, err := read(strings.NewReader(`{"row":"A01","front":"local","passed":true}
{"row":"A01","front":"gateway","passed":false}
{"row":"A01","front":"gateway","passed":true}
{"row":"A02","front":"local","passed":false,"note":"exception: why"}
{"row":"A03","front":"local","passed":true,"note":"9 ms"}
`))
	if err != nil {
		t.Fatal(err)
	}
	text := string(m.text(time.Now()))
	for _, want := range []string{
		"| A01 | disconnect before body complete | ✓ |  |  |  |  |  | ✗ |  |\n",
		"- A02 (disconnect before response header), local: why.\n",
		"| 9 ms (A03, local) |",
		"| not measured in this run (C01, gateway) |",
		"| **not known**: A01 failed (all rows) |",
		"| 0 in 0 tests (B04, ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report lacks %q:\n%s", want, text)
		}
	}
	if missing := m.missing(); missing[0] != "A01" || len(missing) != len(rows)-2 {
		t.Errorf("missing: %v", missing)
	}
	if len(rows) != 127 {
		t.Errorf("%d rows, want 127", len(rows))
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	if _, err := read(strings.NewReader("x")); err == nil {
		t.Error("no error")
	}
}
