package repair

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// dropEvery is the pause between two looks for dead versions.
const dropEvery = 2 * time.Second

// dropParallel is how many dead versions are dropped side by side: their drops share syncs.
const dropParallel = 16

// dropper empties the groups' lists of dead versions.
type dropper struct {
	c      *client.Client
	leads  func() []consensus.GroupID
	log    *slog.Logger
	worker *Worker
	met    *metrics
}

// cycle drops what the groups led here list.
func (d *dropper) cycle(ctx context.Context) error {
	var errs []error
	for _, g := range d.leads() {
		if g == consensus.SystemGroup {
			continue
		}
		if err := d.group(ctx, g); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (d *dropper) group(ctx context.Context, g consensus.GroupID) error {
	for after := uint64(0); ; {
		a, err := d.c.Garbage(ctx, g, after)
		if err != nil || len(a.GetGarbage()) == 0 {
			return err
		}
		d.worker.begin(int64(a.GetPending()))
		done, err := d.batch(ctx, g, a.GetGarbage())
		if len(done) > 0 {
			if derr := d.c.GarbageDone(ctx, g, done); derr != nil {
				return errors.Join(err, derr)
			}
			d.met.dropped.Add(float64(len(done)))
		}
		if err != nil || !a.GetTruncated() {
			return err
		}
		after = a.GetGarbage()[len(a.GetGarbage())-1].GetSeq()
	}
}

// batch drops versions side by side and gives those that are done. A version that is still being
// read stays for the next cycle.
func (d *dropper) batch(ctx context.Context, g consensus.GroupID, list []*meta.Garbage) (done []uint64, err error) {
	type outcome struct {
		seq uint64
		err error
	}
	results := make(chan outcome, dropParallel)
	collect := func() {
		switch r := <-results; {
		case r.err == nil:
			done = append(done, r.seq)
			d.worker.progress(1)
		case api.KindOf(r.err) != api.Unavailable:
			err = errors.Join(err, r.err)
		}
	}
	running := 0
	for _, item := range list {
		if ctx.Err() != nil {
			break
		}
		if running == dropParallel {
			collect()
			running--
		}
		running++
		go func() { results <- outcome{item.GetSeq(), d.c.DropGarbage(ctx, g, item)} }()
	}
	for ; running > 0; running-- {
		collect()
	}
	return done, err
}
