package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// spanFrames is how many frames are read, opened and written at a time.
const spanFrames = 4

// span is the memory of one read: sealed bytes and what they open to.
type span struct {
	sealed [spanFrames * (envelope.FrameSize + envelope.Overhead)]byte
	plain  [spanFrames * envelope.FrameSize]byte
}

var spans = sync.Pool{New: func() any { return new(span) }}

// download reads chunks. It keeps the last segment's opened key. It is for one goroutine.
type download struct {
	c      *Client
	layout *peer.Layout

	seg    *chunker.Segment // whose sealer this is
	sealer *envelope.Sealer
	// rebuilt is the last chunk that had to be rebuilt from parity, sealed.
	rebuilt   *chunker.Buffer
	rebuiltID chunker.ChunkID
	targets   []peer.Target
}

func (d *download) close() {
	if d.rebuilt != nil {
		d.rebuilt.Release()
		d.rebuilt = nil
	}
}

// writeRange writes n object bytes from off to w.
func (d *download) writeRange(ctx context.Context, m *chunker.Manifest, w io.Writer, off, n int64) error {
	sp := spans.Get().(*span)
	defer spans.Put(sp)
	return chunker.Walk(ctx, m, off, n, d.fetchNode, func(e chunker.Extent) error {
		return d.writeExtent(ctx, sp, w, e)
	})
}

// fetchNode opens the chunks of a manifest node.
func (d *download) fetchNode(ctx context.Context, seg *chunker.Segment) (*chunker.Manifest, error) {
	var text []byte
	for i := range seg.Chunks {
		ref := &seg.Chunks[i]
		plain, err := d.whole(ctx, seg, ref)
		if err != nil {
			return nil, err
		}
		text = append(text, plain...)
	}
	m, err := chunker.ParseManifest(text)
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.fetchNode", Err: err}
	}
	return m, nil
}

// whole gives the plaintext of one chunk.
func (d *download) whole(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef) ([]byte, error) {
	var out writeBuffer
	sp := spans.Get().(*span)
	defer spans.Put(sp)
	e := chunker.Extent{Segment: seg, Chunk: ref, Len: int64(ref.Size)}
	err := d.writeExtent(ctx, sp, &out, e)
	return out, err
}

// writeExtent writes a run of one chunk's bytes, some frames at a time.
func (d *download) writeExtent(ctx context.Context, sp *span, w io.Writer, e chunker.Extent) error {
	if err := d.open(ctx, e.Segment); err != nil {
		return err
	}
	size := int(e.Chunk.Size)
	for off, end := int(e.Off), int(e.Off+e.Len); off < end; {
		first := off / envelope.FrameSize
		n := min(end, (first+spanFrames)*envelope.FrameSize) - off
		fs := envelope.FrameRange(off, n, size)
		plain, err := d.openSpan(ctx, sp, e.Segment, e.Chunk, fs)
		if err != nil {
			return err
		}
		if _, err := w.Write(plain[fs.Skip : fs.Skip+n]); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// open unwraps the segment's data key.
func (d *download) open(ctx context.Context, seg *chunker.Segment) error {
	if d.seg == seg {
		return nil
	}
	dek, err := d.c.unwrap(ctx, seg.WrappedDEK, d.layout.Cluster[:])
	if err != nil {
		return &api.Error{Kind: api.Corrupt, Op: "client.open", Err: err}
	}
	d.seg, d.sealer = seg, envelope.NewSealer(dek)
	return nil
}

// openSpan reads and opens frames of a chunk. A frame that does not open, or a shard that cannot be
// read, makes it rebuild the chunk from what is left, and has the chunk healed.
func (d *download) openSpan(ctx context.Context, sp *span, seg *chunker.Segment, ref *chunker.ChunkRef, fs envelope.FrameSpan) ([]byte, error) {
	if d.rebuilt == nil || d.rebuiltID != ref.ID {
		sealed := sp.sealed[:fs.SealedLen]
		err := d.read(ctx, seg, ref, sealed, fs.SealedOff)
		if err == nil {
			var plain []byte
			if plain, err = d.sealer.Open(sp.plain[:], sealed, ref.Index, fs.First, int(ref.Size)); err == nil {
				return plain, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := d.rebuild(ctx, seg, ref, err); err != nil {
			return nil, err
		}
	}
	sealed := d.rebuilt.B[fs.SealedOff : fs.SealedOff+fs.SealedLen]
	plain, err := d.sealer.Open(sp.plain[:], sealed, ref.Index, fs.First, int(ref.Size))
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.openSpan", Err: err}
	}
	return plain, nil
}

// read fills p with sealed bytes of a chunk from off, as they lie on the data shards.
func (d *download) read(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, p []byte, off int) error {
	profile := erasure.Profile{K: seg.K, M: seg.M}
	shardSize := profile.ShardSize(envelope.SealedLen(int(ref.Size)))
	d.targets = d.layout.Targets(d.targets[:0], ref.ID)
	for len(p) > 0 {
		index, at := off/shardSize, off%shardSize
		n := min(len(p), shardSize-at)
		if err := d.c.readShard(ctx, d.targets, shardstore.ID{Chunk: ref.ID, Index: uint8(index)}, p[:n], int64(at), false); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

func (c *Client) readShard(ctx context.Context, targets []peer.Target, id shardstore.ID, p []byte, off int64, verified bool) error {
	if int(id.Index) >= len(targets) {
		return &api.Error{Kind: api.Corrupt, Op: "client.readShard", Err: fmt.Errorf("shard %v has no place in the layout", id)}
	}
	t := targets[id.Index]
	n := c.dir.Node(t.Node)
	if n == nil {
		return &api.Error{Kind: api.Unavailable, Op: "client.readShard", Err: fmt.Errorf("node %s is not known", t.Node)}
	}
	return n.ReadShard(ctx, t.Drive, id, p, off, verified)
}

// rebuild reads all shards that are right, rebuilds the sealed chunk from any k of them, and asks
// for the chunk to be healed. cause is why the plain way failed.
func (d *download) rebuild(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, cause error) error {
	d.close()
	profile := erasure.Profile{K: seg.K, M: seg.M}
	sealedLen := envelope.SealedLen(int(ref.Size))
	buf, err := d.c.buffers(ctx, []int{profile.StripeSize(sealedLen)})
	if err != nil {
		return err
	}
	if err := d.gather(ctx, profile, ref, buf[0].B, sealedLen); err != nil {
		buf[0].Release()
		return tooFew("client.rebuild", errors.Join(cause, err))
	}
	d.rebuilt, d.rebuiltID = buf[0], ref.ID
	d.c.requestHeal(ref.ID)
	return nil
}

// tooFew tells shards that are lost from those that may come back.
func tooFew(op string, err error) error {
	if slices.ContainsFunc(flat(err), func(e error) bool { return api.KindOf(e) == api.Unavailable }) {
		return &api.Error{Kind: api.Unavailable, Op: op, Detail: "Too few drives answer at the moment.", Err: err}
	}
	return &api.Error{Kind: api.Corrupt, Op: op, Detail: "Too few shards of the object are left.", Err: err}
}

// flat lists the errors that errors.Join put together.
func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flat(e)...)
	}
	return out
}

// gather fills stripe with the data shards of a chunk.
func (d *download) gather(ctx context.Context, profile erasure.Profile, ref *chunker.ChunkRef, mem []byte, sealedLen int) error {
	coder, err := erasure.New(profile)
	if err != nil {
		return err
	}
	shards := coder.Cut(nil, mem[:profile.StripeSize(sealedLen)], sealedLen)
	d.targets = d.layout.Targets(d.targets[:0], ref.ID)
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i := range shards {
		wg.Go(func() {
			errs[i] = d.c.readShard(ctx, d.targets, shardstore.ID{Chunk: ref.ID, Index: uint8(i)}, shards[i], 0, true)
		})
	}
	wg.Wait()
	for i := range shards {
		if errs[i] != nil {
			shards[i] = shards[i][:0] // rebuilt where it lies
		}
	}
	if err := coder.ReconstructData(shards); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return nil
}
