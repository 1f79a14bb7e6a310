package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sbomSuffix is appended to an artifact's name for that of its SBOM, in CycloneDX.
const sbomSuffix = ".cdx.json"

// object is a JSON object.
type object = map[string]any

// programSBOM writes the SBOM of an artifact that is one program: cyclonedx-gomod reads
// the modules that the go command has recorded in it.
func (r *release) programSBOM(ctx context.Context, artifact, program string) error {
	out := filepath.Join(r.work, "sbom.json")
	cmd := exec.CommandContext(ctx, "go", "run", "-trimpath", r.sbomTool, "bin", "-json", "-noserial", "-notimestamp",
		"-short-purls", "-std", "-version", "v"+r.version, "-output", out, program)
	cmd.Dir = r.root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("SBOM of %s: %w\n%s", artifact, err, text)
	}
	bom, err := readSBOM(out)
	if err != nil {
		return err
	}
	metadata, _ := bom["metadata"].(object)
	tools, _ := metadata["tools"].([]any)
	for _, tool := range tools {
		if tool, ok := tool.(object); ok {
			delete(tool, "hashes") // those of a program that differs between machines
		}
	}
	return r.writeSBOM(artifact, bom)
}

// fileSBOM writes the SBOM of an artifact that is a single file without dependencies.
func (r *release) fileSBOM(artifact string) error {
	return r.writeSBOM(artifact, object{
		"bomFormat":   "CycloneDX",
		"specVersion": "1.6",
		"version":     1,
		"metadata": object{"component": object{
			"bom-ref":  artifact,
			"type":     "application",
			"name":     artifact,
			"version":  "v" + r.version,
			"licenses": []object{{"license": object{"id": "MIT"}}},
		}},
		"components":   []object{},
		"dependencies": []object{{"ref": artifact}},
	})
}

// imageSBOM writes the SBOM of the image: that of its program, copied from the SBOM of
// the artifact program, and the root certificates.
func (r *release) imageSBOM(program string) error {
	bom, err := readSBOM(r.file(program + sbomSuffix))
	if err != nil {
		return err
	}
	module, version, err := rootsModule()
	if err != nil {
		return err
	}
	roots := "pkg:golang/" + module + "@" + version
	components, _ := bom["components"].([]any) // there may be none
	bom["components"] = append(components, object{
		"bom-ref": roots, "type": "library", "name": module, "version": version, "purl": roots, "scope": "required",
	})
	dependencies, _ := bom["dependencies"].([]any)
	bom["dependencies"] = append(dependencies, object{"ref": roots})
	return r.writeSBOM(imageFile, bom)
}

// readSBOM reads a CycloneDX document.
func readSBOM(file string) (object, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var bom object
	if err := json.Unmarshal(text, &bom); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return bom, nil
}

// writeSBOM adds the artifact's hash to a CycloneDX document, and writes it next to the
// artifact.
func (r *release) writeSBOM(artifact string, bom object) error {
	content, err := os.ReadFile(r.file(artifact))
	if err != nil {
		return err
	}
	metadata, _ := bom["metadata"].(object)
	component, ok := metadata["component"].(object)
	if !ok {
		return fmt.Errorf("the SBOM of %s says not what it is of", artifact)
	}
	component["hashes"] = []object{{"alg": "SHA-256", "content": fmt.Sprintf("%x", sha256.Sum256(content))}}
	text, err := json.MarshalIndent(bom, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.file(artifact+sbomSuffix), append(text, '\n'), 0o644)
}
