package transport

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
)

// outcomes are the values of the label of that name.
var outcomes = [...]string{"ok", "error", "refused", "unknown", "unreachable"}

// planeMetrics are the counters of one plane, looked up once: a call is too short for that.
type planeMetrics struct {
	calls          [len(outcomes)]prometheus.Counter
	sent, received prometheus.Counter
	dropped        prometheus.Counter
}

// metrics count calls and notifications. All methods work on nil.
type metrics struct {
	rpc, bulk planeMetrics

	refused [len(planes)][len(reasons)]prometheus.Counter
	faults  [len(carriers)][len(faults)]prometheus.Counter
	punched [2]prometheus.Counter // ok, error
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return nil
	}
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_calls_total", Help: "Calls to peers by plane and outcome.",
	}, []string{"plane", "outcome"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_call_bytes_total", Help: "Bytes of requests sent and responses received.",
	}, []string{"plane", "direction"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_notifications_dropped_total", Help: "Notifications not delivered, by plane.",
	}, []string{"plane"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_refused_total", Help: "Connections refused before they could ask for anything, by listener and reason.",
	}, []string{"plane", "reason"})
	faulty := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_faults_total", Help: "What members did that they must not, by what carried it and kind.",
	}, []string{"carrier", "fault"})
	punched := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_transport_punches_total", Help: "Attempts after the first to get a connection off its relay, by outcome.",
	}, []string{"outcome"})
	r.MustRegister(calls, bytes, dropped, refused, faulty, punched)
	plane := func(name string) (p planeMetrics) {
		for i, o := range outcomes {
			p.calls[i] = calls.WithLabelValues(name, o)
		}
		p.sent, p.received = bytes.WithLabelValues(name, "sent"), bytes.WithLabelValues(name, "received")
		p.dropped = dropped.WithLabelValues(name)
		return p
	}
	m := &metrics{rpc: plane("rpc"), bulk: plane("bulk"), punched: [2]prometheus.Counter{punched.WithLabelValues("ok"), punched.WithLabelValues("error")}}
	for p, name := range planes {
		for i, why := range reasons[1:] {
			m.refused[p][i+1] = refused.WithLabelValues(name, why)
		}
	}
	for c, name := range carriers {
		for i, what := range faults {
			m.faults[c][i] = faulty.WithLabelValues(name, what)
		}
	}
	return m
}

func (m *metrics) refuse(p plane, r reason) {
	if m != nil {
		m.refused[p][r].Inc()
	}
}

func (m *metrics) fault(c carrier, f fault) {
	if m != nil {
		m.faults[c][f].Inc()
	}
}

func (m *metrics) plane(bulk bool) *planeMetrics {
	if bulk {
		return &m.bulk
	}
	return &m.rpc
}

func (m *metrics) call(bulk bool, sent, received int, err error) {
	if m == nil {
		return
	}
	p := m.plane(bulk)
	p.calls[outcome(err)].Inc()
	p.sent.Add(float64(sent))
	p.received.Add(float64(received))
}

func (m *metrics) drop(bulk bool, n int) {
	if m != nil && n > 0 {
		m.plane(bulk).dropped.Add(float64(n))
	}
}

// outcome is an index of outcomes.
func outcome(err error) int {
	var remote *p2p.RemoteError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &remote):
		return 1
	case errors.Is(err, p2p.ErrRefused):
		return 2
	case errors.Is(err, p2p.ErrOutcomeUnknown):
		return 3
	}
	return 4
}

// punch counts an attempt to get off a relay.
func (m *metrics) punch(err error) {
	switch {
	case m == nil:
	case err == nil:
		m.punched[0].Inc()
	default:
		m.punched[1].Inc()
	}
}
