package repair

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// mendBatch is how many stripes are looked at again together before they are mended: many are mended in the time in which what the
// check found of them grows old.
const mendBatch = 32

// mend makes again what stripes lack that a check has found to lack shards. Where all shards agree, what the check has learnt says where
// they are and whose, and as many are read as are needed, and no others: whether those are right, reads and scrubs find out. What is made
// tells whether what was read is right. All else is left to a heal that asks, reads and verifies everything.
func (p *checkPass) mend(ctx context.Context, lacking []*candidate) {
	var parts sync.WaitGroup
	dead := deadOwners(ctx, p.c.heal.groups, ownersOf(lacking[:min(mendBatch, len(lacking))]))
	for i := 0; i < len(lacking) && ctx.Err() == nil && !p.outdated(); i += mendBatch {
		part := lacking[i:min(i+mendBatch, len(lacking))]
		next := lacking[i+len(part) : min(i+len(part)+mendBatch, len(lacking))]
		var ahead sync.WaitGroup
		var deadNext map[shardstore.Owner]bool
		ahead.Go(func() { // so that nothing waits for the answers
			p.look(ctx, next)
			deadNext = deadOwners(ctx, p.c.heal.groups, ownersOf(next))
		})
		p.mendPart(ctx, part, dead, &parts)
		ahead.Wait()
		dead = deadNext
	}
	parts.Wait()
}

// mendPart begins to mend some stripes, each once the one before has begun. It returns when the last of them has.
func (p *checkPass) mendPart(ctx context.Context, part []*candidate, dead map[shardstore.Owner]bool, parts *sync.WaitGroup) {
	h := p.c.heal
	stripes := make([]*stripe, len(part))
	var wg sync.WaitGroup
	for i, c := range part {
		if !p.wantsHeal(c) {
			continue // another was asked to heal it, and has
		}
		if ctx.Err() != nil || p.outdated() {
			break
		}
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		wg.Go(func() {
			defer begin() // also when another heals it
			_, err := h.once(ctx, c.Chunk, false, func() (res healed, err error) {
				stripes[i], res, err = p.mendOne(ctx, c, dead, begin)
				return res, err
			})
			p.errs.add(err)
		})
		<-begun
	}
	parts.Go(func() {
		wg.Wait()
		h.takeBack(ctx, stripes)
	})
}

// mendOne mends a stripe, or has all of it read when that does not do. It calls begin when it has a turn.
func (p *checkPass) mendOne(ctx context.Context, c *candidate, dead map[shardstore.Owner]bool, begin func()) (s *stripe, res healed, err error) {
	h := p.c.heal
	t, err := h.turn(ctx, mendBusy)
	if err != nil {
		return nil, res, err
	}
	defer t.end()
	if p.outdated() {
		return nil, res, errOutdated
	}
	begin()
	if s = p.known(c, dead); s != nil {
		if res, err = h.mend(ctx, s, p.cost, t); err == nil || ctx.Err() != nil {
			return s, res, err
		}
		h.log.Debug("stripe is not as it was found", "chunk_id", c.Chunk, "err", err)
		t.end()
		again, err := h.turn(ctx, mendBusy)
		if err != nil {
			return s, res, err
		}
		defer again.end()
	}
	res, err = h.heal(ctx, c.Chunk, c.width())
	return s, res, err
}

// ownersOf lists the owners of stripes.
func ownersOf(list []*candidate) (out []shardstore.Owner) {
	seen := make(map[shardstore.Owner]bool)
	for _, c := range list {
		for _, o := range c.Owners {
			if !seen[o] {
				seen[o] = true
				out = append(out, o)
			}
		}
	}
	return out
}

// known describes a stripe by the shard here and by what the check has learnt of the others; nil when that is not enough: when their
// owners are not the same, or the stripe would depend on shards that were not read.
func (p *checkPass) known(c *candidate, dead map[shardstore.Owner]bool) *stripe {
	in, err := p.c.drives[c.drive].Stat(c.ID)
	st, width := c.state, c.width()
	if err != nil || in.Corrupt || st.torn || st.sum != peer.OwnersOf(in.Owners) || len(in.Hashes) != width || chunker.ChunkIDOf(in.Hashes) != c.Chunk {
		return nil
	}
	s := &stripe{
		chunk: c.Chunk, profile: erasure.Profile{K: in.K, M: in.M}, sealed: int(in.ChunkLen), hashes: in.Hashes,
		owners: slices.DeleteFunc(in.Owners, func(o shardstore.Owner) bool { return dead[o] }),
	}
	if s.profile.Validate() != nil || len(s.owners) == 0 {
		return nil
	}
	s.length = s.profile.ShardSize(s.sealed)
	after := slices.Clone(st.at)
	for i, home := range st.homes {
		sl := slot{home: home, state: [...]int{away: homeAway, no: homeMissing, yes: homeRight}[st.home[i]], copies: st.at[i]}
		if s.slots = append(s.slots, sl); sl.lost() {
			after[i] = []peer.Target{home}
		}
	}
	if peer.Tolerates(after, int(s.profile.K)) < 1 {
		return nil
	}
	return s
}

// lost says that there is no copy of a shard, and that its home can have it.
func (sl *slot) lost() bool { return len(sl.copies) == 0 && sl.state == homeMissing }

// cost ranks places by how dear it is to read there: this node, its site, elsewhere.
func (p *checkPass) cost(t peer.Target) int {
	if p.c.drives[t.Drive] != nil {
		return 0
	}
	for d := range p.c.drives {
		if p.tally.domains[d][2] == p.tally.domains[t.Drive][2] {
			return 1
		}
	}
	return 2
}

// mend rebuilds the lost shards of a stripe that is known from as many others as that takes, and brings them home. While clients are
// served it ends the caller's turn when it has read them and may store what it has made.
func (h *Healer) mend(ctx context.Context, s *stripe, cost func(peer.Target) int, t turn) (res healed, err error) {
	var lost []int
	for i := range s.slots {
		if s.slots[i].lost() {
			lost = append(lost, i)
		} else if s.slots[i].state == homeAway {
			res.away++
		}
	}
	if err := h.budget.wait(ctx, int64(s.length*len(lost))); err != nil {
		return res, err
	}
	from := s.cheapest(cost)
	stride := s.stride()
	buf, err := h.pool.Get(ctx, (len(from)+len(lost))*stride)
	if err != nil {
		return res, fmt.Errorf("memory to mend chunk %v: %w", s.chunk, err)
	}
	defer buf.Release()
	s.shards = make([][]byte, len(s.slots))
	for n, i := range append(from, lost...) {
		s.shards[i] = buf.B[n*stride:][:s.length:s.length]
	}
	if err := h.readFrom(ctx, s, from, t.busy && s.spare() > 0); err != nil {
		return res, err
	}
	if err := s.remake(lost); err != nil {
		return res, err
	}
	if t.busy {
		if err := h.puts.Acquire(ctx, 1); err != nil {
			return res, err
		}
		defer h.puts.Release(1)
		t.end()
	}
	res.shards, err = h.putLost(ctx, s, lost)
	return res, err
}

// pageBytes is to what the memory of shards is aligned: so they are read and written where they lie.
const pageBytes = 4096

// stride is how far apart the shards of a stripe lie in memory.
func (s *stripe) stride() int { return (s.length + pageBytes - 1) &^ (pageBytes - 1) }

// cheapest gives the indexes of the shards to read, as many as are needed if there are, each of the copy that is named first. Which of
// those that cost the same are taken varies with the chunk.
func (s *stripe) cheapest(cost func(peer.Target) int) []int {
	var from []int
	for n := range s.slots {
		i := (n + int(s.chunk[len(s.chunk)-1])) % len(s.slots)
		sl := &s.slots[i]
		if len(sl.copies) == 0 {
			continue
		}
		sl.copies = slices.SortedStableFunc(slices.Values(sl.copies), func(a, b peer.Target) int { return cost(a) - cost(b) })
		from = append(from, i)
	}
	slices.SortStableFunc(from, func(a, b int) int { return cmp.Compare(cost(s.slots[a].copies[0]), cost(s.slots[b].copies[0])) })
	return from[:min(len(from), int(s.profile.K))]
}

// spare is the loss of how many more of its shards the stripe survives as it is.
func (s *stripe) spare() int {
	n := -int(s.profile.K)
	for i := range s.slots {
		if len(s.slots[i].copies) > 0 {
			n++
		}
	}
	return n
}

// restPiece is after how many bytes of a shard that is read gently the reader rests. With pieces of a quarter a client waits hardly less,
// and the drives of a spinning disk would do little but seek.
const restPiece = 1 << 20

// readFrom reads shards as they lie on disk: what is made of them tells whether they were right. gently is with rests, each as long as
// reading the piece before took, in which others get at the drive: the more wait there, the longer.
func (h *Healer) readFrom(ctx context.Context, s *stripe, from []int, gently bool) error {
	errs := make([]error, len(from))
	var wg sync.WaitGroup
	for n, i := range from {
		wg.Go(func() { errs[n] = h.readOne(ctx, s, i, gently) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (h *Healer) readOne(ctx context.Context, s *stripe, index int, gently bool) error {
	at := s.slots[index].copies[0]
	node := h.node(at)
	if node == nil {
		return errAway
	}
	h.met.read.Inc()
	piece := s.length
	if gently {
		piece = restPiece
	}
	for off := 0; off < s.length; off += piece {
		began := time.Now()
		p := s.shards[index][off:min(off+piece, s.length)]
		if err := node.ReadShard(ctx, at.Drive, shardstore.ID{Chunk: s.chunk, Index: uint8(index)}, p, int64(off), peer.ToRebuild); err != nil {
			return err
		}
		if !gently {
			continue
		}
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// remake computes the lost shards. Their homes store them only if they are what they were, which one wrong byte of what was read, or two that
// do not happen to cancel out, would make impossible. So each is hashed once, at its home, and not each that was read as well.
func (s *stripe) remake(lost []int) error {
	coder, err := erasure.New(s.profile)
	if err != nil {
		return err
	}
	wanted := make([]bool, len(s.slots))
	for _, i := range lost {
		wanted[i], s.shards[i] = true, s.shards[i][:0]
	}
	return coder.Reconstruct(s.shards, wanted)
}

// putLost stores rebuilt shards at home.
func (h *Healer) putLost(ctx context.Context, s *stripe, lost []int) (shards int, err error) {
	errs := make([]error, len(lost))
	var wg sync.WaitGroup
	for n, i := range lost {
		wg.Go(func() { errs[n] = h.put(ctx, s, i, s.slots[i].home) })
	}
	wg.Wait()
	for n, i := range lost {
		if errs[n] == nil {
			shards++
			s.placed = append(s.placed, question{s.slots[i].home, shardstore.ID{Chunk: s.chunk, Index: uint8(i)}})
		}
	}
	return shards, errors.Join(errs...)
}

// takeBack drops from shards that were put the owners that have died meanwhile: their drops may have come by before the shards were
// there. Who dies later than this asks is dropped by those who drop the version. Where it cannot be asked now, the sweep does it.
func (h *Healer) takeBack(ctx context.Context, stripes []*stripe) {
	var owners []shardstore.Owner
	for _, s := range stripes {
		if s != nil && len(s.placed) > 0 {
			owners = append(owners, s.owners...)
		}
	}
	if len(owners) == 0 {
		return
	}
	slices.SortFunc(owners, func(a, b shardstore.Owner) int { return bytes.Compare(a.Version[:], b.Version[:]) })
	dead := deadOwners(ctx, h.groups, slices.Compact(owners))
	if len(dead) == 0 {
		return
	}
	for _, s := range stripes {
		if s == nil {
			continue
		}
		for _, o := range s.owners {
			for _, q := range s.placed {
				n := h.node(q.at)
				if n == nil || !dead[o] {
					continue
				}
				if err := peer.DropOwner(ctx, n, q.at.Drive, []shardstore.ID{q.id}, o); err != nil {
					h.log.Debug("drop an owner that died during a heal", "shard", q.id, "err", err)
				}
			}
		}
	}
}
