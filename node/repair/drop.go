package repair

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// dropEvery is the pause between two looks for dead versions.
const dropEvery = 2 * time.Second

// dropTogether is how many dead versions are dropped at a time: they share requests and syncs.
const dropTogether = 64

// dropper empties the groups' lists of dead versions.
type dropper struct {
	c     Groups
	leads func() []consensus.GroupID
	// applied is Config.Applied.
	applied func(consensus.GroupID) uint64
	now     func() time.Time
	log     *slog.Logger
	worker  *Worker
	met     *metrics

	mu   sync.Mutex // guards late, and is not held while anything waits
	late map[consensus.GroupID]*overdue
}

// cycle drops what the groups led here list.
func (d *dropper) cycle(ctx context.Context) error {
	var errs []error
	leads := d.leads()
	d.forgetOthers(leads)
	for _, g := range leads {
		if g == consensus.SystemGroup {
			continue
		}
		if err := d.group(ctx, g); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// all drops what is due and what is not.
func (d *dropper) all(ctx context.Context) error {
	d.retry()
	return d.cycle(ctx)
}

// retry makes everything due: a node has come back, or an operator asks.
func (d *dropper) retry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.late)
}

// forgetOthers forgets what is due in groups that are led elsewhere now.
func (d *dropper) forgetOthers(leads []consensus.GroupID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := make(map[consensus.GroupID]*overdue)
	for _, g := range leads {
		if o := d.late[g]; o != nil {
			keep[g] = o
		}
	}
	d.late = keep
}

func (d *dropper) overdue(g consensus.GroupID) *overdue {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.late[g]
	if o == nil {
		o = &overdue{entries: make(map[uint64]backoff)}
		d.late[g] = o
	}
	return o
}

func (d *dropper) group(ctx context.Context, g consensus.GroupID) error {
	late := d.overdue(g)
	var at uint64
	if d.applied != nil {
		at = d.applied(g)
	}
	if late.emptyAt(at) {
		return nil
	}
	after := late.begin(d.now())
	for {
		a, err := d.c.Garbage(ctx, g, after)
		if err != nil {
			return err
		}
		if len(a.GetGarbage()) == 0 {
			if after == 0 {
				late.foundEmpty(at)
			}
			return nil
		}
		d.worker.begin(int64(a.GetPending()))
		done, err := d.batch(ctx, g, late, a.GetGarbage())
		if len(done) > 0 {
			if derr := d.c.GarbageDone(ctx, g, done); derr != nil {
				return errors.Join(err, derr)
			}
			d.met.dropped.Add(float64(len(done)))
		}
		if err != nil {
			return err
		}
		after = a.GetGarbage()[len(a.GetGarbage())-1].GetSeq()
		late.walked(after)
		if !a.GetTruncated() {
			return nil
		}
	}
}

// batch drops versions, many at a time, and gives those that are done. A version that is still being
// read, or has shards on a node that is away, stays for a later cycle.
func (d *dropper) batch(ctx context.Context, g consensus.GroupID, late *overdue, list []*meta.Garbage) (done []uint64, err error) {
	due := slices.DeleteFunc(slices.Clone(list), func(item *meta.Garbage) bool { return !late.due(item.GetSeq(), d.now()) })
	for some := range slices.Chunk(due, dropTogether) {
		if ctx.Err() != nil {
			break
		}
		for i, derr := range d.c.DropGarbage(ctx, g, some) {
			seq := some[i].GetSeq()
			if derr == nil {
				late.done(seq)
				done = append(done, seq)
				d.worker.progress(1)
				continue
			}
			late.failed(seq, d.now())
			if api.KindOf(derr) != api.Unavailable {
				err = errors.Join(err, derr)
			}
		}
	}
	return done, err
}
