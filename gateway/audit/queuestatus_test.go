package audit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/audit"
)

// gate is a target that takes a batch when it is let.
type gate chan struct{}

func (g gate) Deliver(ctx context.Context, _ *audit.Batch) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) Close() error { return nil }

// queueAge reads the metric of how old the oldest record is that the only target has not got, in seconds.
func queueAge(t testing.TB, l *audit.Log) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(audit.Metrics(l))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "shoal_audit_target_queue_age_seconds" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no such metric")
	return 0
}

// What waits, since when, and the state agree, and so does the metric: before the log runs, while a batch is under way, between
// two of them, while the target is down, when old files were skipped, and when it has everything.
func TestQueueStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		g := make(gate)
		cfg := config(dir)
		cfg.Targets = []audit.TargetConfig{{Name: "sink", Target: g}}
		l := open(t, cfg)
		is := func(l *audit.Log, when, state string, records int64, oldest time.Time) {
			t.Helper()
			synctest.Wait()
			s := l.Targets()[0]
			if s.State != state || s.QueueRecords != records || s.QueueRecords > 0 && s.QueueBytes == 0 || !s.Oldest.Equal(oldest) {
				t.Errorf("%s: %+v, want %s, %d records since %v", when, s, state, records, oldest)
			}
			age := time.Duration(0)
			if !oldest.IsZero() {
				age = time.Since(oldest)
			}
			if got := queueAge(t, l); got != age.Seconds() {
				t.Errorf("%s: the metric says %v s, want %v s", when, got, age.Seconds())
			}
		}
		write := func(l *audit.Log) time.Time {
			appendTo(t, l, &audit.Record{Time: time.Now()})
			return time.Now()
		}
		begin := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		first := time.Now()
		is(l, "new, with records of the file and the start", audit.TargetDelivering, 2, first)
		write(l)
		<-time.After(time.Hour)
		write(l)
		is(l, "before it runs", audit.TargetDelivering, 4, first)
		stop := begin()
		is(l, "the first batch is under way", audit.TargetDelivering, 4, first)
		g <- struct{}{}
		is(l, "it has all", audit.TargetIdle, 0, time.Time{})
		<-time.After(time.Hour)
		is(l, "it has all since an hour", audit.TargetIdle, 0, time.Time{})
		write(l)
		synctest.Wait()
		<-time.After(10 * time.Millisecond)
		next := write(l)
		g <- struct{}{}
		is(l, "between two batches", audit.TargetDelivering, 1, next)
		<-time.After(time.Minute)
		is(l, "the next batch is under way", audit.TargetDelivering, 1, next)
		write(l)
		stop() // the target gets nothing in its last moment
		is(l, "it has ended", audit.TargetDelivering, 3, next)

		s := &sink{down: true}
		cfg.FileBytesMax = 4 << 10
		cfg.Targets = []audit.TargetConfig{{Name: "sink", Target: s, QueueBytes: 8 << 10, Full: audit.Shed}}
		l = open(t, cfg)
		is(l, "opened again", audit.TargetDelivering, 4, next)
		stop = begin()
		<-time.After(time.Hour)
		is(l, "the target is down", audit.TargetRetrying, 4, next)
		for range 200 {
			write(l)
			<-time.After(time.Second)
		}
		if oldest := l.Targets()[0].Oldest; !oldest.After(next) || time.Since(oldest) > 3*time.Minute {
			t.Errorf("behind what was skipped the oldest is of %v", oldest)
		}
		s.set(false)
		<-time.After(2 * time.Minute)
		is(l, "the target is back", audit.TargetIdle, 0, time.Time{})
		stop()
	})
}
