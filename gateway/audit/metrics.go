package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// logMetrics tells what logs and their targets count. Labels are names of logs, and targets by the names that the
// configuration gives them.
type logMetrics struct {
	logs []*Log

	records, shed, refused, full                                *prometheus.Desc
	queueRecords, queueBytes, queueAge, delivered, failed, skip *prometheus.Desc
}

// Metrics gives what logs and their targets count.
func Metrics(logs ...*Log) prometheus.Collector {
	ofLog := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("shoal_audit_"+name, help, []string{"log"}, nil)
	}
	ofTarget := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("shoal_audit_target_"+name, help, []string{"log", "kind", "target"}, nil)
	}
	return &logMetrics{
		logs:         logs,
		records:      ofLog("records_total", "Records written, by log."),
		shed:         ofLog("shed_records_total", "Records left out since the disk took none, by log."),
		refused:      ofLog("refused_requests_total", "Requests refused since their records had no place, by log."),
		full:         ofLog("full", "1 while the log takes no more requests, by log."),
		queueRecords: ofTarget("queue_records", "Records that a target has not got, by log and target."),
		queueBytes:   ofTarget("queue_bytes", "Bytes of the log that a target has not got, by log and target."),
		queueAge:     ofTarget("queue_age_seconds", "Age of the oldest record that a target has not got, 0 when it has all, by log and target."),
		delivered:    ofTarget("delivered_records_total", "Records delivered, by log and target."),
		failed:       ofTarget("failed_deliveries_total", "Attempts to deliver records that failed, by log and target."),
		skip:         ofTarget("skipped_records_total", "Records that a target does not get since its queue was full, by log and target."),
	}
}

// Describe is that of prometheus.Collector.
func (m *logMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.records, m.shed, m.refused, m.full, m.queueRecords, m.queueBytes, m.queueAge, m.delivered, m.failed, m.skip} {
		out <- d
	}
}

// Collect is that of prometheus.Collector.
func (m *logMetrics) Collect(out chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, l := range m.logs {
		name, s, full := l.cfg.Name, l.Stats(), 0.0
		if l.Refuses() {
			full = 1
		}
		tell(m.records, prometheus.CounterValue, float64(s.Written), name)
		tell(m.shed, prometheus.CounterValue, float64(s.Shed), name)
		tell(m.refused, prometheus.CounterValue, float64(s.Refused), name)
		tell(m.full, prometheus.GaugeValue, full, name)
		for _, t := range l.Targets() {
			labels := []string{name, t.Kind, t.Target}
			age := time.Duration(0)
			if !t.Oldest.IsZero() {
				age = max(l.cfg.Now().Sub(t.Oldest), 0)
			}
			tell(m.queueRecords, prometheus.GaugeValue, float64(t.QueueRecords), labels...)
			tell(m.queueBytes, prometheus.GaugeValue, float64(t.QueueBytes), labels...)
			tell(m.queueAge, prometheus.GaugeValue, age.Seconds(), labels...)
			tell(m.delivered, prometheus.CounterValue, float64(t.Delivered), labels...)
			tell(m.failed, prometheus.CounterValue, float64(t.Failed), labels...)
			tell(m.skip, prometheus.CounterValue, float64(t.Skipped), labels...)
		}
	}
}
