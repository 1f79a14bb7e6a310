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

// fileUpstreams returns the upstreams that a file names. There must be no
// others.
func fileUpstreams(name string, configured []core.Secret) ([]core.Secret, error) {
	if len(configured) > 0 {
		return nil, errors.New("RELAY_UPSTREAMS: must not be set beside -upstreams-file")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("-upstreams-file: %w", err)
	}
	urls, err := parseUpstreams(data)
	if err != nil {
		return nil, fmt.Errorf("-upstreams-file %s: %w", name, err)
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

// watchUpstreams gives relay the upstreams of a file whenever it changes, until
// ctx ends. A file that cannot be used changes nothing, and the log says why.
func watchUpstreams(ctx context.Context, name string, relay *core.Relay, logger *slog.Logger) {
	// What has changed is the content: a file may be replaced within a clock
	// tick, and be touched without a change.
	last, _ := os.ReadFile(name)
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(name)
		if err != nil || bytes.Equal(data, last) {
			continue // being replaced, perhaps
		}
		last = data
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
