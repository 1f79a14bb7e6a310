package main

import (
	"os"
	"strings"
	"testing"

	"example.com/relay/core"
)

// Every code of an error that this adapter adds stands in README.
func TestReadmeListsTheErrors(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*core.Error{errEvent, errTooLarge} {
		if !strings.Contains(string(readme), "| `"+e.Code+"` | ") {
			t.Errorf("README lacks the error code %s", e.Code)
		}
	}
}
