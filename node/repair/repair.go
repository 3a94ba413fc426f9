package repair

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// Config names what the workers work with. All are required but what says otherwise.
type Config struct {
	Client    *client.Client
	Directory client.Directory
	Layout    func(context.Context) (*peer.Layout, error)
	Drives    map[peer.DriveID]*shardstore.Store // of this node
	DB        *pebble.DB                         // of this node's metadata
	// Leads gives the groups that this node leads.
	Leads func() []consensus.GroupID
	// Drop takes an owner off shards of this node; it asks the owner's group.
	Drop func(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error

	// OrphanGrace is how old a shard must be before its owner may be condemned: an upload that takes
	// longer fails. Default 24 hours.
	OrphanGrace time.Duration
	// SweepEvery is the pause between sweeps. Default an hour.
	SweepEvery time.Duration
	// ScrubEvery is the pause between scrubs. Default a week.
	ScrubEvery time.Duration
	// ScrubRate bounds a scrub in the background, in bytes per second and drive. Default 32 MiB.
	ScrubRate int64

	Logger     *slog.Logger          // default: slog.Default
	Registerer prometheus.Registerer // may be nil
	Now        func() time.Time      // default: time.Now
}

// Repair is all workers of a node.
type Repair struct {
	*Healer
	cfg   Config
	drop  dropper
	sweep sweeper
	scrub scrubber
	pack  compactor
}

// New makes the workers. Run starts them.
func New(cfg Config) *Repair {
	setDefault(&cfg.OrphanGrace, 24*time.Hour)
	setDefault(&cfg.SweepEvery, time.Hour)
	setDefault(&cfg.ScrubEvery, 7*24*time.Hour)
	setDefault(&cfg.ScrubRate, 32<<20)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	met := newMetrics(cfg.Registerer)
	h := newHealer(&cfg, met)
	return &Repair{
		Healer: h, cfg: cfg,
		drop: dropper{c: cfg.Client, leads: cfg.Leads, log: cfg.Logger, worker: newWorker("drop"), met: met},
		sweep: sweeper{
			c: cfg.Client, drives: cfg.Drives, drop: cfg.Drop, grace: cfg.OrphanGrace, now: cfg.Now, log: cfg.Logger,
			worker: newWorker("sweep"), met: met,
		},
		scrub: scrubber{
			dir: cfg.Directory, layout: cfg.Layout, drives: cfg.Drives, heal: h, rate: cfg.ScrubRate, log: cfg.Logger, worker: newWorker("scrub"),
		},
		pack: compactor{db: cfg.DB, worker: newWorker("compact")},
	}
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Run works until ctx ends.
func (r *Repair) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	log := r.cfg.Logger
	wg.Go(func() { r.drop.worker.every(ctx, dropEvery, log, r.drop.cycle) })
	wg.Go(func() { r.sweep.worker.every(ctx, r.cfg.SweepEvery, log, r.sweep.cycle) })
	wg.Go(func() { r.scrub.worker.after(ctx, r.cfg.ScrubEvery, log, r.scrub.cycle) })
	wg.Go(func() { r.pack.worker.after(ctx, compactEvery, log, r.pack.cycle) })
	wg.Wait()
	return nil
}

// Scrub checks everything now, as fast as it goes.
func (r *Repair) Scrub(ctx context.Context) (api.ScrubReport, error) {
	rep, err := r.scrub.scrub(ctx, 0)
	r.scrub.worker.end(err)
	return rep, err
}

// DropNow empties the lists of dead versions now, as far as nobody reads them.
func (r *Repair) DropNow(ctx context.Context) error { return r.drop.cycle(ctx) }

// Workers shows the workers.
func (r *Repair) Workers() []api.Worker {
	out := make([]api.Worker, 0, 5)
	for _, w := range []*Worker{r.pack.worker, r.drop.worker, r.Healer.worker, r.scrub.worker, r.sweep.worker} {
		out = append(out, w.Show())
	}
	return out
}
