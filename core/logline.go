package core

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/relay/core/failover"
)

// end tells the log and the observer of a request that has ended.
func (s *recordStage) end(ctx context.Context, rec *record) {
	end := time.Now()
	s.log(ctx, rec, end)
	if s.observe != nil {
		s.observe(rec.request(end))
	}
}

// finalStatus returns the status to report.
func (rec *record) finalStatus() int {
	if errors.Is(rec.err, errClientGone) {
		return statusClientGone
	}
	return rec.status
}

// log writes the record line of a request that ended then.
func (s *recordStage) log(ctx context.Context, rec *record, end time.Time) {
	level := slog.LevelInfo
	status := rec.finalStatus()
	if rec.err != nil && status != statusClientGone || status >= http.StatusInternalServerError ||
		status == http.StatusTooManyRequests {
		level = slog.LevelWarn
	}
	if !s.logger.Enabled(ctx, level) || level == slog.LevelInfo && !s.sampled() {
		return
	}
	line := slog.NewRecord(end, level, "request", 0) // no PC: records carry no source location
	line.AddAttrs(
		slog.String("request_id", rec.id),
		slog.String("method", rec.method),
		slog.String("route", rec.loggedRoute()),
		slog.Int("status", rec.finalStatus()),
		slog.Int64("bytes_in", rec.bytesIn.Load()),
		slog.Int64("bytes_out", rec.bytesOut.Load()),
		slog.Float64("first_byte_ms", sinceMS(rec.start, rec.firstByte)),
		slog.Float64("duration_ms", sinceMS(rec.start, end)),
		slog.String("region", s.region),
		slog.Int("attempts", rec.attempts),
	)
	if rec.grant != nil {
		line.AddAttrs(slog.String("token", rec.grant.Name))
	}
	if rec.upstream != "" {
		line.AddAttrs(slog.String("upstream", rec.upstream))
	}
	if rec.err != nil {
		line.AddAttrs(slog.String("error", errorClass(rec.err)))
	}
	if rec.missingDone && (rec.route == "chat" || rec.route == "completions") {
		line.AddAttrs(slog.Bool("done", false)) // other streams end by other events
	}
	if level == slog.LevelInfo && s.sample > 1 {
		line.AddAttrs(slog.Int("sample", s.sample))
	}
	line.AddAttrs(rec.usageAttrs()...)
	_ = s.logger.Handler().Handle(ctx, line) // like slog, drop the handler's error
	s.logCause(rec)
}

// sampled reports whether a request at level info is logged. Chance decides, since
// a function's instance may see few requests.
func (s *recordStage) sampled() bool { return s.sample <= 1 || rand.IntN(s.sample) == 0 }

// logCause logs why connects failed, one line for each upstream. These errors quote
// only names, addresses and certificates of the upstream. The text of any other
// error must not be logged, since it may quote what a client or the API sent.
func (s *recordStage) logCause(rec *record) {
	failed, ok := errors.AsType[*failover.Error](rec.err)
	if !ok {
		return
	}
	for _, f := range failed.Failures {
		if f.Connecting() {
			s.logger.Warn("no connection to the upstream",
				"request_id", rec.id, "upstream", f.Upstream, "cause", f.Err.Error())
		}
	}
}

// errorClass returns the code of err, the only part of it that may be logged.
func errorClass(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, errClientGone) {
		return errClientGone.Error()
	}
	return ErrInternal.Code
}

// sinceMS returns the milliseconds from start to end, or 0 if end is zero.
func sinceMS(start, end time.Time) float64 {
	if end.IsZero() {
		return 0
	}
	return float64(end.Sub(start).Microseconds()) / 1000
}
