package client

import (
	"context"
	"errors"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
)

// Stripe is one chunk that a manifest names, with how it is coded.
type Stripe struct {
	ID     chunker.ChunkID
	K, M   uint8
	Sealed int // bytes of the chunk
}

// Stripes calls f for all chunks that a manifest of a group names, those of its tree's nodes included,
// until f says false. A node of the tree that cannot be read is passed over, as is what lies below it;
// the error tells of it in the end. Its own chunks were told of before.
func (c *Client) Stripes(ctx context.Context, g consensus.GroupID, manifest []byte, f func(Stripe) bool) error {
	m, err := chunker.ParseManifest(manifest)
	if err != nil {
		return &api.Error{Kind: api.Corrupt, Op: "client.Stripes", Err: err}
	}
	w := stripeWalk{f: f, fetch: func(ctx context.Context, seg *chunker.Segment) (*chunker.Manifest, error) {
		l, err := c.layoutFor(ctx, g)
		if err != nil {
			return nil, err
		}
		d := &download{c: c, layout: l}
		defer d.close()
		return d.fetchNode(ctx, seg)
	}}
	w.walk(ctx, m, 1)
	return errors.Join(w.errs...)
}

// stripeWalk goes through a manifest's tree.
type stripeWalk struct {
	f     func(Stripe) bool
	fetch chunker.FetchNode
	errs  []error
}

// walk tells whether to go on.
func (w *stripeWalk) walk(ctx context.Context, m *chunker.Manifest, depth int) bool {
	for i := range m.Segments {
		seg := &m.Segments[i]
		for j := range seg.Chunks {
			ref := &seg.Chunks[j]
			if !w.f(Stripe{ID: ref.ID, K: seg.K, M: seg.M, Sealed: seg.Framing.SealedLen(int(ref.Size))}) {
				return false
			}
		}
		if seg.Kind != chunker.SegmentNode || depth >= chunker.DepthMax {
			continue
		}
		child, err := w.fetch(ctx, seg)
		if err != nil {
			if w.errs = append(w.errs, err); ctx.Err() != nil {
				return false
			}
			continue
		}
		if !w.walk(ctx, child, depth+1) {
			return false
		}
	}
	return true
}
