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

// watchInterval is the interval at which the upstreams file is read. Tests shorten
// it.
var watchInterval = time.Second

// An upstreamsFile is the file with the upstreams, which may change. Only one
// goroutine uses it at a time.
type upstreamsFile struct {
	name string

	// options decide which upstreams are valid.
	options failover.Options

	// last is the content when the file was last read. Modification times would not
	// do: a file may be replaced within a clock tick, or touched without a change.
	last []byte
}

// read returns the upstreams in the file. It fails if some are configured elsewhere.
func (f *upstreamsFile) read(configured []core.Secret) ([]core.Secret, error) {
	if len(configured) > 0 {
		return nil, errors.New("RELAY_UPSTREAMS: must not be set together with -upstreams-file")
	}
	var err error
	if f.last, err = os.ReadFile(f.name); err != nil {
		return nil, fmt.Errorf("-upstreams-file: %w", err)
	}
	urls, err := f.parse(f.last)
	if err != nil {
		return nil, fmt.Errorf("-upstreams-file %s: %w", f.name, err)
	}
	return urls, nil
}

// parse returns the upstreams in the file's content.
func (f *upstreamsFile) parse(data []byte) ([]core.Secret, error) {
	list, err := failover.ParseFile(data, f.options)
	urls := make([]core.Secret, len(list))
	for i, u := range list {
		urls[i] = core.Secret(u)
	}
	return urls, err
}

// watch sets relay's upstreams whenever the file's content changes, until ctx ends.
// A file that cannot be used changes nothing, and the reason is logged: once per
// content, and once for a file that cannot be read twice in a row. (It may be
// missing for a moment while it is being replaced.)
func (f *upstreamsFile) watch(ctx context.Context, relay *core.Relay, logger *slog.Logger) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	unreadable := 0 // reads in a row that failed
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(f.name)
		if err != nil {
			if unreadable++; unreadable == 2 {
				logger.Error("upstreams file not used", "problem", err.Error())
			}
			continue
		}
		unreadable = 0
		if bytes.Equal(data, f.last) {
			continue
		}
		f.last = data
		urls, err := f.parse(data)
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
