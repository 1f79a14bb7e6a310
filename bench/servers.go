package main

import (
	"context"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/build"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/proc"
)

// Platforms that start servers.
const (
	onGCF    = "Google Cloud Functions"
	onVercel = "Vercel"
)

var serversSuite = suite{
	full: plan{budget: 115 * time.Second, starts: 40, memory: 5, rounds: 4, chats: 500,
		paced: upstream.Slow, events: upstream.EventCount},
	quick: plan{budget: 45 * time.Second, starts: 20, memory: 1, rounds: 1, chats: 300,
		paced: upstream.Brief, events: upstream.BriefCount},
	contenders: []contender{
		{"direct, no server", plain, build.Program{}, startDirect},
		{nameRelay, onGCF, build.Program{Package: "example.com/relay/gcf/cmd"}, startServer},
		{"functions-framework-go + ReverseProxy", onGCF, stock("gcf"), startServer},
		{nameRelay, onVercel, build.Program{Package: "example.com/relay/vercel"}, startServer},
		{"net/http + ReverseProxy", onVercel, stock("server"), startServer},
	},
	measure: (*results).measureServers,
	report:  (*results).serversReport,
}

// stock returns a program that a user would write.
func stock(name string, flags ...string) build.Program {
	return build.Program{Package: "example.com/relay/bench/stock/" + name, Flags: flags}
}

// settleTime is what a process may still have to do after it listens.
const settleTime = 20 * time.Millisecond

// measureServers runs everything in the plan, as long as ctx lets it.
func (res *results) measureServers(ctx context.Context, r *rig) error {
	return res.measurePlatform(ctx, r, []step{
		{"broken streams", 1, (*row).measureCut},
		{"starts", res.plan.starts, (*row).measureStart},
		{"memory", res.plan.memory, (*row).measureServerMemory},
	})
}

// measureServerMemory takes what a new process is resident with, and again when
// warm.
func (w *row) measureServerMemory(ctx context.Context, r *rig) error {
	c, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer c.stop()
	time.Sleep(settleTime)
	used, err := c.usage()
	if err != nil {
		return err
	}
	w.addUsage(idle, used)
	if _, err := chat(ctx, c.addr, warmChats); err != nil {
		return err
	}
	if used, err = c.usage(); err != nil {
		return err
	}
	w.addUsage(rss, used)
	return nil
}

// startServer starts what a platform starts, and waits until it listens.
func startServer(ctx context.Context, r *rig, w *row) (*running, error) {
	// The relay leaves everything else as it is by default: it logs every request.
	// Stock programs are told the upstream by a name of their own. K_SERVICE makes
	// the framework do what it does on the platform; a program that names its
	// function itself overrides FUNCTION_TARGET.
	env := []string{"UPSTREAM=" + r.url(plain)}
	if w.name == nameRelay {
		env = []string{"RELAY_UPSTREAMS=" + r.url(plain)}
	}
	if w.on == onGCF {
		env = append(env, "K_SERVICE=bench", "FUNCTION_TARGET=Proxy")
	}
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	p, addr, err := proc.Serve(ctx, proc.Options{Env: env, Discard: true}, w.built.file)
	if err != nil {
		return nil, err
	}
	return &running{addr: addr, process: p, listened: figures.Millis(p.Age())}, nil
}
