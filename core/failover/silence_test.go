package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/failover/internal/conn"
	"example.com/relay/core/protocol"
)

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silence
		check := func(want bool, when string) {
			t.Helper()
			if got := s.suspicious(); got != want {
				t.Errorf("%s: suspicious %t, want %t", when, got, want)
			}
		}
		// An upstream that responds to every 10 ms, with requests waiting.
		s.wait()
		for range 2 * minSamples {
			time.Sleep(10 * time.Millisecond)
			s.hear()
		}
		check(false, "while it talks")
		s.wait()
		s.wait()
		time.Sleep(20 * time.Millisecond)
		check(false, "a little later")
		time.Sleep(minSilence)
		check(true, "much later")
		s.hear()
		check(false, "when it talks again")
		s.answered()
		s.answered()
		s.answered()
		time.Sleep(time.Hour)
		check(false, "while nobody waits")
		s.wait()
		s.wait()
		check(false, "at once after a pause")

		// One that thinks for two seconds is not suspicious after two seconds.
		s = silence{}
		s.wait()
		for range 2 * minSamples {
			s.wait()
			time.Sleep(2 * time.Second)
			s.hear()
		}
		s.wait()
		s.wait()
		time.Sleep(2500 * time.Millisecond)
		check(false, "a slow one, after 2.5 s")
		time.Sleep(time.Second)
		check(true, "a slow one, after 3.5 s")
	})
}

func TestOneRequestIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silence
		s.wait()
		for range 2 * minSamples {
			time.Sleep(time.Millisecond)
			s.hear()
		}
		s.answered()
		s.wait()
		time.Sleep(time.Hour) // a model thinks
		if s.suspicious() {
			t.Error("one request that waits makes its upstream suspicious")
		}
	})
}

func TestDoubtOf(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		age  time.Duration
		ack  conn.Ack
		want doubt
	}{
		{"all acknowledged", time.Minute, conn.Ack{Last: time.Minute, RoundTrip: ms}, noDoubt},
		{"just sent", 4 * ms, conn.Ack{Due: true, Last: time.Hour, RoundTrip: ms}, noDoubt},
		{"late", 6 * ms, conn.Ack{Due: true, Last: time.Hour, RoundTrip: ms}, overdue},
		{"later", 52 * ms, conn.Ack{Due: true, Last: time.Hour, RoundTrip: ms}, suspect},
		{"from afar", 252 * ms, conn.Ack{Due: true, Last: time.Hour, RoundTrip: 125 * ms}, noDoubt},
		{"a long upload", time.Minute, conn.Ack{Due: true, Last: 100 * ms, RoundTrip: 125 * ms}, noDoubt},
		{"a long upload that stalls", time.Minute, conn.Ack{Due: true, Last: 300 * ms, RoundTrip: 125 * ms}, suspect},
	} {
		if got := doubtOf(test.age, test.ack); got != test.want {
			t.Errorf("%s: doubtOf(%v, %+v) = %d, want %d", test.name, test.age, test.ack, got, test.want)
		}
	}
}

// What a dead upstream holds ends when it is declared dead: requests without an
// answer at once, which may then go elsewhere, streams after 20 seconds.
func TestLostAttemptsEnd(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	entered, release := make(chan bool), make(chan bool)
	a.set(holding(entered, release))
	defer close(release)
	p := newPool(t, Options{ResendAmbiguous: true}, a, b)
	got := make(chan Result, 1)
	go func() {
		status, _, sent, err := post(t, p, "x")
		if status != 200 || err != nil {
			t.Errorf("got %d %v", status, err)
		}
		got <- sent
	}()
	<-entered
	u := p.list()[0]
	p.endLost(u)
	select {
	case <-got:
		t.Fatal("a request to an upstream that is up was ended")
	default:
	}
	u.health.mu.Lock()
	u.health.until = time.Now().Add(time.Minute)
	u.health.mu.Unlock()
	p.endLost(u) // silent for too short a time
	for _, at := range u.attempts() {
		at.heardAt.Add(-int64(2 * probeTimeout))
	}
	u.liveness.heardAt.Add(-int64(2 * probeTimeout))
	p.endLost(u)
	if sent := <-got; sent.Upstream != "b" || sent.Attempts != 2 {
		t.Errorf("%+v", sent)
	}
}

func TestLostStreamsEnd(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	release := make(chan bool)
	a.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Relay", "relay; origin=upstream")
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	p := newPool(t, Options{}, a, b)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/responses",
		strings.NewReader("x"))
	res, err := p.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	u := p.list()[0]
	u.health.mu.Lock()
	u.health.until = time.Now().Add(time.Minute)
	u.health.mu.Unlock()
	for _, step := range []time.Duration{2 * probeTimeout, conn.DeadAfter} {
		for _, at := range u.attempts() {
			at.heardAt.Add(-int64(step))
		}
		u.liveness.heardAt.Add(-int64(step))
		p.endLost(u)
		ended := false
		for _, at := range u.attempts() {
			ended = ended || at.cause() != nil
		}
		if want := step == conn.DeadAfter; ended != want {
			t.Errorf("after %v: ended %t, want %t", step, ended, want)
		}
	}
	if _, err := res.Body.Read(make([]byte, 1)); !errors.Is(err, errUnresponsive) && !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v", err)
	}
}

// holding returns a handler that responds once release is closed.
func holding(entered chan<- bool, release <-chan bool) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		entered <- true
		<-release
		relayed(w, req)
	}
}

// An upstream whose account has no credit, or which knows the token no longer, goes on
// with the requests that it has: it is not silent because it broke.
func TestRequestsOutlastARefusal(t *testing.T) {
	for _, class := range []string{classOutOfQuota, protocol.TokenExpired} {
		a, b := newRegion(t), newRegion(t)
		entered, release := make(chan bool), make(chan bool)
		a.set(holding(entered, release))
		p := newPool(t, Options{ResendAmbiguous: true}, a, b)
		got := make(chan Result, 1)
		go func() {
			_, _, sent, err := post(t, p, "x")
			if err != nil {
				t.Error(err)
			}
			got <- sent
		}()
		<-entered
		u := p.list()[0]
		p.eject(u, class, time.Minute, true)
		attempts := u.attempts()
		for _, at := range attempts {
			at.heardAt.Add(-int64(2 * probeTimeout))
		}
		u.liveness.heardAt.Add(-int64(2 * probeTimeout))
		p.endLost(u)
		if len(attempts) != 1 || attempts[0].own.Err() != nil {
			t.Errorf("%s: the request was ended: %v", class, context.Cause(attempts[0].own))
		}
		close(release)
		if sent := <-got; sent.Upstream != "a" || sent.Attempts != 1 {
			t.Errorf("%s: %+v", class, sent)
		}
	}
}
