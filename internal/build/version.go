package build

import (
	"fmt"
	"regexp"
)

// VersionFile is the file of the module that holds the source's version.
const VersionFile = "core/version.go"

// versionLine is the line of VersionFile, or of worker.js, that has the version.
var versionLine = regexp.MustCompile(`(?m)^((?:var Version|const VERSION) = ")([^"\n]*)(";?)$`)

// wellFormed is what a version may look like: a semantic version.
var wellFormed = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// CheckVersion returns why a version cannot be one of the relay, or nil.
func CheckVersion(version string) error {
	if !wellFormed.MatchString(version) {
		return fmt.Errorf("version %q is none like 1.2.3 or 1.2.3-dev", version)
	}
	return nil
}

// SourceVersion returns the version in the text of VersionFile or worker.js.
func SourceVersion(text []byte) (string, error) {
	found := versionLine.FindAllSubmatch(text, -1)
	if len(found) != 1 {
		return "", fmt.Errorf("%d lines have a version, want one", len(found))
	}
	return string(found[0][2]), nil
}

// SetVersion returns the text of VersionFile or worker.js with another version.
func SetVersion(text []byte, version string) ([]byte, error) {
	if err := CheckVersion(version); err != nil {
		return nil, err
	}
	if _, err := SourceVersion(text); err != nil {
		return nil, err
	}
	return versionLine.ReplaceAll(text, []byte("${1}"+version+"${3}")), nil
}
