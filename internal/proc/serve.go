package proc

import (
	"context"
	"net"
	"strings"
	"time"
)

// PollGap is the time between attempts to connect to a program that starts. A
// shorter one would slow the program down.
const PollGap = 100 * time.Microsecond

// Serve starts a program that serves on 127.0.0.1 at the port in PORT, waits until
// it accepts connections, and returns the address. The program must be stopped.
func Serve(ctx context.Context, opts Options, name string, args ...string) (p *Process, addr string, err error) {
	for range 3 { // another program may take the port first
		if p, addr, err = tryServe(ctx, opts, name, args); err == nil {
			return p, addr, nil
		}
	}
	return nil, "", err
}

func tryServe(ctx context.Context, opts Options, name string, args []string) (*Process, string, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	opts.Env = append([]string{"PORT=" + port}, opts.Env...)
	p, err := Start(opts, name, args...)
	if err != nil {
		return nil, "", err
	}
	if err := p.AwaitListening(ctx, addr); err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, addr, nil
}

// StartRelay starts the relay program at addr ("127.0.0.1:0" for any port) and
// returns its base URL without "/v1". It must be stopped.
func StartRelay(ctx context.Context, opts Options, program, addr string) (p *Process, base string, err error) {
	if p, err = Start(opts, program, "serve", "-listen", addr); err != nil {
		return nil, "", err
	}
	if base, err = p.Await(ctx, "base URL: "); err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, strings.TrimSuffix(base, "/v1"), nil
}
