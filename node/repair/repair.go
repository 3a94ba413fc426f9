package repair

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/node/trouble"
	"shoal/p2p"
)

// Config names what the workers work with. All are required but what says otherwise.
type Config struct {
	Client    Groups
	Directory client.Directory
	Layout    func(context.Context) (*peer.Layout, error)
	Drives    map[peer.DriveID]*shardstore.Store // of this node
	DB        *pebble.DB                         // of this node's metadata
	// Leads gives the groups that this node leads.
	Leads func() []consensus.GroupID
	// Applied gives how far this node's replica of a group has applied the group's log. A group that has not moved is not asked again for
	// what there is to drop, so that it can rest. 0, and no function, are for not known.
	Applied func(consensus.GroupID) uint64
	// Drop takes owners off shards of this node; it asks the owners' groups (peer.Shards.DropOwners).
	Drop func(ctx context.Context, d peer.DriveID, drops []peer.Drop) (done []bool, err error)

	// Alive tells whether a node is believed to be alive. It must not wait. Default: all are.
	Alive func(p2p.NodeID) bool

	// Busy tells whether clients are being served; shards then move slower. May be nil.
	Busy func() bool
	// TrimLogs removes what nobody needs of the groups' logs; it is called when the store has come to
	// rest. It must not wait. May be nil.
	TrimLogs func()
	// Promised gives the loss of how many nodes, and of how many sites, stripes are to survive, as the operator says. It must not wait.
	// May be nil: then that of one node.
	Promised func() (nodes, sites int)
	// Recoder recodes versions when the profile changes. May be nil: then nothing is recoded.
	Recoder Recoder
	// Expirable is where lifecycle rules are carried out. May be nil: then they are not.
	Expirable Expirable

	// MoveRate bounds how fast shards move to their homes, in bytes per second and drive, and how fast
	// versions are recoded. Default 64 MiB.
	MoveRate int64
	// Limit bounds what the node moves, recodes and heals in all, in bytes per second, as the operator says; 0 is for no bound. It must not wait.
	// May be nil.
	Limit func() int64
	// CheckEvery is the pause between checks of all stripes. Default 10 minutes.
	CheckEvery time.Duration
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
	cfg     Config
	layouts *layouts
	drop    dropper
	sweep   sweeper
	scrub   scrubber
	pack    compactor
	move    mover
	check   checker
	recode  recoder
	verify  verifier
	expire  expirer
	collect collector
}

// New makes the workers. Run starts them.
func New(cfg Config) *Repair {
	setDefault(&cfg.OrphanGrace, 24*time.Hour)
	setDefault(&cfg.SweepEvery, time.Hour)
	setDefault(&cfg.ScrubEvery, 7*24*time.Hour)
	setDefault(&cfg.ScrubRate, 32<<20)
	setDefault(&cfg.MoveRate, 64<<20)
	setDefault(&cfg.CheckEvery, 10*time.Minute)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	met := newMetrics(cfg.Registerer)
	h := newHealer(&cfg, met)
	lay := &layouts{get: cfg.Layout}
	moving := newWorker("rebalance")
	h.budget = &budget{rate: cfg.Limit}
	r := &Repair{
		Healer: h, cfg: cfg, layouts: lay,
		drop: dropper{
			c: cfg.Client, leads: cfg.Leads, applied: cfg.Applied, now: cfg.Now, log: cfg.Logger, worker: newWorker("drop"), met: met,
			late: make(map[consensus.GroupID]*overdue),
		},
		sweep: sweeper{
			c: cfg.Client, drives: cfg.Drives, drop: cfg.Drop, grace: cfg.OrphanGrace, now: cfg.Now, log: cfg.Logger,
			worker: newWorker("sweep"), met: met,
		},
		scrub: scrubber{
			layout: cfg.Layout, drives: cfg.Drives, heal: h, rate: cfg.ScrubRate, log: cfg.Logger, worker: newWorker("scrub"),
		},
		pack: compactor{db: cfg.DB, trim: cfg.TrimLogs, worker: newWorker("compact")},
		move: mover{
			drives: cfg.Drives, layouts: lay, heal: h, groups: cfg.Client, drop: cfg.Drop, rate: cfg.MoveRate, busy: cfg.Busy,
			pool: chunker.NewPool(moveBytes), log: cfg.Logger, worker: moving, met: met,
		},
		check: checker{drives: cfg.Drives, layouts: lay, heal: h, log: cfg.Logger, worker: newWorker("check"), met: met, strays: moving.wake, promised: cfg.promise},
		recode: recoder{
			c: cfg.Client, r: cfg.Recoder, layouts: lay, leads: cfg.Leads, rate: cfg.MoveRate, busy: cfg.Busy, budget: h.budget, now: cfg.Now, log: cfg.Logger,
			worker: newWorker("recode"), met: met,
		},
		expire: expirer{
			c: cfg.Expirable, leads: cfg.Leads, applied: cfg.Applied, now: cfg.Now, log: cfg.Logger, worker: newWorker("lifecycle"), met: met,
		},
	}
	r.expire.recode = r.recode.again
	r.verify = verifier{
		c: cfg.Client, heal: h, layouts: lay, leads: cfg.Leads, changes: r.check.changes.Load, now: cfg.Now, log: cfg.Logger, worker: newWorker("verify"),
	}
	r.collect = collector{r: r, now: cfg.Now, worker: newWorker("collect")}
	r.showMoving(cfg.Registerer)
	return r
}

func (c *Config) promise() promise {
	if c.Promised == nil {
		return promise{nodes: 1}
	}
	nodes, sites := c.Promised()
	return promise{nodes, sites}
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// retryEvery is the pause after a cycle that failed, of workers that otherwise pause for longer.
const retryEvery = time.Minute

// trimEvery is for how long memory is kept for the next heal or move, twice that at most.
const trimEvery = time.Minute

// moveRetry is the pause of the mover while shards wait for their homes.
const moveRetry = 10 * time.Second

// LayoutChanged says that an epoch has begun. What waits for it begins now. It does not wait.
func (r *Repair) LayoutChanged(epoch uint64) {
	r.layouts.announce(epoch)
	r.move.worker.wake()
	r.check.worker.wake()
	r.recode.worker.wake()
	r.verify.worker.wake()
}

// NodesChanged says that a node has died, has come back or was given up: what waited for it is tried
// again now.
func (r *Repair) NodesChanged() {
	r.drop.retry()
	r.check.changes.Add(1)
	for _, w := range []*Worker{r.drop.worker, r.move.worker, r.check.worker, r.verify.worker} {
		w.wake()
	}
}

// Recount counts all stripes again, now: shards have come or gone that decide who counts them. It does
// not wait.
func (r *Repair) Recount() { r.check.worker.wake() }

// RecountSoon counts all stripes again as soon as counting takes no more than a tenth of the time. It does not wait.
func (r *Repair) RecountSoon() { r.check.worker.hasten() }

// Run works until ctx ends.
func (r *Repair) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	log := trouble.New(r.cfg.Logger, nil)
	wg.Go(func() { r.drop.worker.repeat(ctx, pace{pause: dropEvery}, log, r.drop.cycle) })
	wg.Go(func() {
		r.sweep.worker.repeat(ctx, pace{pause: r.cfg.SweepEvery, retry: retryEvery}, log, r.sweep.cycle)
	})
	wg.Go(func() {
		r.scrub.worker.repeat(ctx, pace{first: r.cfg.ScrubEvery, pause: r.cfg.ScrubEvery}, log, r.scrub.cycle)
	})
	wg.Go(func() { r.move.worker.repeat(ctx, pace{pause: r.cfg.SweepEvery, retry: moveRetry}, log, r.move.cycle) })
	wg.Go(func() {
		r.check.worker.repeat(ctx, pace{pause: r.cfg.CheckEvery, retry: retryEvery}, log, r.check.cycle)
	})
	wg.Go(func() { r.recode.run(ctx, log) })
	wg.Go(func() { r.verify.worker.repeat(ctx, pace{pause: verifyLook}, log, r.verify.cycle) })
	wg.Go(func() { r.expire.worker.repeat(ctx, pace{first: expireEvery, pause: expireEvery}, log, r.expire.cycle) })
	wg.Go(func() {
		r.collect.worker.repeat(ctx, pace{first: collectNever, pause: collectNever}, log, r.collect.cycle)
	})
	wg.Go(func() { r.trim(ctx) })
	wg.Go(func() { r.pack.worker.repeat(ctx, pace{first: compactEvery, pause: compactEvery}, log, r.pack.cycle) })
	wg.Wait()
	return nil
}

// trim gives memory back that nobody has needed for a while, until ctx ends.
func (r *Repair) trim(ctx context.Context) {
	t := time.NewTicker(trimEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.Healer.pool.TrimStale()
			r.move.pool.TrimStale()
		}
	}
}

// Scrub checks everything now, as fast as it goes.
func (r *Repair) Scrub(ctx context.Context) (api.ScrubReport, error) {
	rep, err := r.scrub.scrub(ctx, 0)
	r.scrub.worker.end(err)
	return rep, err
}

// DropNow empties the lists of dead versions now, as far as nobody reads them.
func (r *Repair) DropNow(ctx context.Context) error { return r.drop.all(ctx) }

// Workers shows the workers.
func (r *Repair) Workers() []api.Worker {
	var out []api.Worker
	for _, w := range []*Worker{
		r.check.worker, r.collect.worker, r.pack.worker, r.drop.worker, r.Healer.worker, r.expire.worker, r.move.worker, r.recode.worker, r.scrub.worker, r.sweep.worker, r.verify.worker,
	} {
		out = append(out, w.Show())
	}
	return out
}
