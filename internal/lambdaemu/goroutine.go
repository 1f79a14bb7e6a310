package lambdaemu

import "context"

// goroutine is the worker that is a Function.Run.
type goroutine struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func startGoroutine(run func(context.Context, string) error, api string) *goroutine {
	ctx, cancel := context.WithCancel(context.Background())
	g := &goroutine{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.err = run(ctx, api)
	}()
	return g
}

func (g *goroutine) pid() int               { return 0 }
func (g *goroutine) freeze()                {}
func (g *goroutine) thaw()                  {}
func (g *goroutine) terminate()             { g.cancel() }
func (g *goroutine) kill()                  { g.cancel() }
func (g *goroutine) ended() <-chan struct{} { return g.done }
func (g *goroutine) exit() error            { return g.err }
