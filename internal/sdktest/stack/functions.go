package main

import (
	"context"
	"path/filepath"

	"example.com/relay/internal/build"
	"example.com/relay/internal/lambdaemu"
)

// functions are the relays on AWS Lambda by their names in the greeting, and
// what each shows of a truncated response.
var functions = map[string]lambdaemu.Cut{
	"lambda":      lambdaemu.CutBroken,
	"lambdaClean": lambdaemu.CutClean,
}

// startFunctions builds into dir what is deployed to AWS Lambda, serves it behind
// function URLs, and adds those to greeting. Functions require a token, as anyone
// can reach them.
func (s *stack) startFunctions(dir, upstream string, greeting map[string]any) error {
	bootstrap := filepath.Join(dir, "bootstrap")
	if err := build.Lambda.BuildHere(context.Background(), bootstrap); err != nil {
		return err
	}
	for name, cut := range functions {
		server, err := lambdaemu.New(lambdaemu.Function{
			Bootstrap: bootstrap,
			Mode:      lambdaemu.ResponseStream,
			Cut:       cut,
			Env: map[string]string{
				"RELAY_UPSTREAMS":     upstream,
				"RELAY_ACCESS_TOKENS": accessToken,
				"RELAY_LOG_LEVEL":     "debug",
			},
			Log: &s.records,
		})
		if err != nil {
			return err
		}
		s.functions = append(s.functions, server)
		// A function's log is read while it runs: there is nothing to wait for.
		r := &relay{Handler: server, idle: func(context.Context) error { return nil }}
		s.relays[name] = r
		if greeting[name], err = serve(r, &s.complaints); err != nil {
			return err
		}
	}
	return nil
}

// close ends the processes of the functions and the Worker, and then the upstream.
func (s *stack) close() {
	if s.worker != nil {
		s.worker.Stop()
	}
	for _, server := range s.functions {
		server.Close()
	}
	s.upstream.Close()
}
