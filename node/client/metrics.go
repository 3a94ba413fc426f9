package client

import "github.com/prometheus/client_golang/prometheus"

// registerMetrics shows how the client gets on without the system group.
func (c *Client) registerMetrics(r prometheus.Registerer) {
	if r == nil {
		return
	}
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("shoal_client_cut_off", "1 while requests are served by what is remembered of the system group, which does not answer.", func() float64 {
		if c.identity.cutOff() {
			return 1
		}
		return 0
	})
	gauge("shoal_client_identity_age_seconds", "Age of the oldest access key in use that the system group has not confirmed since it stopped answering; 0 while it answers.", func() float64 {
		return c.IdentityAge().Seconds()
	})
}
