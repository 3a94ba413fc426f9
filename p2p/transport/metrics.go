package transport

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
)

// metrics count calls and notifications. All methods work on nil.
type metrics struct {
	calls   *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	dropped *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return nil
	}
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_transport_calls_total", Help: "Calls to peers by plane and outcome.",
		}, []string{"plane", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_transport_call_bytes_total", Help: "Bytes of requests sent and responses received.",
		}, []string{"plane", "direction"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shoal_transport_notifications_dropped_total", Help: "Notifications not delivered, by plane.",
		}, []string{"plane"}),
	}
	r.MustRegister(m.calls, m.bytes, m.dropped)
	return m
}

func planeName(bulk bool) string {
	if bulk {
		return "bulk"
	}
	return "rpc"
}

func (m *metrics) call(bulk bool, sent, received int, err error) {
	if m == nil {
		return
	}
	plane := planeName(bulk)
	m.calls.WithLabelValues(plane, outcome(err)).Inc()
	m.bytes.WithLabelValues(plane, "sent").Add(float64(sent))
	m.bytes.WithLabelValues(plane, "received").Add(float64(received))
}

func (m *metrics) drop(bulk bool, n int) {
	if m != nil && n > 0 {
		m.dropped.WithLabelValues(planeName(bulk)).Add(float64(n))
	}
}

func outcome(err error) string {
	var remote *p2p.RemoteError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &remote):
		return "error"
	case errors.Is(err, p2p.ErrRefused):
		return "refused"
	case errors.Is(err, p2p.ErrOutcomeUnknown):
		return "unknown"
	}
	return "unreachable"
}
