package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

func (s *Server) drive(d peer.DriveID) (*shardstore.Store, error) {
	st := s.Drives[d]
	if st == nil {
		return nil, &api.Error{Kind: api.Unavailable, Op: "server.drive", Err: fmt.Errorf("drive %x is not on this node", d)}
	}
	return st, nil
}

// shardError gives a drive's error its kind.
func shardError(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := api.Unavailable
	switch {
	case errors.Is(err, shardstore.ErrNotFound):
		kind = api.NoSuchKey
	case errors.Is(err, shardstore.ErrCorrupt):
		kind = api.Corrupt
	case errors.Is(err, shardstore.ErrFull):
		kind = api.StorageFull
	case errors.Is(err, shardstore.ErrInvalid), errors.Is(err, shardstore.ErrMismatch):
		kind = api.InvalidArgument
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = api.Canceled
	}
	return &api.Error{Kind: kind, Op: op, Err: err}
}

// PutShard implements peer.Shards.
func (s *Server) PutShard(ctx context.Context, d peer.DriveID, sh *shardstore.Shard) error {
	st, err := s.drive(d)
	if err != nil {
		return err
	}
	return shardError("server.PutShard", st.Put(ctx, sh))
}

// ReadShard implements peer.Shards.
func (s *Server) ReadShard(ctx context.Context, d peer.DriveID, id shardstore.ID, p []byte, off int64, mode peer.ReadMode) error {
	st, err := s.drive(d)
	if err != nil {
		return err
	}
	read := st.ReadVerified
	switch mode {
	case peer.AsStored:
		s.touch()
		read = st.ReadAt
	case peer.ToRebuild:
		read = st.ReadOnce
	}
	n, err := read(ctx, id, p, off)
	if mode == peer.Verified && errors.Is(err, shardstore.ErrCorrupt) {
		// From now on a Put replaces it, and nobody else is handed its bytes.
		err = errors.Join(err, st.MarkCorrupt(ctx, id))
	}
	if err == nil && n < len(p) {
		err = fmt.Errorf("%w: shard %v has %d bytes at %d, %d were asked for", shardstore.ErrInvalid, id, n, off, len(p))
	}
	return shardError("server.ReadShard", err)
}

// StatShard implements peer.Shards.
func (s *Server) StatShard(_ context.Context, d peer.DriveID, id shardstore.ID) (shardstore.Info, error) {
	st, err := s.drive(d)
	if err != nil {
		return shardstore.Info{}, err
	}
	info, err := st.Stat(id)
	return info, shardError("server.StatShard", err)
}

// HaveShards implements peer.Shards.
func (s *Server) HaveShards(ctx context.Context, d peer.DriveID, ids []shardstore.ID) ([]bool, error) {
	st, err := s.drive(d)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(ids))
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, shardError("server.HaveShards", err)
		}
		if out[i], err = st.Has(id); err != nil {
			return nil, shardError("server.HaveShards", err)
		}
	}
	return out, nil
}

// VerifyShard implements peer.Shards.
func (s *Server) VerifyShard(ctx context.Context, d peer.DriveID, id shardstore.ID) (bool, error) {
	st, err := s.drive(d)
	if err != nil {
		return false, err
	}
	err = st.Verify(ctx, id)
	if errors.Is(err, shardstore.ErrNotFound) || errors.Is(err, shardstore.ErrCorrupt) {
		return false, nil
	}
	return err == nil, shardError("server.VerifyShard", err)
}

// ShardOwners implements peer.Shards.
func (s *Server) ShardOwners(ctx context.Context, d peer.DriveID, ids []shardstore.ID) ([]peer.OwnerSum, error) {
	st, err := s.drive(d)
	if err != nil {
		return nil, err
	}
	out := make([]peer.OwnerSum, len(ids))
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, shardError("server.ShardOwners", err)
		}
		owners, err := st.Owners(id)
		switch {
		case err == nil:
			out[i] = peer.OwnersOf(owners)
		case !errors.Is(err, shardstore.ErrNotFound) && !errors.Is(err, shardstore.ErrCorrupt):
			return nil, shardError("server.ShardOwners", err)
		}
	}
	return out, nil
}

// AddOwner implements peer.Shards. The additions wait together for one sync.
func (s *Server) AddOwner(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	st, err := s.drive(d)
	if err != nil {
		return err
	}
	return shardError("server.AddOwner", together(ids, func(id shardstore.ID) error { return st.AddOwner(ctx, id, o) }))
}

// DropOwners implements peer.Shards. Shards that are gone, or that have no such owner, are no error.
func (s *Server) DropOwners(ctx context.Context, d peer.DriveID, drops []peer.Drop) ([]bool, error) {
	st, err := s.drive(d)
	if err != nil {
		return nil, err
	}
	done, err := s.dead(ctx, drops)
	if err != nil {
		return nil, err
	}
	type drop struct {
		of int
		id shardstore.ID
	}
	var all []drop
	for i, yes := range done {
		for _, id := range drops[i].IDs {
			if yes {
				all = append(all, drop{i, id})
			}
		}
	}
	left := make([]atomic.Bool, len(drops))
	err = together(all, func(o drop) error {
		_, err := st.DropOwner(ctx, o.id, drops[o.of].Owner)
		if errors.Is(err, shardstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			left[o.of].Store(true)
		}
		return err
	})
	if err != nil && len(drops) == 1 {
		return nil, shardError("server.DropOwners", err)
	}
	for i := range left {
		done[i] = done[i] && !left[i].Load()
	}
	if err != nil && ctx.Err() == nil {
		s.Logger.Warn("cannot take dead owners off shards; it is tried again", "drive", d, "err", err)
	}
	return done, nil
}

// dead asks the owners' groups which of them are dead. Of a group that does not answer none is; it is an error when no group does.
func (s *Server) dead(ctx context.Context, drops []peer.Drop) ([]bool, error) {
	byGroup := make(map[consensus.GroupID][]int)
	for i := range drops {
		g := consensus.GroupID(drops[i].Owner.Group)
		byGroup[g] = append(byGroup[g], i)
	}
	dead := make([]bool, len(drops))
	var errs []error
	for g, of := range byGroup {
		owners := make([]*meta.StreamOwner, len(of))
		for k, i := range of {
			owners[k] = &meta.StreamOwner{Version: drops[i].Owner.Version[:], Stream: drops[i].Owner.Stream}
		}
		states, err := s.owners.OwnerStates(ctx, g, owners)
		if err == nil && len(states) != len(of) {
			err = &api.Error{Kind: api.Unavailable, Op: "server.DropOwners", Err: fmt.Errorf("group %d tells of %d owners, %d were asked for", g, len(states), len(of))}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for k, i := range of {
			dead[i] = states[k] == meta.OwnerState_OWNER_DEAD
		}
	}
	if len(errs) > 0 && len(errs) == len(byGroup) {
		return nil, errs[0]
	}
	return dead, nil
}

// togetherMax is how many operations wait for the drive's writer at a time.
const togetherMax = 64

// together runs f for all items, many at a time, and gives the first error.
func together[T any](items []T, f func(T) error) error {
	if len(items) == 1 {
		return f(items[0])
	}
	errs := make(chan error, togetherMax)
	running := 0
	var first error
	collect := func() {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
		running--
	}
	for _, item := range items {
		if running == togetherMax {
			collect()
		}
		running++
		go func() { errs <- f(item) }()
	}
	for running > 0 {
		collect()
	}
	return first
}

// Heal implements peer.Shards.
func (s *Server) Heal(ctx context.Context, chunk chunker.ChunkID, width int) error {
	return s.healer.Heal(ctx, chunk, width)
}

// KEK implements peer.Secrets.
func (s *Server) KEK(_ context.Context, id uint32) (envelope.KEK, error) {
	kek, err := s.Keyring.Lookup(id)
	if id == 0 {
		kek, err = s.Keyring.Current()
	}
	if err != nil {
		return kek, &api.Error{Kind: api.Unavailable, Op: "server.KEK", Err: err}
	}
	return kek, nil
}

// Credential implements peer.Secrets.
func (s *Server) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	a, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: accessKeyID}}})
	if err != nil {
		return api.Credential{}, err
	}
	c := a.GetCredential()
	if c.GetDisabled() {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "server.Credential"}
	}
	secret, err := s.Keyring.OpenSecret(accessKeyID, c.GetSealed())
	if err != nil {
		return api.Credential{}, &api.Error{Kind: api.Corrupt, Op: "server.Credential", Err: err}
	}
	return c.WithSecret(secret), nil
}
