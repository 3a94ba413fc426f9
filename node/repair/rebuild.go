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

// gather reads and verifies every shard from the first of its copies that is right.
func (h *Healer) gather(ctx context.Context, s *stripe, mem []byte) {
	s.shards = make([][]byte, len(s.slots))
	var wg sync.WaitGroup
	for i := range s.slots {
		s.shards[i] = mem[i*s.stride():][:s.length:s.length]
		wg.Go(func() { h.read(ctx, s, i) })
	}
	wg.Wait()
	for i := range s.slots {
		if !s.slots[i].good {
			s.shards[i] = s.shards[i][:0]
		}
	}
	if s.fragile() {
		h.readCopies(ctx, s)
	}
}

// readCopies verifies the further copies of a stripe that depends on them. The bytes are let go.
func (h *Healer) readCopies(ctx context.Context, s *stripe) {
	p := make([]byte, s.length)
	for i := range s.slots {
		sl := &s.slots[i]
		for _, t := range sl.copies {
			n := h.node(t)
			if n == nil || slices.Contains(sl.at, t) {
				continue
			}
			if n.ReadShard(ctx, t.Drive, shardstore.ID{Chunk: s.chunk, Index: uint8(i)}, p, 0, peer.Verified) == nil {
				sl.gain(t)
			}
		}
	}
}

func (h *Healer) read(ctx context.Context, s *stripe, i int) {
	sl := &s.slots[i]
	for _, t := range sl.copies {
		err := errAway
		if n := h.node(t); n != nil {
			h.met.read.Inc()
			err = n.ReadShard(ctx, t.Drive, shardstore.ID{Chunk: s.chunk, Index: uint8(i)}, s.shards[i], 0, peer.Verified)
		}
		if err == nil {
			sl.gain(t)
			return
		}
		h.log.Debug("shard to heal", "chunk_id", s.chunk, "index", i, "node_id", t.Node, "err", err)
		if t != sl.home {
			continue
		}
		sl.state = homeAway
		if kind := api.KindOf(err); kind == api.Corrupt || kind == api.NoSuchKey {
			sl.state = homeMissing
		}
	}
}

// lost counts the shards that must be rebuilt: those of which no good copy is left, unless their
// homes are away and either the others are safe or no other drives can make them so.
func (h *Healer) lost(s *stripe) int {
	_, missing, away := s.count()
	if away > 0 && s.fragile() && (missing > 0 || canSpread(s.places(), int(s.profile.K), s.hands, h.reachable) || s.copies(h.reachable) != nil) {
		return missing + away
	}
	return missing
}

// copies plans copies for a stripe for which there are too few drives to take shards that all differ;
// nil when none would be enough.
func (s *stripe) copies(ok func(peer.Target) bool) []peer.Copy {
	if s.profile.M == 0 {
		return nil
	}
	plan, _ := peer.Copies(s.places(), int(s.profile.K), false, s.hands, ok)
	return plan
}

func (h *Healer) reachable(t peer.Target) bool { return h.node(t) != nil }

// places lists by index where good copies of shards are.
func (s *stripe) places() [][]peer.Target {
	at := make([][]peer.Target, len(s.slots))
	for i := range s.slots {
		at[i] = s.slots[i].at
	}
	return at
}

// fragile says that the loss of a drive might leave too few shards.
func (s *stripe) fragile() bool { return peer.Tolerates(s.places(), int(s.profile.K)) < 1 }

// count tells how many shards there are with a good copy, and of the others how many have a home
// that can be reached and how many have none.
func (s *stripe) count() (good, missing, away int) {
	for i := range s.slots {
		switch {
		case s.slots[i].good:
			good++
		case s.slots[i].state == homeAway:
			away++
		default:
			missing++
		}
	}
	return good, missing, away
}

// rebuild computes the shards that have no good copy and makes sure that they are what they were.
func (s *stripe) rebuild() error {
	coder, err := erasure.New(s.profile)
	if err == nil {
		err = coder.Reconstruct(s.shards, nil)
	}
	if err != nil {
		kind := api.Corrupt
		if good, _, away := s.count(); good+away >= int(s.profile.K) {
			kind = api.Unavailable // those that are away may come back
		}
		return &api.Error{Kind: kind, Op: "repair.rebuild", Err: fmt.Errorf("chunk %v: %w", s.chunk, err)}
	}
	for i := range s.slots {
		if !s.slots[i].good && !chunker.VerifyShard(s.shards[i], s.hashes[i]) {
			return &api.Error{Kind: api.Corrupt, Op: "repair.rebuild", Err: fmt.Errorf("rebuilt shard %d of chunk %v has another hash", i, s.chunk)}
		}
	}
	return nil
}

// bringHome stores the shards whose homes can be reached and have none that is right, and gives all
// copies the owners that others have.
func (h *Healer) bringHome(ctx context.Context, s *stripe) (shards int, err error) {
	for i := range s.slots {
		sl := &s.slots[i]
		e := h.addOwners(ctx, s, i)
		if sl.state == homeMissing {
			pe := h.put(ctx, s, i, sl.home)
			if pe == nil {
				s.placed = append(s.placed, question{sl.home, shardstore.ID{Chunk: s.chunk, Index: uint8(i)}})
				sl.state = homeRight
				sl.gain(sl.home)
				shards++
			} else if kind := api.KindOf(pe); kind == api.StorageFull || kind == api.Unavailable {
				sl.state = homeAway
			}
			e = errors.Join(e, pe)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("bring shard %d of chunk %v home: %w", i, s.chunk, e))
		}
	}
	return shards, err
}

// addOwners gives the copies of a shard the owners that they lack. One that was damaged or has moved
// on meanwhile is for others.
func (h *Healer) addOwners(ctx context.Context, s *stripe, i int) error {
	sl := &s.slots[i]
	for j, t := range sl.copies {
		for _, o := range s.owners {
			if slices.Contains(sl.owners[j], o) {
				continue
			}
			n := h.node(t)
			if n == nil {
				break
			}
			err := n.AddOwner(ctx, t.Drive, []shardstore.ID{{Chunk: s.chunk, Index: uint8(i)}}, o)
			if kind := api.KindOf(err); kind == api.Corrupt || kind == api.NoSuchKey && t != sl.home {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// put stores a shard with all owners.
func (h *Healer) put(ctx context.Context, s *stripe, i int, at peer.Target) error {
	n, id := h.node(at), shardstore.ID{Chunk: s.chunk, Index: uint8(i)}
	if n == nil {
		return errAway
	}
	err := n.PutShard(ctx, at.Drive, &shardstore.Shard{
		ID: id, K: s.profile.K, M: s.profile.M, ChunkLen: uint32(s.sealed), Hashes: s.hashes, Owner: s.owners[0], Payload: s.shards[i],
	})
	for _, o := range s.owners[1:] {
		if err == nil {
			err = n.AddOwner(ctx, at.Drive, []shardstore.ID{id}, o)
		}
	}
	if err == nil {
		h.met.healed.Inc()
		h.noteMove()
		h.worker.moved(int64(s.length))
		h.log.Info("healed a shard", "chunk_id", s.chunk, "index", i, "node_id", at.Node)
	}
	return err
}

// handOff puts shards whose homes are away on other drives, and copies where those are few, until the
// loss of any one drive can be borne, or no drive is left to take them.
func (h *Healer) handOff(ctx context.Context, s *stripe) (shards int, err error) {
	var failed []peer.Target
	able := func(t peer.Target) bool { return !slices.Contains(failed, t) && h.node(t) != nil }
	for s.fragile() {
		plan := s.plan(able)
		if len(plan) == 0 {
			break
		}
		for _, c := range plan {
			if e := h.put(ctx, s, c.Index, c.At); e != nil {
				failed = append(failed, c.At)
				err = errors.Join(err, fmt.Errorf("hand shard %d of chunk %v to another drive: %w", c.Index, s.chunk, e))
				break
			}
			err = nil
			s.placed = append(s.placed, question{c.At, shardstore.ID{Chunk: s.chunk, Index: uint8(c.Index)}})
			s.slots[c.Index].gain(c.At)
			shards++
		}
	}
	return shards, err
}

// plan says what to hand to other drives now, of the shards that were read or rebuilt.
func (s *stripe) plan(able func(peer.Target) bool) []peer.Copy {
	at, k := s.places(), int(s.profile.K)
	if canSpread(at, k, s.hands, able) {
		for i := range s.slots {
			if !s.slots[i].good && len(s.shards[i]) > 0 {
				return []peer.Copy{{Index: i, At: s.hands[spreadOf(at, k).Pick(s.hands, able)]}}
			}
		}
	}
	plan := s.copies(able)
	if slices.ContainsFunc(plan, func(c peer.Copy) bool { return len(s.shards[c.Index]) == 0 }) {
		return nil
	}
	return plan
}

// gain notes a good copy.
func (sl *slot) gain(t peer.Target) { sl.good, sl.at = true, append(sl.at, t) }
