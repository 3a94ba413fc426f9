package repair

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	healed, unhealed, dropped, orphans prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		if r != nil {
			r.MustRegister(c)
		}
		return c
	}
	return &metrics{
		healed:   counter("shoal_repair_shards_healed_total", "Shards rebuilt and written again."),
		unhealed: counter("shoal_repair_chunks_unhealed_total", "Attempts to heal a chunk of which too few good shards are left."),
		dropped:  counter("shoal_repair_versions_dropped_total", "Dead versions and parts whose shards were dropped."),
		orphans:  counter("shoal_repair_orphans_dropped_total", "Shard owners that never came to life and were dropped."),
	}
}
