package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// sweepBatch is how many owners a group is asked about at a time.
const sweepBatch = 500

// suspicionMax is for how long at most an owner must have been unknown before it is condemned. A copy
// adds its owner to shards that are old, and commits it as soon as all have it.
const suspicionMax = time.Hour

// sweeper finds shards of owners that do not live: uploads that crashed, and drops that did not
// reach a drive. An owner that is not known is condemned when its shards are older than the grace and
// an earlier sweep has found it unknown as well, so that copies of old shards have their time too.
type sweeper struct {
	c      Groups
	drives map[peer.DriveID]*shardstore.Store
	drop   func(ctx context.Context, d peer.DriveID, drops []peer.Drop) ([]bool, error)
	grace  time.Duration
	now    func() time.Time
	log    *slog.Logger
	worker *Worker
	met    *metrics

	running  sync.Mutex                     // one sweep at a time; guards what follows
	suspects map[shardstore.Owner]time.Time // owners not known, and when they were found first
	seen     map[shardstore.Owner]time.Time // those of the sweep under way
}

// SweepNow looks for shards without a living owner now.
func (r *Repair) SweepNow(ctx context.Context) error { return r.sweep.cycle(ctx) }

func (s *sweeper) cycle(ctx context.Context) error {
	s.running.Lock()
	defer s.running.Unlock()
	s.seen = make(map[shardstore.Owner]time.Time)
	var errs []error
	s.worker.begin(0)
	for d, st := range s.drives {
		if err := s.drive(ctx, d, st); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 { // Not all were come by: nobody is cleared.
		maps.Copy(s.seen, s.suspects)
	}
	s.suspects = s.seen
	return errors.Join(errs...)
}

// overdue tells whether an owner that is not known has been so for long, and remembers it.
func (s *sweeper) overdue(o shardstore.Owner) bool {
	now := s.now()
	first, ok := s.suspects[o]
	if !ok {
		first = now
	}
	s.seen[o] = first
	return ok && now.Sub(first) >= min(s.grace, suspicionMax)
}

// claims are the shards of owners on one drive, as far as one batch saw.
type claims map[shardstore.Owner][]shardstore.ID

// drops takes these owners off what they claim.
func (c claims) drops(owners []shardstore.Owner) []peer.Drop {
	out := make([]peer.Drop, len(owners))
	for i, o := range owners {
		out[i] = peer.Drop{Owner: o, IDs: c[o]}
	}
	return out
}

func (s *sweeper) drive(ctx context.Context, d peer.DriveID, st *shardstore.Store) error {
	before := s.now().Add(-s.grace)
	batch := make(claims)
	var errs refusals
	err := st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		s.worker.progress(1)
		if in.WriteTime.After(before) {
			return true
		}
		for _, o := range in.Owners {
			batch[o] = append(batch[o], in.ID)
		}
		if len(batch) >= sweepBatch {
			s.settle(ctx, d, batch, &errs)
			clear(batch)
		}
		return ctx.Err() == nil
	})
	s.settle(ctx, d, batch, &errs)
	return errors.Join(errs.err(), err, ctx.Err())
}

// refusals are the groups that could not be asked in this sweep, each with its error. The shards of
// their owners stay.
type refusals map[uint32]error

func (r *refusals) add(g uint32, err error) {
	if *r == nil {
		*r = make(refusals)
	}
	(*r)[g] = err
}

func (r refusals) err() error {
	var errs []error
	for g, err := range r {
		errs = append(errs, fmt.Errorf("group %d: %w", g, err))
	}
	return errors.Join(errs...)
}

// settle asks the owners' groups, and drops what has a dead owner. A group that does not answer is
// not asked again in this sweep.
func (s *sweeper) settle(ctx context.Context, d peer.DriveID, batch claims, failed *refusals) {
	byGroup := make(map[uint32][]shardstore.Owner)
	for o := range batch {
		byGroup[o.Group] = append(byGroup[o.Group], o)
	}
	for g, owners := range byGroup {
		for list := range slices.Chunk(owners, sweepBatch) {
			if (*failed)[g] != nil || ctx.Err() != nil {
				break
			}
			if err := s.ask(ctx, d, consensus.GroupID(g), list, batch); err != nil {
				failed.add(g, err)
			}
		}
	}
}

func (s *sweeper) ask(ctx context.Context, d peer.DriveID, g consensus.GroupID, owners []shardstore.Owner, batch claims) error {
	states, err := s.c.OwnerStates(ctx, g, streamOwners(owners))
	if err != nil {
		return err
	}
	if len(states) != len(owners) {
		return fmt.Errorf("%d owners asked for, %d answered", len(owners), len(states))
	}
	var unknown, dead []shardstore.Owner
	for i, st := range states {
		switch st {
		case meta.OwnerState_OWNER_UNKNOWN:
			if s.overdue(owners[i]) {
				unknown = append(unknown, owners[i])
			}
		case meta.OwnerState_OWNER_DEAD:
			dead = append(dead, owners[i])
		}
	}
	if len(unknown) > 0 {
		states, err := s.c.Condemn(ctx, g, streamOwners(unknown))
		if err != nil {
			return err
		}
		if len(states) != len(unknown) {
			return fmt.Errorf("%d owners condemned, %d answered", len(unknown), len(states))
		}
		for i, st := range states {
			if st == meta.OwnerState_OWNER_DEAD {
				dead = append(dead, unknown[i])
			}
		}
	}
	return s.dropAll(ctx, d, dead, batch)
}

func (s *sweeper) dropAll(ctx context.Context, d peer.DriveID, dead []shardstore.Owner, batch claims) error {
	done, err := s.drop(ctx, d, batch.drops(dead))
	for _, yes := range done { // what is being read stays
		if yes {
			s.met.orphans.Inc()
		}
	}
	if api.KindOf(err) == api.Unavailable {
		return nil // the same, of one alone
	}
	return err
}

func streamOwners(owners []shardstore.Owner) []*meta.StreamOwner {
	out := make([]*meta.StreamOwner, len(owners))
	for i := range owners {
		out[i] = &meta.StreamOwner{Version: owners[i].Version[:], Stream: owners[i].Stream}
	}
	return out
}
