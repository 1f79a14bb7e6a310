package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"example.com/relay/core/failover/internal/conn"
	"example.com/relay/core/protocol"
)

const (
	// probeTimeout bounds a probe, from the connect on.
	probeTimeout = 1500 * time.Millisecond

	// probeDown is the time between probes of an upstream that is failing. Without
	// traffic for an interval, probes are idleFactor times as far apart, as they are
	// for an upstream whose region OpenAI does not serve.
	probeDown  = 2 * time.Second
	idleFactor = 6
)

// A probeError says that an upstream connected, but failed the health check.
type probeError struct{ err error }

func (e *probeError) Error() string { return "health: " + e.err.Error() }
func (e *probeError) Unwrap() error { return e.err }

var errConnClosed = errors.New("connection was closed after the health check")

// verify checks over cn, which is reserved and remains so, that u is alive: a relay
// must pass a health check; of any other upstream the connection is enough. Its
// timeout is ctx's. If it fails, cn is to be dropped.
func (p *Pool) verify(ctx context.Context, u *upstream, cn *conn.Conn) error {
	if u.official || !u.health.isMarked() {
		return nil
	}
	cn.Hold(true)
	if err := ask(ctx, u, cn, u.health.apiFault()); err != nil {
		return &probeError{err}
	}
	if !cn.Reserve() {
		return &probeError{errConnClosed}
	}
	cn.Hold(false)
	return nil
}

// ask requests u's health over cn; with deep, it must reach the API too, and its
// region must be served there.
func ask(ctx context.Context, u *upstream, cn *conn.Conn, deep bool) error {
	of := &url.URL{Path: protocol.HealthPath}
	if deep {
		of.RawQuery = "deep=1"
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: u.url(of), Host: u.base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: u.header(http.Header{"User-Agent": {"relay-probe"}, "Accept": {"application/json"}}),
	}).WithContext(ctx)
	res, err := cn.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	u.liveness.hear()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // all of it, so that the connection can be reused
	switch marker := res.Header.Get(protocol.Marker); {
	case marker == "":
		return fmt.Errorf("status %d without a relay's marker", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", res.StatusCode)
	case !protocol.IsByRelay(marker):
		return errors.New("the API responded instead of the relay")
	}
	u.health.provedRelay()
	u.learn(body)
	return nil
}

// learn notes what a relay's health check says of it. One that says nothing of its
// limits has those that it had.
func (u *upstream) learn(body []byte) {
	var report protocol.Health
	if json.Unmarshal(body, &report) != nil {
		return
	}
	if report.MaxBodyBytes > 0 {
		u.sizes.set(report.MaxBodyBytes)
	}
	u.isServer.Store(report.Platform == protocol.Server)
}

// endLost ends the attempts at an upstream that has failed and is silent: those
// that wait for their response after probeTimeout, the others after conn.DeadAfter.
func (p *Pool) endLost(u *upstream) { p.endSilent(u, probeTimeout) }

// endSilent is endLost with another patience for those that wait for their response.
func (p *Pool) endSilent(u *upstream, patience time.Duration) {
	class := u.health.lastClass()
	if !u.health.ejected() || class == classOutOfQuota || protocol.IsOfToken(class) {
		return // or it is left alone for what it said, which is no silence
	}
	silent := u.unheardFor()
	for _, a := range u.attempts() {
		waited := time.Duration(now() - a.heardAt.Load())
		limit := conn.DeadAfter
		if a.isAwaited() {
			limit = min(limit, patience)
		}
		if silent > limit && waited > limit {
			a.cancel(errUnresponsive)
		}
	}
}

// probeLoop probes until the pool is closed.
func (p *Pool) probeLoop() {
	ticker := time.NewTicker(min(probeDown, p.opts.ProbeInterval))
	defer ticker.Stop()
	last := make(map[*upstream]time.Time)
	for {
		select {
		case <-p.running.Done():
			return
		case <-ticker.C:
			p.probeAll(p.running, p.opts.ProbeInterval, last)
		}
	}
}

// probes reports whether the pool makes requests of its own while it is open.
func (p *Pool) probes() bool {
	return p.opts.ProbeInterval > 0 && !p.opts.Serverless && p.running.Err() == nil
}

// meet notes that u responded as a relay, and asks it at once what it is unless a probe
// has: what depends on that should not depend on when the next probe is due.
func (p *Pool) meet(u *upstream) {
	if u.health.showedMarker() && p.probes() && p.Several() {
		go func() { _, _ = p.examine(p.running, u, false) }() // which notes what it finds
	}
}

// probeAll probes the upstreams that are due; last says when each was probed.
func (p *Pool) probeAll(ctx context.Context, interval time.Duration, last map[*upstream]time.Time) {
	var wait sync.WaitGroup
	defer wait.Wait()
	idle := time.Since(time.Unix(0, p.lastUse.Load())) > interval
	for _, u := range p.list() {
		p.endLost(u)
		period := interval
		switch {
		case u.health.refused():
			period *= idleFactor
		case u.health.failing():
			period = min(interval, probeDown)
		case idle && !u.isAwaited():
			period *= idleFactor
		}
		if !p.Several() || time.Since(last[u]) < period-probeDown/2 {
			continue
		}
		last[u] = time.Now()
		wait.Go(func() { p.probe(ctx, u) })
	}
}

// probe checks u's health, on schedule.
func (p *Pool) probe(ctx context.Context, u *upstream) {
	start := time.Now()
	class, err := p.examine(ctx, u, u.health.apiFault())
	if ctx.Err() != nil {
		return // the pool is closed
	}
	if err == nil {
		u.health.measured(time.Since(start))
		p.logChange(u, u.health.probed())
		return
	}
	p.strike(u, class, maxStrikes-1) // two failed probes take it down
	p.endLost(u)
}

// examine checks u's health over a new connection, within probeTimeout. It returns
// the class of the failure with the error.
func (p *Pool) examine(ctx context.Context, u *upstream, deep bool) (class string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cn, err := u.connections.ConnectHeld(ctx)
	if err != nil {
		return connectClass(err), err
	}
	defer u.connections.Drop(cn)
	if u.official {
		return "", nil
	}
	err = ask(ctx, u, cn, deep)
	if err != nil && ctx.Err() == nil && u.token == "" && !u.health.isMarked() {
		err = nil // it may be the API itself, which has no health check
	}
	if err != nil {
		return ClassUnresponsive, err
	}
	return "", nil
}
