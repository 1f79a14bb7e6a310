package main

import (
	"errors"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/workerd"
)

// startWorker serves the Worker and adds it to greeting; without workerd its
// tests skip.
func (s *stack) startWorker(upstream string, greeting map[string]any) error {
	program, err := workerd.Install()
	if errors.Is(err, workerd.ErrMissing) {
		greeting["missing"] = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	module, err := cloudflare.Module()
	if err != nil {
		return err
	}
	s.worker, err = workerd.Start(program, workerd.Worker{Module: module, Bindings: map[string]string{
		"RELAY_UPSTREAMS":     upstream,
		"RELAY_ACCESS_TOKENS": accessToken,
		"RELAY_LOG_LEVEL":     "debug",
	}}, &s.records)
	if err != nil {
		return err
	}
	greeting["worker"] = s.worker.URL
	return nil
}
