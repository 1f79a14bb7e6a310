package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/relay/core"
	"example.com/relay/core/failover"
)

// metricsPath is where the metrics are, at the address of -metrics.
const metricsPath = "/metrics"

// Timeouts of the server of metrics, which sends small responses only.
const (
	metricsHeaderTimeout = 5 * time.Second
	metricsWriteTimeout  = 10 * time.Second
)

// latencyBuckets are bounds in seconds, from a refusal to a model that thinks for
// minutes.
var latencyBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}

// A metrics is what Prometheus gets of a relay. Their labels are routes, statuses and
// error codes, of which there are few, and names from the settings: nothing that a
// client sends makes up a label.
type metrics struct {
	address  string
	registry *prometheus.Registry
	listener net.Listener // set by serve

	requests, errors, cut, failovers, attempts, bytes, tokens *prometheus.CounterVec
	firstByte, duration                                       *prometheus.HistogramVec
	resumed                                                   prometheus.Counter
}

// newMetrics returns the metrics to serve at an address, or nil if it is empty.
func newMetrics(address string) *metrics {
	if address == "" {
		return nil
	}
	m := &metrics{
		address:  address,
		registry: prometheus.NewRegistry(),
		requests: counter("relay_requests_total", "Completed requests; status 499 means that the client "+
			"disconnected first.", "route", "status", "token", "upstream"),
		errors: counter("relay_errors_total", "Errors of the relay itself, by code (docs/errors.md).", "route", "code"),
		cut: counter("relay_cut_responses_total", "Responses that had begun and were truncated, "+
			"except those whose client disconnected.", "route", "upstream"),
		resumed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_resumed_streams_total", Help: "How often a stream continued through another upstream.",
		}),
		failovers: counter("relay_failovers_total", "Requests for which more than one upstream was tried, "+
			"by the last one.", "upstream"),
		attempts: counter("relay_attempts_total", "Upstreams that were tried, if only by a connect.", "route"),
		bytes:    counter("relay_body_bytes_total", "Bytes of bodies, in from clients or out to them.", "direction"),
		tokens: counter("relay_usage_tokens_total", "Tokens that responses say they took, with RELAY_LOG_USAGE; "+
			"cached ones are part of input, reasoning ones of output.", "token", "kind"),
		firstByte: histogram("relay_first_byte_seconds", "Time until the response began.",
			"route", "upstream"),
		duration: histogram("relay_request_duration_seconds", "Time until the response ended.",
			"route", "upstream"),
	}
	m.registry.MustRegister(
		m.requests, m.errors, m.cut, m.resumed, m.failovers, m.attempts, m.bytes, m.tokens, m.firstByte, m.duration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "relay_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": core.Version},
	})
	build.Set(1)
	m.registry.MustRegister(build)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, labels)
}

// observe counts a request. It is safe for concurrent use.
func (m *metrics) observe(r core.Request) {
	r.Token, r.Upstream = labelValue(r.Token), labelValue(r.Upstream)
	m.requests.WithLabelValues(r.Route, statusLabel(r.Status), r.Token, r.Upstream).Inc()
	m.attempts.WithLabelValues(r.Route).Add(float64(r.Attempts))
	m.bytes.WithLabelValues("in").Add(float64(r.BytesIn))
	m.bytes.WithLabelValues("out").Add(float64(r.BytesOut))
	m.duration.WithLabelValues(r.Route, r.Upstream).Observe(r.Duration.Seconds())
	if r.FirstByte > 0 {
		m.firstByte.WithLabelValues(r.Route, r.Upstream).Observe(r.FirstByte.Seconds())
	}
	if r.Error != "" {
		m.errors.WithLabelValues(r.Route, r.Error).Inc()
	}
	m.observeUsage(r.Token, r.Usage)
	if r.Cut {
		m.cut.WithLabelValues(r.Route, r.Upstream).Inc()
	}
	m.resumed.Add(float64(r.Resumed))
	if r.Attempts > 1 {
		m.failovers.WithLabelValues(r.Upstream).Inc()
	}
}

// observeUsage counts what a request of an access token took; nil: nobody knows. Its
// model is not a label, since clients name it.
func (m *metrics) observeUsage(token string, u *core.Usage) {
	if u == nil {
		return
	}
	for kind, n := range map[string]int64{
		"input": u.Input, "cached": u.Cached, "output": u.Output, "reasoning": u.Reasoning,
	} {
		m.tokens.WithLabelValues(token, kind).Add(float64(max(n, 0)))
	}
}

// labelValue returns a name as the value of a label, which must be UTF-8.
func labelValue(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// statusClientGone is the status that is logged of a client that left.
const statusClientGone = 499

// statusLabel returns a status that is registered with IANA as it is, and any other
// as its class, such as 5xx: an upstream can send any.
func statusLabel(status int) string {
	switch {
	case http.StatusText(status) != "" || status == statusClientGone:
		return strconv.Itoa(status)
	case status >= 100 && status <= 599:
		return strconv.Itoa(status/100) + "xx"
	}
	return "other"
}

// relayState collects what a relay knows at the time of a scrape.
type relayState struct{ relay *core.Relay }

var (
	inFlightDesc = prometheus.NewDesc("relay_in_flight", "Requests in flight.", nil, nil)
	stateDesc    = prometheus.NewDesc("relay_upstream_state", "1 for the state that the upstream is in, else 0.",
		[]string{"upstream", "state"}, nil)
	upstreamInFlightDesc = prometheus.NewDesc("relay_upstream_in_flight", "Requests that the upstream has.",
		[]string{"upstream"}, nil)
	latencyDesc = prometheus.NewDesc("relay_upstream_latency_seconds",
		"Moving average of connects and probes; absent if unknown.", []string{"upstream"}, nil)
)

// upstreamStates are the values of [failover.Status.State].
var upstreamStates = []string{"up", "suspect", "down"}

// Describe sends the descriptions of what Collect sends.
func (relayState) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{inFlightDesc, stateDesc, upstreamInFlightDesc, latencyDesc} {
		ch <- desc
	}
}

// Collect sends the state of now.
func (s relayState) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(inFlightDesc, float64(s.relay.InFlight()))
	for _, st := range unique(s.relay.Upstreams()) {
		for _, state := range upstreamStates {
			value := 0.0
			if st.State == state {
				value = 1
			}
			gauge(stateDesc, value, st.Name, state)
		}
		gauge(upstreamInFlightDesc, float64(st.InFlight), st.Name)
		if st.Latency > 0 {
			gauge(latencyDesc, st.Latency.Seconds(), st.Name)
		}
	}
}

// unique returns the first upstream of each name, as the value of a label: a series
// that comes twice would fail the scrape.
func unique(all []failover.Status) []failover.Status {
	var list []failover.Status
	for _, st := range all {
		st.Name = labelValue(st.Name)
		if !slices.ContainsFunc(list, func(other failover.Status) bool { return other.Name == st.Name }) {
			list = append(list, st)
		}
	}
	return list
}

// observer returns what observes a relay's requests; nil if there are no metrics.
func (m *metrics) observer() func(core.Request) {
	if m == nil {
		return nil
	}
	return m.observe
}

// serve serves the metrics of relay at their address until stop is called. The relay
// itself has no such path, so that its clients cannot read them.
func (m *metrics) serve(relay *core.Relay) (stop func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	if m.listener, err = net.Listen("tcp", m.address); err != nil {
		return nil, fmt.Errorf("-metrics: %w", err)
	}
	m.registry.MustRegister(relayState{relay})
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{
		Handler:           onlyHosts(allowedHosts(nil, m.address), mux),
		ReadHeaderTimeout: metricsHeaderTimeout,
		WriteTimeout:      metricsWriteTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // it would quote clients
	}
	go func() { _ = server.Serve(m.listener) }() // until it is closed
	return func() { _ = server.Close() }, nil
}

// notes returns where the metrics are, for the start-up message.
func (m *metrics) notes() []string {
	if m == nil {
		return nil
	}
	return []string{"metrics are at http://" + reachable(m.listener.Addr()) + metricsPath}
}

// onlyHosts refuses requests whose Host is not in a list, unless that is empty: a web
// page could read a loopback address by a name of its own (DNS rebinding).
func onlyHosts(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		host := (&url.URL{Host: req.Host}).Hostname()
		if len(hosts) > 0 && !slices.Contains(hosts, strings.ToLower(host)) {
			http.Error(w, "metrics of a loopback address are for this machine: use 127.0.0.1 as the host",
				http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}
