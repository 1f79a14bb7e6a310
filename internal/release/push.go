package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push pushes the image of a release to a registry under a name such as
// ghcr.io/owner/relay:1.2.3, with the credentials of docker login or podman login, and
// returns its digest.
func push(ctx context.Context, dir, image string) (digest string, err error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", err
	}
	unpacked, err := os.MkdirTemp("", "push")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(unpacked)) }()
	index, err := readLayout(filepath.Join(dir, imageFile), unpacked)
	if err != nil {
		return "", err
	}
	hash, err := index.Digest()
	if err != nil {
		return "", err
	}
	return hash.String(),
		remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
}
