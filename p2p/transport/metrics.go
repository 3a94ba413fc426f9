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
	r.MustRegister(calls, bytes, dropped)
	plane := func(name string) (p planeMetrics) {
		for i, o := range outcomes {
			p.calls[i] = calls.WithLabelValues(name, o)
		}
		p.sent, p.received = bytes.WithLabelValues(name, "sent"), bytes.WithLabelValues(name, "received")
		p.dropped = dropped.WithLabelValues(name)
		return p
	}
	return &metrics{rpc: plane("rpc"), bulk: plane("bulk")}
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
