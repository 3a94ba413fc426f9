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
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// sweepBatch is how many owners a group is asked about at a time.
const sweepBatch = 500

// sweeper finds shards of owners that do not live: uploads that crashed, and drops that did not
// reach a drive.
type sweeper struct {
	c      *client.Client
	drives map[peer.DriveID]*shardstore.Store
	drop   func(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error
	grace  time.Duration
	now    func() time.Time
	log    *slog.Logger
	worker *Worker
	met    *metrics
}

func (s *sweeper) cycle(ctx context.Context) error {
	var errs []error
	s.worker.begin(0)
	for d, st := range s.drives {
		if err := s.drive(ctx, d, st); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// claims are the shards of owners on one drive, as far as one batch saw.
type claims map[shardstore.Owner][]shardstore.ID

func (s *sweeper) drive(ctx context.Context, d peer.DriveID, st *shardstore.Store) error {
	before := s.now().Add(-s.grace)
	batch := make(claims)
	var failed error
	err := st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		s.worker.progress(1)
		if in.WriteTime.After(before) {
			return true
		}
		for _, o := range in.Owners {
			batch[o] = append(batch[o], in.ID)
		}
		if len(batch) >= sweepBatch {
			failed = s.settle(ctx, d, batch)
			clear(batch)
		}
		return failed == nil && ctx.Err() == nil
	})
	if err = errors.Join(failed, err, ctx.Err()); err != nil {
		return err
	}
	return s.settle(ctx, d, batch)
}

// settle asks the owners' groups, and drops what has a dead owner.
func (s *sweeper) settle(ctx context.Context, d peer.DriveID, batch claims) error {
	byGroup := make(map[uint32][]shardstore.Owner)
	for o := range batch {
		byGroup[o.Group] = append(byGroup[o.Group], o)
	}
	for g, owners := range byGroup {
		for len(owners) > 0 {
			n := min(len(owners), sweepBatch)
			if err := s.ask(ctx, d, consensus.GroupID(g), owners[:n], batch); err != nil {
				return err
			}
			owners = owners[n:]
		}
	}
	return nil
}

func (s *sweeper) ask(ctx context.Context, d peer.DriveID, g consensus.GroupID, owners []shardstore.Owner, batch claims) error {
	states, err := s.c.OwnerStates(ctx, g, streamOwners(owners))
	if err != nil {
		return err
	}
	var unknown, dead []shardstore.Owner
	for i, st := range states {
		switch st {
		case meta.OwnerState_OWNER_UNKNOWN:
			unknown = append(unknown, owners[i])
		case meta.OwnerState_OWNER_DEAD:
			dead = append(dead, owners[i])
		}
	}
	if len(unknown) > 0 {
		states, err := s.c.Condemn(ctx, g, streamOwners(unknown))
		if err != nil {
			return err
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
	for _, o := range dead {
		err := s.drop(ctx, d, batch[o], o)
		if err != nil && api.KindOf(err) != api.Unavailable { // Unavailable: being read
			return err
		}
		if err == nil {
			s.met.orphans.Inc()
		}
	}
	return nil
}

func streamOwners(owners []shardstore.Owner) []*meta.StreamOwner {
	out := make([]*meta.StreamOwner, len(owners))
	for i := range owners {
		out[i] = &meta.StreamOwner{Version: owners[i].Version[:], Stream: owners[i].Stream}
	}
	return out
}
