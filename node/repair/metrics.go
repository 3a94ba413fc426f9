package repair

import (
	"github.com/prometheus/client_golang/prometheus"

	"shoal/node/api"
)

type metrics struct {
	healed, unhealed, read, surveyed, dropped, orphans, moved, missing, torn, recoded, expired, transitioned, aborted prometheus.Counter
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
		healed:       counter("shoal_repair_shards_healed_total", "Shards rebuilt and written again."),
		unhealed:     counter("shoal_repair_chunks_unhealed_total", "Attempts to heal a chunk of which too few good shards are left."),
		read:         counter("shoal_repair_shards_read_total", "Shards read to rebuild others."),
		surveyed:     counter("shoal_repair_stripes_surveyed_total", "Heals that first asked all places for each shard of a stripe."),
		dropped:      counter("shoal_repair_versions_dropped_total", "Dead versions and parts whose shards were dropped."),
		orphans:      counter("shoal_repair_orphans_dropped_total", "Shard owners that never came to life and were dropped."),
		moved:        counter("shoal_repair_shards_moved_total", "Shards sent to their homes."),
		missing:      counter("shoal_repair_stripes_lacking_total", "Stripes that checks found to lack shards."),
		torn:         counter("shoal_repair_stripes_torn_total", "Stripes whose shards checks found to have different owners."),
		recoded:      counter("shoal_repair_versions_recoded_total", "Versions put into shards of the present profile."),
		expired:      counter("shoal_repair_objects_expired_total", "Objects that lifecycle rules removed."),
		transitioned: counter("shoal_repair_versions_transitioned_total", "Versions that lifecycle rules gave another storage class."),
		aborted:      counter("shoal_repair_uploads_aborted_total", "Uploads that lifecycle rules ended."),
	}
}

// showMoving registers what is still to move.
func (r *Repair) showMoving(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	gauge := func(name, help string, value func(*api.Moving) int64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			m := r.moving()
			return float64(value(&m))
		}))
	}
	gauge("shoal_repair_moving_shards", "Shards of this node that the last check found to belong elsewhere.", func(m *api.Moving) int64 { return m.Shards })
	gauge("shoal_repair_moving_bytes", "Bytes that the mover of this node has still to send in this cycle.", func(m *api.Moving) int64 { return m.Bytes })
}
