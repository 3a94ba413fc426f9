package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// chunkRead reads a whole chunk from its k nearest shards, parity among them: data shards that are farther are computed,
// column by column, from what is nearer. Long shards of other nodes come side by side, ahead of the
// reader; what lies here is read when the reader gets to it, so that it is still in the processor's cache then.
type chunkRead struct {
	id        chunker.ChunkID
	coder     *erasure.Coder
	k         int
	shardSize int
	replaced  []int           // data shards that are computed
	parity    []int           // what is read instead
	buf       *chunker.Buffer // the data shards, and behind them the parity that comes from other nodes
	mem       [][]byte        // of each shard that is kept, in buf; nil for what is not read, and for parity of this node
	ahead     []bool          // shards that come from other nodes, and are read ahead
	have      []int           // bytes from the start of each shard that are there, and were not read ahead
	shards    [][]byte
	required  []bool

	cancel  context.CancelFunc
	fetches sync.WaitGroup
	came    chan struct{} // holds a token when mu's fields may have changed

	mu      sync.Mutex
	fetched []int // bytes from the start of each shard that were read ahead
	failed  []error
	hedge   context.CancelFunc // ends what is done because shard hurry is late; nil when nothing is
	hurry   int
	want    int // bytes of it that are waited for
}

// startChunk prepares to read n bytes of a chunk from off by a chunkRead, if that is worth while: if they are the
// whole chunk, so that every shard that is read is wanted anyway, and something has to come from elsewhere. It
// does not wait for memory: without it all is read where it lies, one after the other.
func (d *download) startChunk(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, off, n int) {
	d.dropChunk()
	if seg.M == 0 || off != 0 || n != int(ref.Size) || d.rebuilt != nil && d.rebuiltID == ref.ID {
		return
	}
	profile := erasure.Profile{K: seg.K, M: seg.M}
	width := profile.Width()
	d.find(ref.ID, width)
	if len(d.targets) < width {
		return
	}
	distances := make([]int, width)
	for i := range distances {
		distances[i] = d.c.distance(d.targets[i].Node)
	}
	r := &chunkRead{id: ref.ID, k: int(seg.K), shardSize: profile.ShardSize(seg.Framing.SealedLen(int(ref.Size)))}
	r.replaced, r.parity = nearest(distances, r.k)
	var err error
	if r.coder, err = erasure.New(profile); err != nil || !r.plan(distances) {
		return
	}
	kept := r.k // shards that memory is needed for
	for _, i := range r.parity {
		if r.ahead[i] {
			kept++
		}
	}
	if r.buf = d.c.pool.TryGet(kept * r.shardSize); r.buf == nil {
		return
	}
	r.divide()
	d.chunk = r
	r.start(ctx, d)
}

// plan says what is read and from where, and tells whether that is better than to read all where it lies. A short shard is not
// read ahead: one request has it all, and it is opened by the goroutine that received it, on the same core.
func (r *chunkRead) plan(distances []int) (worth bool) {
	width := len(distances)
	r.ahead, r.required = make([]bool, width), make([]bool, width)
	r.have, r.fetched, r.failed = make([]int, width), make([]int, width), make([]error, width)
	r.shards, r.mem = make([][]byte, width), make([][]byte, width)
	r.came = make(chan struct{}, 1)
	for _, i := range r.replaced {
		r.required[i] = true
	}
	worth = len(r.parity) > 0
	for i := range width {
		read := i < r.k && !r.required[i] || slices.Contains(r.parity, i)
		switch {
		case !read || distances[i] == distanceHere:
		case distances[i] == distanceAway:
			return false
		case r.shardSize > fetchFirst:
			r.ahead[i], worth = true, true
		}
	}
	return worth
}

// divide gives each shard that is kept its memory.
func (r *chunkRead) divide() {
	rest := r.buf.B
	for i := range r.mem {
		if i < r.k || r.ahead[i] {
			r.mem[i], rest = rest[:r.shardSize:r.shardSize], rest[r.shardSize:]
		}
	}
}

// start begins to read ahead.
func (r *chunkRead) start(ctx context.Context, d *download) {
	ctx, r.cancel = context.WithCancel(ctx)
	for i, ahead := range r.ahead {
		if ahead {
			t := d.targets[i]
			r.fetches.Go(func() { r.fetch(ctx, d.c, t, i) })
		}
	}
}

// Of a shard that is read ahead as much is asked for first as is opened at a time, so that the reader can begin, and
// then more: a request costs both nodes the same, whatever it is for.
const (
	fetchFirst = spanBytes + spanBytes/int(envelope.Fine)*envelope.Overhead
	fetchMax   = 2 * fetchFirst
)

// fetch reads a shard of another node.
func (r *chunkRead) fetch(ctx context.Context, c *Client, t peer.Target, index int) {
	for at, size := 0, fetchFirst; at < r.shardSize; size = fetchMax {
		n := min(size, r.shardSize-at)
		began := time.Now()
		err := c.readAt(ctx, t, shardstore.ID{Chunk: r.id, Index: uint8(index)}, r.mem[index][at:at+n], int64(at), peer.AsStored)
		if err == nil {
			at += n
			c.pace.took(time.Since(began), n)
		}
		r.tell(index, at, err)
		if err != nil {
			return
		}
	}
}

// tell notes how far a shard has come.
func (r *chunkRead) tell(index, fetched int, err error) {
	r.mu.Lock()
	r.fetched[index], r.failed[index] = fetched, err
	if r.hedge != nil && r.hurry == index && (fetched >= r.want || err != nil) {
		r.hedge()
	}
	r.mu.Unlock()
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// close ends what is under way, and gives the memory back.
func (r *chunkRead) close() {
	r.cancel()
	r.fetches.Wait()
	r.buf.Release()
}

func (d *download) dropChunk() {
	if d.chunk != nil {
		d.chunk.close()
		d.chunk = nil
	}
}

// readChunk gives n sealed bytes of the chunk from off. scratch is for what is read of parity. d.rebuilt
// is set instead if a shard was late and rebuilding the chunk was faster.
func (d *download) readChunk(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, scratch []byte, off, n int) ([]byte, error) {
	r := d.chunk
	for i := off / r.shardSize; i <= (off+n-1)/r.shardSize; i++ {
		if err := d.fillShard(ctx, seg, ref, scratch, i, min(off+n-i*r.shardSize, r.shardSize)); err != nil {
			return nil, err
		}
	}
	return r.buf.B[off : off+n], nil
}

// fillShard sees to it that the first n bytes of a shard are there that is kept.
func (d *download) fillShard(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, scratch []byte, index, n int) error {
	r := d.chunk
	switch {
	case r.required[index]:
		return d.computeShards(ctx, seg, ref, scratch, n)
	case r.ahead[index]:
		return d.awaitShard(ctx, seg, ref, index, n)
	case r.have[index] >= n:
		return nil
	}
	if err := d.readShard(ctx, seg, ref, shardstore.ID{Chunk: ref.ID, Index: uint8(index)}, r.mem[index][r.have[index]:n], int64(r.have[index])); err != nil {
		return err
	}
	r.have[index] = n
	return nil
}

// errLate says that a chunk was rebuilt before one of its shards had come.
var errLate error = &api.Error{Kind: api.Unavailable, Op: "client.readChunk", Detail: "A shard is late."}

// awaitShard waits until the first n bytes of a shard have come that is read ahead. When they take longer than nearly all reads,
// the chunk is rebuilt meanwhile, as in readHedged.
func (d *download) awaitShard(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, index, n int) error {
	r := d.chunk
	var late <-chan time.Time
	for {
		r.mu.Lock()
		fetched, err := r.fetched[index], r.failed[index]
		r.mu.Unlock()
		if fetched >= n || err != nil {
			return err
		}
		if late == nil {
			timer := time.NewTimer(d.c.pace.late())
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-r.came:
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			late = make(chan time.Time) // once
			if d.c.pace.mayHedge(int(ref.Size)) && d.hedgeShard(ctx, seg, ref, index, n) {
				d.c.health.late(d.targets[index].Node)
				return errLate
			}
		}
	}
}

// hedgeShard rebuilds the chunk unless the first n bytes of a shard come before.
func (d *download) hedgeShard(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, index, n int) bool {
	r := d.chunk
	hctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	if r.fetched[index] >= n || r.failed[index] != nil {
		r.mu.Unlock()
		return false
	}
	r.hedge, r.hurry, r.want = cancel, index, n
	r.mu.Unlock()
	err := d.rebuild(hctx, seg, ref, nil)
	r.mu.Lock()
	r.hedge = nil
	r.mu.Unlock()
	return err == nil
}

// computeShards sees to it that the first n bytes of the data shards are there that are not read: as much
// of the others, and of parity, is read as is still needed for that.
func (d *download) computeShards(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, scratch []byte, n int) error {
	r := d.chunk
	for at := r.have[r.replaced[0]]; at < n; at = r.have[r.replaced[0]] {
		end := min(n, at+len(scratch)/len(r.parity))
		for i := range r.k {
			if r.required[i] {
				r.shards[i] = r.mem[i][at:at:end]
				continue
			}
			if err := d.fillShard(ctx, seg, ref, scratch, i, end); err != nil {
				return err
			}
			r.shards[i] = r.mem[i][at:end]
		}
		if err := d.readParity(ctx, seg, ref, scratch, at, end); err != nil {
			return err
		}
		if err := r.coder.Reconstruct(r.shards, r.required); err != nil {
			return err
		}
		for _, i := range r.replaced {
			r.have[i] = end
		}
	}
	return nil
}

// readParity gets these columns of the parity: what other nodes send is kept, and what lies here is read into scratch.
func (d *download) readParity(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, scratch []byte, at, end int) error {
	r := d.chunk
	for _, i := range r.parity {
		if r.ahead[i] {
			if err := d.awaitShard(ctx, seg, ref, i, end); err != nil {
				return err
			}
			r.shards[i] = r.mem[i][at:end]
			continue
		}
		r.shards[i], scratch = scratch[:end-at], scratch[end-at:]
		if err := d.readShard(ctx, seg, ref, shardstore.ID{Chunk: ref.ID, Index: uint8(i)}, r.shards[i], int64(at)); err != nil {
			return err
		}
	}
	return nil
}
