package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

const (
	hedgeMin = 20 * time.Millisecond // before other shards are read too
	hedgeMax = 500 * time.Millisecond
	// farExpected is how long a shard from afar is thought to take before any was read: some round trips, for a connection that
	// rested sends little at first. What is expected too soon is read twice over a way that is narrow.
	farExpected = 250 * time.Millisecond
	// Of this many bytes that are read one may be read beside them because a read is late, so that a store
	// under load does not read its chunks twice over; hedgeBurst may be before that. A late read of many
	// frames is hedged with the whole chunk: counting reads instead of bytes would nearly double them.
	hedgeShare = 20
	hedgeBurst = 40 << 20
	// hedgeShort is how many times less than a chunk a hedge of a short range reads, at least.
	hedgeShort = 4
	// readTimeout bounds one read of a shard: another place is tried then.
	readTimeout = 5 * time.Second
)

// pace tells when a read is late, from how long recent ones took. It is approximate: several
// goroutines that write at once may lose one another's samples.
type pace struct {
	mean, spread atomic.Int64 // nanoseconds
	read, hedged atomic.Int64 // bytes
}

// took notes a read of n bytes.
func (p *pace) took(d time.Duration, n int) {
	p.read.Add(int64(n))
	mean := p.mean.Load()
	off := int64(d) - mean
	p.mean.Store(mean + off/16)
	p.spread.Store(p.spread.Load() + (max(off, -off)-p.spread.Load())/16)
}

// late is after how long a read is later than nearly all others.
func (p *pace) late() time.Duration {
	return min(max(time.Duration(p.mean.Load()+4*p.spread.Load()), hedgeMin), hedgeMax)
}

// mayHedge tells whether n more bytes may be read for a hedge, and counts them.
func (p *pace) mayHedge(n int) bool {
	if (p.hedged.Load()-hedgeBurst)*hedgeShare > p.read.Load() {
		return false
	}
	p.hedged.Add(int64(n))
	return true
}

// read fills p with sealed bytes of a chunk from off, as they lie on the data shards. When a shard is
// late, the chunk is rebuilt beside it: d.rebuilt is set if that was faster.
func (d *download) read(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, p []byte, off int) error {
	profile := erasure.Profile{K: seg.K, M: seg.M}
	shardSize := profile.ShardSize(seg.Framing.SealedLen(int(ref.Size)))
	d.find(ref.ID, profile.Width())
	for len(p) > 0 {
		index, at := off/shardSize, off%shardSize
		n := min(len(p), shardSize-at)
		err := d.readShard(ctx, seg, ref, shardstore.ID{Chunk: ref.ID, Index: uint8(index)}, p[:n], int64(at))
		if rebuilt := d.rebuilt != nil && d.rebuiltID == ref.ID; err != nil && (rebuilt || !d.readColumns(ctx, seg, ref, index, p[:n], int64(at), err)) {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// find looks up where the shards of a chunk belong.
func (d *download) find(id chunker.ChunkID, width int) {
	if d.targetsID != id || len(d.targets) == 0 {
		d.targets, d.targetsID = d.layout.Targets(d.targets[:0], id, width), id
	}
}

// readShard reads a data shard where it belongs or, when it is not there, where it was before.
func (d *download) readShard(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, id shardstore.ID, p []byte, off int64) error {
	if int(id.Index) >= len(d.targets) {
		return &api.Error{Kind: api.Unavailable, Op: "client.readShard", Err: fmt.Errorf("shard %v has no place in the layout", id)}
	}
	err := d.readHedged(ctx, seg, ref, d.targets[id.Index], id, p, off)
	if err == nil || ctx.Err() != nil || len(d.layout.Earlier) == 0 || d.rebuilt != nil && d.rebuiltID == ref.ID {
		return err
	}
	for _, t := range d.layout.Homes(ref.ID, int(seg.K)+int(seg.M), int(id.Index)) {
		if t == d.targets[id.Index] || !d.c.health.usable(t.Node) {
			continue
		}
		if d.c.readAt(ctx, t, id, p, off, peer.AsStored) == nil {
			d.targets[id.Index] = t
			return nil
		}
	}
	return err
}

// readHedged reads from one place, which has the time that a read usually takes for itself. Then others are read too.
func (d *download) readHedged(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, t peer.Target, id shardstore.ID, p []byte, off int64) error {
	c := d.c
	if seg.M == 0 && !c.health.dead(t.Node) {
		return c.readAt(ctx, t, id, p, off, peer.AsStored)
	}
	if !c.health.usable(t.Node) {
		return &api.Error{Kind: api.Unavailable, Op: "client.readShard", Err: fmt.Errorf("node %s does not answer at present", t.Node)}
	}
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	beside.Add(1)
	var computed []byte
	late := time.AfterFunc(c.pace.late(), func() {
		defer beside.Done()
		if b, ok := d.hedge(rctx, seg, ref, int(id.Index), len(p), off); ok {
			computed = b
			c.health.late(t.Node)
			cancel()
		}
	})
	start := time.Now()
	err := c.readAt(rctx, t, id, p, off, peer.AsStored)
	if late.Stop() {
		c.pace.took(time.Since(start), len(p))
		return err
	}
	if err == nil {
		cancel()
	}
	beside.Wait() // it works on d
	if err != nil && computed != nil && ctx.Err() == nil {
		copy(p, computed)
		if wantsHeal(err) {
			c.requestHeal(d.layout, stripeRef{ref.ID, int(seg.K) + int(seg.M), int(seg.K)})
		}
		return nil
	}
	return err
}

// hedge gets n bytes of a shard that is late from others. A short range is computed from the same range of k others; else the whole
// chunk is rebuilt, since more of it will be wanted, and d.rebuilt is set.
func (d *download) hedge(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, index, n int, off int64) (computed []byte, ok bool) {
	if size := int(ref.Size); int(seg.K)*n*hedgeShort > size {
		return nil, d.c.pace.mayHedge(size) && d.rebuild(ctx, seg, ref, nil) == nil
	}
	if !d.c.pace.mayHedge(int(seg.K) * n) {
		return nil, false
	}
	c := &columns{d: d, id: ref.ID, profile: erasure.Profile{K: seg.K, M: seg.M}, index: index, at: off}
	computed = make([]byte, n)
	return computed, c.fill(ctx, computed) == nil
}

// readAt reads a shard at one place.
func (c *Client) readAt(ctx context.Context, t peer.Target, id shardstore.ID, p []byte, off int64, mode peer.ReadMode) error {
	n := c.dir.Node(t.Node)
	if n == nil {
		return errUnknownNode(t.Node)
	}
	rctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := n.ReadShard(rctx, t.Drive, id, p, off, mode)
	if err == nil {
		c.health.good(t.Node)
		return nil
	}
	if ctx.Err() == nil && rctx.Err() != nil {
		c.health.slow(t.Node)
		return &api.Error{Kind: api.Unavailable, Op: "client.readAt", Err: errors.Join(rctx.Err(), err)}
	}
	c.noteFailure(t.Node, err)
	return err
}
