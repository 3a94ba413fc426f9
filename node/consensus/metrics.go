package consensus

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	batches, entries, applied, proposals, elections prometheus.Counter
	snapshotsSent, snapshotsReceived, quarantined   prometheus.Counter
	dropped                                         *prometheus.CounterVec
	syncSeconds                                     prometheus.Histogram
}

// newMetrics makes the package's metrics and registers them, if there is where.
func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "shoal", Subsystem: "consensus", Name: name, Help: help})
	}
	m := &metrics{
		batches:           counter("log_batches_total", "Batches of log writes."),
		entries:           counter("log_entries_total", "Log entries written."),
		applied:           counter("entries_applied_total", "Entries applied to the state machine."),
		proposals:         counter("proposals_total", "Proposals handed to Raft."),
		elections:         counter("elections_won_total", "Elections won by replicas of this node."),
		snapshotsSent:     counter("snapshots_sent_total", "Snapshots begun to be sent."),
		snapshotsReceived: counter("snapshots_received_total", "Snapshots ingested."),
		quarantined:       counter("replicas_quarantined_total", "Replicas taken out of service after a broken invariant."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "shoal", Subsystem: "consensus", Name: "messages_dropped_total",
			Help: "Messages dropped, by reason."}, []string{"reason"}),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "shoal", Subsystem: "consensus", Name: "log_sync_seconds",
			Help: "Time to write and sync one batch.", Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16)}),
	}
	if r != nil {
		r.MustRegister(m.batches, m.entries, m.applied, m.proposals, m.elections, m.snapshotsSent, m.snapshotsReceived, m.quarantined,
			m.dropped, m.syncSeconds)
	}
	return m
}
