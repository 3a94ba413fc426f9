package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// handoffsMax is how many of a chunk's drives that take shards whose target is away are asked, beside
// the targets of other shards. What lies on others is brought home by the nodes that have it.
const handoffsMax = 16

// takers gives the drives that are asked for shards whose home is away, and that take them.
func takers(l *peer.Layout, chunk chunker.ChunkID, width int) []peer.Target {
	hands := l.Handoffs(nil, chunk, width)
	hands = hands[:min(len(hands), handoffsMax)]
	for _, t := range l.Targets(nil, chunk, width) {
		if !slices.Contains(hands, t) { // a drive may hold several
			hands = append(hands, t)
		}
	}
	return hands
}

// stripe is a chunk's stripe as it is found.
type stripe struct {
	chunk   chunker.ChunkID
	profile erasure.Profile
	length  int // of a shard
	sealed  int
	hashes  []chunker.ShardHash
	owners  []shardstore.Owner // all that any shard has
	slots   []slot             // by index
	hands   []peer.Target      // drives that take shards whose homes are away, in their order
	shards  [][]byte           // by index; empty where there is no good copy
	placed  []question         // what was put, and where
}

// States of a shard's home.
const (
	homeAway    = iota // cannot be reached
	homeMissing        // reached, and has no good copy
	homeRight          // has a good copy
)

// slot is one shard of a stripe with its copies.
type slot struct {
	home   peer.Target
	state  int
	copies []peer.Target        // places that say that they have a good one, home first
	owners [][]shardstore.Owner // of each copy
	good   bool                 // one of them was read and verified
	at     []peer.Target        // where it is good as far as is known for sure
}

// sight is what one place said of a shard.
type sight struct {
	index int
	at    peer.Target
	info  shardstore.Info
	err   error
}

// survey asks all places what they have. It gives nil when none has anything: the chunk is gone.
func (h *Healer) survey(ctx context.Context, chunk chunker.ChunkID, width int) (*stripe, error) {
	whole, err := h.layout(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, l := range whole.Views() { // who asks does not know the owners, which say where it belongs
		s, view, err := h.surveyIn(ctx, l, chunk, width)
		switch {
		case err != nil:
			errs = append(errs, err)
		case s == nil:
		case view == nil:
			return nil, &api.Error{Kind: api.Unavailable, Op: "repair.survey", Err: errOutdated}
		case view != l:
			s, _, err = h.surveyIn(ctx, view, chunk, width)
			return s, err
		default:
			return s, nil
		}
	}
	return nil, errors.Join(errs...)
}

// surveyIn asks the places of one view of the layout, and tells in which view the stripe belongs.
func (h *Healer) surveyIn(ctx context.Context, l *peer.Layout, chunk chunker.ChunkID, width int) (*stripe, *peer.Layout, error) {
	s := &stripe{chunk: chunk}
	for _, t := range l.Targets(nil, chunk, width) {
		s.slots = append(s.slots, slot{home: t})
	}
	if len(s.slots) == 0 {
		return nil, nil, fmt.Errorf("epoch %d has no places for chunk %v of %d shards", l.Epoch, chunk, width)
	}
	s.hands = takers(l, chunk, width)
	sights := h.look(ctx, l, s)
	var errs []error
	for i := range sights {
		if err := s.note(&sights[i]); err != nil {
			errs = append(errs, err)
		}
	}
	if s.hashes == nil {
		return nil, nil, s.nothing(errs)
	}
	if err := s.profile.Validate(); err != nil || s.profile.Width() != width || len(s.hashes) != width {
		return nil, nil, fmt.Errorf("chunk %v is coded %v, not in %d shards", chunk, s.profile, width)
	}
	s.length = s.profile.ShardSize(s.sealed)
	view := viewOf(l, s.owners)
	s.owners = h.living(ctx, s.owners)
	return s, view, nil
}

// look asks homes and the homes of earlier epochs for each shard, and the drives that take what has no
// home for all.
func (h *Healer) look(ctx context.Context, l *peer.Layout, s *stripe) []sight {
	var out []sight
	width := len(s.slots)
	for i := range s.slots {
		for _, t := range l.Places(nil, s.chunk, width, i) {
			if t == s.slots[i].home || earlier(l, s.chunk, width, i, t) {
				out = append(out, sight{index: i, at: t})
			}
		}
	}
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			out[i].info, out[i].err = h.stat(ctx, out[i].at, shardstore.ID{Chunk: s.chunk, Index: uint8(out[i].index)})
		})
	}
	hands := make([][]sight, len(s.hands))
	for i := range s.hands {
		wg.Go(func() { hands[i] = h.lookAt(ctx, s.hands[i], s.chunk, width) })
	}
	wg.Wait()
	for i := range hands {
		for _, x := range hands[i] {
			if !slices.ContainsFunc(out, func(y sight) bool { return y.index == x.index && y.at == x.at }) {
				out = append(out, x)
			}
		}
	}
	return out
}

// earlier says whether a drive was the home of a shard in an epoch whose shards may not all have moved.
func earlier(l *peer.Layout, chunk chunker.ChunkID, width, index int, at peer.Target) bool {
	for _, e := range l.Earlier {
		for _, t := range e.Tables {
			if t.Width() == width && peer.DriveID(t.Drives()[t.Targets(chunk.Group())[index]].ID) == at.Drive {
				return true
			}
		}
	}
	return false
}

func (h *Healer) stat(ctx context.Context, at peer.Target, id shardstore.ID) (shardstore.Info, error) {
	n := h.node(at)
	if n == nil {
		return shardstore.Info{}, errAway
	}
	return n.StatShard(ctx, at.Drive, id)
}

// lookAt describes the good shards of a chunk that a drive has.
func (h *Healer) lookAt(ctx context.Context, at peer.Target, chunk chunker.ChunkID, width int) []sight {
	n := h.node(at)
	if n == nil {
		return nil
	}
	ids := make([]shardstore.ID, width)
	for i := range ids {
		ids[i] = shardstore.ID{Chunk: chunk, Index: uint8(i)}
	}
	has, err := n.HaveShards(ctx, at.Drive, ids)
	if err != nil {
		return nil
	}
	var out []sight
	for i := range has {
		if has[i] {
			x := sight{index: i, at: at}
			x.info, x.err = n.StatShard(ctx, at.Drive, ids[i])
			out = append(out, x)
		}
	}
	return out
}

// node gives the way to a place; nil when its node is dead or not known.
func (h *Healer) node(at peer.Target) peer.Node {
	if !h.alive.of(at.Node) {
		return nil
	}
	return h.dir.Node(at.Node)
}

// note takes up what a place said. It returns the error of one that cannot describe the shard.
func (s *stripe) note(x *sight) error {
	sl := &s.slots[x.index]
	home := x.at == sl.home
	if kind := api.KindOf(x.err); x.err != nil && kind != api.Corrupt {
		if home && kind == api.NoSuchKey {
			sl.state = homeMissing
		}
		return x.err
	}
	if home {
		sl.state = homeMissing
		if x.err == nil && !x.info.Corrupt {
			sl.state = homeRight
		}
	}
	if x.err != nil {
		return x.err
	}
	if s.hashes == nil && chunker.ChunkIDOf(x.info.Hashes) == s.chunk {
		s.profile = erasure.Profile{K: x.info.K, M: x.info.M}
		s.sealed, s.hashes = int(x.info.ChunkLen), x.info.Hashes
	}
	for _, o := range x.info.Owners {
		if !slices.Contains(s.owners, o) {
			s.owners = append(s.owners, o)
		}
	}
	if !x.info.Corrupt {
		sl.copies, sl.owners = append(sl.copies, x.at), append(sl.owners, x.info.Owners)
	}
	return nil
}

// nothing tells a chunk that was dropped from one whose shards are all damaged or away.
func (s *stripe) nothing(errs []error) error {
	for _, err := range errs {
		if api.KindOf(err) != api.NoSuchKey {
			return fmt.Errorf("no shard of chunk %v describes it: %w", s.chunk, errors.Join(errs...))
		}
	}
	return nil
}
