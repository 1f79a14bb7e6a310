//go:build !linux

package main

import "testing"

// enterImage is for Linux.
func enterImage() bool { return false }

// A container is a program that runs on the image's root file system.
type container struct{}

// startContainer skips the test: the image is for Linux.
func startContainer(t *testing.T, _ string, _ []string, _ ...string) *container {
	t.Skip("THE IMAGE WAS NOT RUN: it is for Linux")
	return nil
}

func (*container) await(*testing.T, string) string { return "" }
func (*container) wait() (string, int)             { return "", -1 }
func (*container) stop() error                     { return nil }
func (*container) checkProcess(*testing.T)         {}
