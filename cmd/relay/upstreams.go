package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/failover"
)

// watchInterval is how often the upstreams file is looked at. Tests shorten it.
var watchInterval = time.Second

// An upstreamsFile names the upstreams, and may change.
type upstreamsFile struct {
	name string

	// last is what it held when it was read. What has changed is the content: a
	// file may be replaced within a clock tick, and be touched without a change.
	last []byte
}

// read returns the upstreams that the file names. There must be no others.
func (f *upstreamsFile) read(configured []core.Secret) ([]core.Secret, error) {
	if len(configured) > 0 {
		return nil, errors.New("RELAY_UPSTREAMS: must not be set beside -upstreams-file")
	}
	var err error
	if f.last, err = os.ReadFile(f.name); err != nil {
		return nil, fmt.Errorf("-upstreams-file: %w", err)
	}
	urls, err := parseUpstreams(f.last)
	if err != nil {
		return nil, fmt.Errorf("-upstreams-file %s: %w", f.name, err)
	}
	return urls, nil
}

func parseUpstreams(data []byte) ([]core.Secret, error) {
	list, err := failover.ParseFile(data)
	urls := make([]core.Secret, len(list))
	for i, u := range list {
		urls[i] = core.Secret(u)
	}
	return urls, err
}

// watch gives relay the upstreams of the file whenever it has changed since it
// was read, until ctx ends. A file that cannot be used changes nothing, and the
// log says why.
func (f *upstreamsFile) watch(ctx context.Context, relay *core.Relay, logger *slog.Logger) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(f.name)
		if err != nil || bytes.Equal(data, f.last) {
			continue // being replaced, perhaps
		}
		f.last = data
		urls, err := parseUpstreams(data)
		if err == nil {
			err = relay.SetUpstreams(urls)
		}
		if err != nil {
			logger.Error("upstreams file not used", "problem", err.Error())
			continue
		}
		logger.Info("upstreams file read", "upstreams", upstreamNames(urls))
	}
}
