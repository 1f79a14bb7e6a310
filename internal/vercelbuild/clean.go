package vercelbuild

import "os"

// work is the folder of all that Build makes but the command line.
var work string

// Clean removes what Build made in this process. A package's TestMain calls it
// after the tests.
func Clean() {
	if work != "" {
		os.RemoveAll(work)
	}
}
