package repair

import (
	"context"
	"slices"
	"sync"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// Groups is what the workers ask of metadata groups, wherever those are led. *client.Client is one.
type Groups interface {
	// OwnerStates asks whether owners of shards live, linearizably.
	OwnerStates(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error)
	// OwnerNames is OwnerStates with whether their keys begin with prefix; a group of an earlier release gives no names. What
	// is dead counts as dead here though it is being read.
	OwnerNames(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner, prefix []byte) (*meta.OwnerStates, error)
	// Condemn makes a group refuse for good owners that do not live, and gives the state of each.
	Condemn(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error)
	// Garbage gives versions whose shards wait to be dropped, after a sequence number.
	Garbage(ctx context.Context, g consensus.GroupID, after uint64) (*meta.GarbageAnswer, error)
	// DropGarbage takes dead owners off all their shards, and gives what came of each.
	DropGarbage(ctx context.Context, g consensus.GroupID, list []*meta.Garbage) []error
	// GarbageDone tells a group that shards have lost their owner.
	GarbageDone(ctx context.Context, g consensus.GroupID, seqs []uint64) error
	// Manifests lists manifests of live versions after a version ID, at most so many.
	Manifests(ctx context.Context, g consensus.GroupID, after []byte, most int) (*meta.ManifestsAnswer, error)
	// PartManifests lists manifests of the parts of open uploads after a part, at most so many.
	PartManifests(ctx context.Context, g consensus.GroupID, upload []byte, part uint32, most int) (*meta.ManifestsAnswer, error)
	// ManifestNow gives what a version or part is made of by now; nil when it is gone.
	ManifestNow(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) (*meta.VersionManifest, error)
	// Stripes calls f for all chunks that a manifest names, its tree's included, until f says false. An
	// error says that not all could be told.
	Stripes(ctx context.Context, g consensus.GroupID, manifest []byte, f func(client.Stripe) bool) error
}

// errAway says that a node cannot be reached, or is known to be dead.
var errAway error = &api.Error{Kind: api.Unavailable, Op: "repair", Detail: "The node is away."}

// liveness tells who is alive; without a judge all are.
type liveness struct{ judge func(p2p.NodeID) bool }

func (l liveness) of(id p2p.NodeID) bool { return l.judge == nil || l.judge(id) }

// askTimeout bounds how long it is waited for groups to say which owners are dead, where that is not
// needed for what must be done.
const askTimeout = 3 * time.Second

// deadOwners asks the owners' groups which of them are dead. Of groups that do not answer none is.
func deadOwners(ctx context.Context, groups Groups, owners []shardstore.Owner) map[shardstore.Owner]bool {
	return ownersThat(ctx, groups, owners, func(st meta.OwnerState) bool { return st == meta.OwnerState_OWNER_DEAD })
}

// lifelessOwners is deadOwners with those that never came to life: nothing was promised of what they
// own, be it an upload under way or what a broken one has left.
func lifelessOwners(ctx context.Context, groups Groups, owners []shardstore.Owner) map[shardstore.Owner]bool {
	return ownersThat(ctx, groups, owners, func(st meta.OwnerState) bool { return st != meta.OwnerState_OWNER_LIVE })
}

func ownersThat(ctx context.Context, groups Groups, owners []shardstore.Owner, are func(meta.OwnerState) bool) map[shardstore.Owner]bool {
	byGroup := make(map[uint32][]shardstore.Owner)
	for _, o := range owners {
		byGroup[o.Group] = append(byGroup[o.Group], o)
	}
	dead := make(map[shardstore.Owner]bool)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for g, list := range byGroup {
		for batch := range slices.Chunk(list, sweepBatch) {
			states, err := groups.OwnerStates(ctx, consensus.GroupID(g), streamOwners(batch))
			if err != nil || len(states) != len(batch) {
				break
			}
			for i, st := range states {
				if are(st) {
					dead[batch[i]] = true
				}
			}
		}
	}
	return dead
}

// living gives the owners that are not known to be dead.
func (h *Healer) living(ctx context.Context, owners []shardstore.Owner) []shardstore.Owner {
	dead := deadOwners(ctx, h.groups, owners)
	return slices.DeleteFunc(owners, func(o shardstore.Owner) bool { return dead[o] })
}

// wantedMax bounds the chunks that are remembered as not healed.
const wantedMax = 10_000

// wanted are chunks that could not be healed, with the number of the check that was under way.
type wanted struct {
	mu     sync.Mutex // guards what follows
	chunks map[chunker.ChunkID]uint64
	round  uint64
}

func (w *wanted) add(c chunker.ChunkID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chunks == nil {
		w.chunks = make(map[chunker.ChunkID]uint64)
	}
	if _, has := w.chunks[c]; !has && len(w.chunks) >= wantedMax {
		return // as many are said to wait as there is room for
	}
	w.chunks[c] = w.round
}

func (w *wanted) remove(c chunker.ChunkID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.chunks, c)
}

// begin begins a check of everything.
func (w *wanted) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
}

// settle forgets what was wanted before the check that has ended now: it has seen it, or what it
// became of.
func (w *wanted) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, round := range w.chunks {
		if round < w.round {
			delete(w.chunks, c)
		}
	}
}

// count gives how many chunks wait to be healed; beyond wantedMax there may be more.
func (w *wanted) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.chunks))
}
