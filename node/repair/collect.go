package repair

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// collectNever is the pause of a worker that works when it is told to, and else never.
const collectNever = 1 << 62

// collector does at once, when an operator asks, what the workers do in their time: drop, sweep, reclaim, compact.
type collector struct {
	r      *Repair
	now    func() time.Time
	worker *Worker

	mu    sync.Mutex // guards what follows
	asked bool       // a collection is to begin, or runs
	last  api.NodeCollection
	freed int64 // by the drives, when the last one began
}

// Collect begins a collection unless one runs, and tells how far it is. Run must run.
func (r *Repair) Collect() api.NodeCollection {
	c := &r.collect
	c.mu.Lock()
	if !c.asked {
		c.asked, c.freed = true, r.freedBytes()
		c.last = api.NodeCollection{Step: api.CollectionSteps[0], Began: c.now().UTC()}
		c.worker.wake()
	}
	c.mu.Unlock()
	return r.Collection()
}

// Collection tells how far the last collection is.
func (r *Repair) Collection() api.NodeCollection {
	c := &r.collect
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.last
	if !out.Began.IsZero() {
		out.FreedBytes = r.freedBytes() - c.freed
	}
	return out
}

func (r *Repair) freedBytes() (sum int64) {
	for _, st := range r.cfg.Drives {
		sum += st.Usage().FreedBytes
	}
	return sum
}

// cycle takes the steps of a collection that was asked for. What one cannot do keeps none of the others from being taken.
func (c *collector) cycle(ctx context.Context) error {
	c.mu.Lock()
	asked := c.asked
	c.mu.Unlock()
	if !asked {
		return nil
	}
	c.worker.begin(int64(len(api.CollectionSteps)))
	var errs []error
	for i, step := range []func(context.Context) error{c.r.drop.all, c.r.sweep.cycle, c.r.reclaim, c.r.pack.all} {
		c.note(func(n *api.NodeCollection) { n.Step, n.Steps = api.CollectionSteps[i], i })
		if err := step(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", api.CollectionSteps[i], err))
		}
		c.worker.progress(1)
	}
	err := errors.Join(errs...)
	c.note(func(n *api.NodeCollection) {
		n.Step, n.Steps, n.Ended = "", len(api.CollectionSteps), c.now().UTC()
		if err != nil {
			n.LastError = err.Error()
		}
		c.asked = false
	})
	return err
}

func (c *collector) note(f func(*api.NodeCollection)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.last)
}

// reclaim has every drive give back what it can.
func (r *Repair) reclaim(ctx context.Context) error {
	var errs []error
	for d, st := range r.cfg.Drives {
		if err := st.Reclaim(ctx); err != nil {
			errs = append(errs, fmt.Errorf("drive %s: %w", hex.EncodeToString(d[:]), err))
		}
	}
	return errors.Join(errs...)
}

// freshFor is how young a shard must be whose owner is unknown, for the owner to have lived never: a group remembers for twice
// as long whom it has deleted, so clocks may differ by as much.
const freshFor = 30 * time.Minute

// Leftovers looks on this node's drives for shards of a bucket whose owners do not live, and whose keys begin with the prefix, or are not known. An error says that not all could be
// looked at, or that the bucket's group did not answer.
func (r *Repair) Leftovers(ctx context.Context, b api.BucketOwner) (api.NodeLeftovers, error) {
	var found api.NodeLeftovers
	for d, st := range r.cfg.Drives {
		if err := r.leftoversOn(ctx, st, b, &found); err != nil {
			return found, fmt.Errorf("drive %s: %w", hex.EncodeToString(d[:]), err)
		}
	}
	return found, nil
}

// claimed is a shard with an owner that is asked about.
type claimed struct {
	bytes int64
	fresh bool
}

func (r *Repair) leftoversOn(ctx context.Context, st *shardstore.Store, b api.BucketOwner, found *api.NodeLeftovers) error {
	batch := make(map[shardstore.Owner][]claimed)
	var failed error
	young := r.cfg.Now().Add(-freshFor)
	err := st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		found.Looked++
		for _, o := range in.Owners {
			if o.Group == b.Group && o.Bucket == b.Bucket {
				batch[o] = append(batch[o], claimed{in.RecordBytes, in.WriteTime.After(young)})
			}
		}
		if len(batch) >= sweepBatch {
			failed = r.judge(ctx, b, batch, found)
			clear(batch)
		}
		return failed == nil && ctx.Err() == nil
	})
	if failed == nil {
		failed = r.judge(ctx, b, batch, found)
	}
	return errors.Join(failed, err, ctx.Err())
}

// judge asks the bucket's group about the owners of a batch, which Scan may let grow beyond sweepBatch by those of one shard.
func (r *Repair) judge(ctx context.Context, b api.BucketOwner, batch map[shardstore.Owner][]claimed, found *api.NodeLeftovers) error {
	owners := make([]shardstore.Owner, 0, len(batch))
	for o := range batch {
		owners = append(owners, o)
	}
	for len(owners) > 0 {
		list := owners[:min(len(owners), sweepBatch)]
		owners = owners[len(list):]
		a, err := r.cfg.Client.OwnerNames(ctx, consensus.GroupID(b.Group), streamOwners(list), b.Prefix)
		if err != nil {
			return err
		}
		names := a.GetNames()
		if len(names) == 0 {
			names = make([]meta.OwnerName, len(list))
		}
		if len(a.GetStates()) != len(list) || len(names) != len(list) {
			return fmt.Errorf("%d owners asked for, %d answered", len(list), len(a.GetStates()))
		}
		for i, o := range list {
			if concerns(b.Prefix, names[i]) {
				for _, s := range batch[o] {
					s.count(a.GetStates()[i], names[i], found)
				}
			}
		}
	}
	return nil
}

// concerns says whether an owner counts below a prefix. What garbage alone tells of counts, or does not, as its entry does, which was
// there before the drives were looked at: the owner's tombstone has outlived an hour since.
func concerns(prefix []byte, name meta.OwnerName) bool {
	switch name {
	case meta.OwnerName_OWNER_NAME_ELSEWHERE:
		return false
	case meta.OwnerName_OWNER_NAME_LISTED:
		return len(prefix) == 0
	}
	return true
}

func (s claimed) count(state meta.OwnerState, name meta.OwnerName, found *api.NodeLeftovers) {
	fresh := state == meta.OwnerState_OWNER_UNKNOWN && s.fresh
	if name == meta.OwnerName_OWNER_NAME_UNKNOWN && state != meta.OwnerState_OWNER_LIVE && !fresh {
		found.Unnamed++
	}
	switch {
	case state == meta.OwnerState_OWNER_LIVE:
	case state == meta.OwnerState_OWNER_DEAD:
		found.Dead++
		found.DeadBytes += s.bytes
	case fresh:
		found.Fresh++
	default:
		found.Unknown++
		found.UnknownBytes += s.bytes
	}
}
