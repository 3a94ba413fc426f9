package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	actions *prometheus.CounterVec
	steps   prometheus.Histogram
}

// newMetrics registers the metrics of a driver. Gauges are those of its report, and 0 while another node's
// controller acts.
func newMetrics(r prometheus.Registerer, show func() Report) *metrics {
	m := &metrics{
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_controller_actions_total", Help: "Actions of the controller that have ended, by kind and outcome.",
		}, []string{"action", "outcome"}),
		steps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "shoal_controller_step_seconds", Help: "Time to look around and decide.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.actions, m.steps)
	gauge := func(name, help string, value func(*Report) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			rep := show()
			return float64(value(&rep))
		}))
	}
	gauge("shoal_controller_leading", "1 at the node whose controller acts. The other gauges of controllers are 0 elsewhere.", func(r *Report) int {
		if r.Leading {
			return 1
		}
		return 0
	})
	gauge("shoal_controller_groups", "Metadata groups.", func(r *Report) int { return len(r.Groups) })
	gauge("shoal_controller_groups_without_leader", "Metadata groups of which no node says that it leads.", func(r *Report) int {
		return count(r, func(g *GroupReport) bool { return g.Leader == "" })
	})
	gauge("shoal_controller_groups_pending", "Metadata groups that are not as they should be: something is being done, or waited for.", func(r *Report) int {
		return count(r, func(g *GroupReport) bool { return g.Note != "" })
	})
	gauge("shoal_controller_underway_actions", "Actions under way.", func(r *Report) int { return len(r.Underway) })
	gauge("shoal_controller_placement_epoch", "Epoch of the placement.", func(r *Report) int { return int(r.Epoch) })
	return m
}

func count(r *Report, of func(*GroupReport) bool) (n int) {
	for i := range r.Groups {
		if of(&r.Groups[i]) {
			n++
		}
	}
	return n
}

// ended counts an action.
func (m *metrics) ended(a Action, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.actions.WithLabelValues(kindOf(a), outcome).Inc()
}

func (m *metrics) stepped(began time.Time) { m.steps.Observe(time.Since(began).Seconds()) }

// kindOf names the kind of an action.
func kindOf(a Action) string {
	switch a.(type) {
	case CreateReplica:
		return "create replica"
	case ChangeMembers:
		return "change members"
	case RemoveReplica:
		return "remove replica"
	case TransferLeader:
		return "transfer leader"
	case PutPlacement:
		return "put placement"
	case MarkLost:
		return "mark lost"
	case MarkActive:
		return "mark active"
	case PublishGroup:
		return "publish group"
	case FoundGroup:
		return "found group"
	}
	return "other"
}
