package client

import (
	"context"
	"errors"
	"io"
	"sync"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
)

const (
	// spanBytes is how many bytes of whole frames are read, opened and written at a time: so many that what a request to a
	// node costs is little beside them, and so few that they stay in a core's cache on their way.
	spanBytes = 512 << 10
	// spanSealed is how long they are when they are sealed in the shortest frames.
	spanSealed = spanBytes + spanBytes/envelope.FramingMin*envelope.Overhead
)

// span is the memory of one read: sealed bytes and what they open to.
type span struct {
	sealed [spanSealed]byte
	plain  [spanBytes]byte
}

var spans = sync.Pool{New: func() any { return new(span) }}

// download reads chunks. It keeps the last segment's opened key. It is for one goroutine.
type download struct {
	c      *Client
	layout *peer.Layout
	key    *api.CustomerKey // of the object's bytes; nil for none

	seg    *chunker.Segment // whose sealer this is
	sealer *envelope.Sealer
	// rebuilt is the last chunk that had to be rebuilt from parity, sealed.
	rebuilt   *chunker.Buffer
	rebuiltID chunker.ChunkID
	// chunk is the whole chunk that is being read; nil when all is read where it lies.
	chunk *chunkRead
	// targets are where the shards of the chunk targetsID are read, as far as is known.
	targets   []peer.Target
	targetsID chunker.ChunkID
}

func (d *download) close() {
	d.dropChunk()
	d.dropRebuilt()
}

func (d *download) dropRebuilt() {
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
	framing, size := e.Segment.Framing, int(e.Chunk.Size)
	if d.spansSites(e.Segment, e.Chunk, int(e.Off), int(e.Len)) {
		// Where this fails the frames are read where they lie, which tells why.
		_ = d.rebuild(ctx, e.Segment, e.Chunk, nil)
	}
	d.startChunk(ctx, e.Segment, e.Chunk, int(e.Off), int(e.Len))
	for off, end := int(e.Off), int(e.Off+e.Len); off < end; {
		n := min(end, off-off%framing.Size()+spanBytes) - off
		fs := framing.Span(off, n, size)
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
	if seg.Kind == chunker.SegmentData {
		dek = under(dek, d.key)
	}
	d.seg, d.sealer = seg, envelope.NewSealer(dek, seg.Framing)
	return nil
}

// openSpan reads and opens frames of a chunk. A frame that does not open, or a shard that cannot be
// read, makes it rebuild the chunk from what is left, and has the chunk healed.
func (d *download) openSpan(ctx context.Context, sp *span, seg *chunker.Segment, ref *chunker.ChunkRef, fs envelope.FrameSpan) ([]byte, error) {
	if d.rebuilt == nil || d.rebuiltID != ref.ID {
		sealed, err := d.readSealed(ctx, sp, seg, ref, fs)
		if d.rebuilt != nil && d.rebuiltID == ref.ID {
			return d.openRebuilt(sp, ref, fs) // it was faster
		}
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
	return d.openRebuilt(sp, ref, fs)
}

// readSealed gives frames as they are sealed. Where a chunkRead fails, they are read where they lie.
func (d *download) readSealed(ctx context.Context, sp *span, seg *chunker.Segment, ref *chunker.ChunkRef, fs envelope.FrameSpan) ([]byte, error) {
	if d.chunk != nil {
		sealed, err := d.readChunk(ctx, seg, ref, sp.sealed[:], fs.SealedOff, fs.SealedLen)
		if err == nil || ctx.Err() != nil {
			return sealed, err
		}
		d.dropChunk()
		if d.rebuilt != nil && d.rebuiltID == ref.ID {
			return nil, err
		}
		if wantsHeal(err) {
			d.c.requestHeal(d.layout, stripeRef{ref.ID, int(seg.K) + int(seg.M), int(seg.K)})
		}
	}
	sealed := sp.sealed[:fs.SealedLen]
	return sealed, d.read(ctx, seg, ref, sealed, fs.SealedOff)
}

// openRebuilt opens frames of the chunk that was rebuilt.
func (d *download) openRebuilt(sp *span, ref *chunker.ChunkRef, fs envelope.FrameSpan) ([]byte, error) {
	sealed := d.rebuilt.B[fs.SealedOff : fs.SealedOff+fs.SealedLen]
	plain, err := d.sealer.Open(sp.plain[:], sealed, ref.Index, fs.First, int(ref.Size))
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.openRebuilt", Err: err}
	}
	return plain, nil
}

// rebuild reads all shards that are right, rebuilds the sealed chunk from any k of them, and asks
// for the chunk to be healed. cause is why the plain way failed.
func (d *download) rebuild(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, cause error) error {
	d.dropRebuilt()
	profile := erasure.Profile{K: seg.K, M: seg.M}
	sealedLen := seg.Framing.SealedLen(int(ref.Size))
	buf, err := d.c.buffers(ctx, []int{profile.StripeSize(sealedLen)})
	if err != nil {
		return err
	}
	missed, err := d.c.gather(ctx, d.layout, profile, ref.ID, buf[0].B, sealedLen)
	if err != nil {
		buf[0].Release()
		return tooFew("client.rebuild", errors.Join(cause, err))
	}
	d.rebuilt, d.rebuiltID = buf[0], ref.ID
	if missed || wantsHeal(cause) {
		d.c.requestHeal(d.layout, stripeRef{ref.ID, profile.Width(), int(profile.K)})
	}
	return nil
}
