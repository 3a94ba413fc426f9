package shardstore

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	reg prometheus.Registerer
	all []prometheus.Collector

	state     prometheus.Gauge
	puts      prometheus.Counter
	putBytes  prometheus.Counter
	batches   prometheus.Counter
	batchOps  prometheus.Histogram
	syncTime  prometheus.Histogram
	reads     prometheus.Counter
	readBytes prometheus.Counter
	corrupt   prometheus.Counter
	reclaimed prometheus.Counter
	scrubbed  prometheus.Counter
	rebuilds  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{reg: reg}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "shoal_shardstore_" + name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shoal_shardstore_" + name, Help: help, Buckets: buckets})
		m.all = append(m.all, h)
		return h
	}
	m.state = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "shoal_shardstore_drive_state",
		Help: "State of the drive: 0 healthy, 1 full, 2 read-only, 3 failed, 4 missing.",
	})
	m.all = append(m.all, m.state)
	m.puts = counter("puts_total", "Shards written.")
	m.putBytes = counter("put_bytes_total", "Payload bytes written.")
	m.batches = counter("batches_total", "Batches made durable, each by one fdatasync.")
	m.batchOps = histogram("batch_operations", "Operations made durable by one fdatasync.", prometheus.ExponentialBuckets(1, 2, 9))
	m.syncTime = histogram("write_seconds", "Time to write a batch and make it durable.", prometheus.ExponentialBuckets(0.0001, 2, 16))
	m.reads = counter("reads_total", "Reads of shards.")
	m.readBytes = counter("read_bytes_total", "Payload bytes read.")
	m.corrupt = counter("corrupt_total", "Shards or blocks found damaged.")
	m.reclaimed = counter("reclaimed_bytes_total", "Bytes given back to the file system.")
	m.scrubbed = counter("scrubbed_bytes_total", "Payload bytes verified by scrub.")
	m.rebuilds = counter("index_rebuilds_total", "Rebuilds of the index from the segments.")
	if reg == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := reg.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, fmt.Errorf("register metrics of a drive: %w", err)
		}
	}
	return m, nil
}

// unregister lets a store for the same drive be opened again with the same registerer.
func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}
