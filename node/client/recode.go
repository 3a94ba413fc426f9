package client

import (
	"bytes"
	"context"
	"crypto/sha256"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// recodeStreamsMax is how many streams one announcement names.
const recodeStreamsMax = 256

// Recode puts the content of a version, or of a part of an open upload, into shards of the profile that the layout has for its storage
// class, unless it is in such shards already. No byte is opened: sealed chunks are gathered and coded anew, and what seals them
// stays. done is false when the version or part is gone, or was changed by somebody else meanwhile. It may
// be called again after an error; what was written until then is given back.
func (c *Client) Recode(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) (done bool, err error) {
	l, err := c.layoutOf(ctx, g, v.Class())
	if err != nil {
		return false, err
	}
	m, err := chunker.ParseManifest(v.GetManifest())
	if err != nil || len(v.GetVersion()) != 16 {
		return false, &api.Error{Kind: api.Corrupt, Op: "client.Recode", Err: err}
	}
	r := &recoding{
		c: c, l: l, g: g, v: v, renamed: make(map[chunker.ChunkID]chunker.ChunkID),
		owner: shardstore.Owner{Group: uint32(g), Bucket: v.GetBucket(), Version: [16]byte(v.GetVersion()), Stream: newStream()},
	}
	if r.m, err = r.flatten(ctx, m); err != nil || r.current {
		return err == nil, err
	}
	if v.GetPart() > 0 {
		return r.part(ctx)
	}
	if err := r.announce(ctx); err != nil {
		return false, gone(err)
	}
	if err = r.run(ctx); err == nil {
		return true, nil
	}
	r.abandon()
	return false, gone(err)
}

// gone makes nothing of errors that say that there is nothing left to do.
func gone(err error) error {
	if kind := api.KindOf(err); kind == api.NoSuchVersion || kind == api.NoSuchUpload || kind == api.ConditionalConflict {
		return nil
	}
	return err
}

// recoding is the work on one version or part.
type recoding struct {
	c     *Client
	l     *peer.Layout
	g     consensus.GroupID
	v     *meta.VersionManifest
	owner shardstore.Owner // of the new chunks

	m       *chunker.Manifest // the chunks, without a tree
	current bool              // nothing is to be done
	streams []uint64          // announced: that of the chunks first, then those of manifest nodes
	renamed map[chunker.ChunkID]chunker.ChunkID
	stripes []stripeRef // that have gained the owner
	nodes   []ownedChunks
}

// flatten lists the chunks, and finds out whether all are of the layout's profile, the tree's too.
func (r *recoding) flatten(ctx context.Context, m *chunker.Manifest) (*chunker.Manifest, error) {
	flat, err := r.c.flatten(ctx, r.l, m, 0, m.Size, r.owner.Stream)
	if err != nil {
		return nil, err
	}
	r.current = r.all(flat) && r.all(m)
	return flat, nil
}

func (r *recoding) all(m *chunker.Manifest) bool {
	for i := range m.Segments {
		if !r.is(&m.Segments[i]) {
			return false
		}
	}
	return true
}

// is tells whether a segment's chunks are of the layout's profile.
func (r *recoding) is(s *chunker.Segment) bool { return s.K == r.l.Profile.K && s.M == r.l.Profile.M }

// announce makes the streams' owner live before it has a shard.
func (r *recoding) announce(ctx context.Context) error {
	r.streams = []uint64{r.owner.Stream}
	if size := len(r.m.Append(nil)); size > manifestBytes {
		nodes := 4 + 2*size/manifestNodeMax
		if nodes >= recodeStreamsMax {
			return &api.Error{Kind: api.EntityTooLarge, Op: "client.Recode"}
		}
		for range nodes {
			r.streams = append(r.streams, newStream())
		}
	}
	return r.propose(ctx, &meta.Recode{Begin: true, Streams: r.streams})
}

func (r *recoding) propose(ctx context.Context, cmd *meta.Recode) error {
	cmd.Version = r.v.GetVersion()
	_, err := r.c.propose(ctx, r.g, "client.Recode", &meta.Command{Op: &meta.Command_Recode{Recode: cmd}})
	return err
}

// part writes the new shards of a part and replaces its manifest. As with a part that is uploaded nothing is announced, and what is
// not used in the end is condemned and dropped. The parts of an upload that has ended since they were listed cost no more than a look.
func (r *recoding) part(ctx context.Context) (done bool, err error) {
	now, err := r.c.ManifestNow(ctx, r.g, r.v)
	if err != nil || now.GetHeld() || !bytes.Equal(now.GetManifest(), r.v.GetManifest()) {
		return false, err
	}
	if err = r.chunks(ctx); err == nil {
		old := sha256.Sum256(r.v.GetManifest())
		_, err = r.c.propose(ctx, r.g, "client.Recode", &meta.Command{Op: &meta.Command_RecodePart{RecodePart: &meta.RecodePart{
			Upload: r.v.GetVersion(), Number: r.v.GetPart(), OldDigest: old[:], Manifest: r.m.Append(nil), Stream: r.owner.Stream,
		}}})
	}
	if err == nil {
		return true, nil
	}
	r.c.abandon(r.l, r.owner, r.stripes)
	return false, gone(err)
}

// run writes the new shards of a version and replaces the manifest.
func (r *recoding) run(ctx context.Context) error {
	if err := r.chunks(ctx); err != nil {
		return err
	}
	unused := r.streams[1:]
	text, nodes, err := r.c.storeTree(ctx, r.l, r.m, r.owner, func() (s uint64) {
		if len(unused) > 0 {
			s, unused = unused[0], unused[1:]
		}
		return s
	})
	r.nodes = nodes
	if err != nil {
		return err
	}
	used := []uint64{r.owner.Stream}
	for _, n := range nodes {
		used = append(used, n.owner.Stream)
	}
	old := sha256.Sum256(r.v.GetManifest())
	return r.propose(ctx, &meta.Recode{OldDigest: old[:], Manifest: text, Streams: used})
}

// chunks writes all new shards.
func (r *recoding) chunks(ctx context.Context) error {
	for i := range r.m.Segments {
		if err := r.segment(ctx, &r.m.Segments[i]); err != nil {
			return err
		}
	}
	return nil
}

// segment recodes the chunks of a segment, or gives them their new owner if they are right already.
func (r *recoding) segment(ctx context.Context, s *chunker.Segment) error {
	if r.is(s) {
		stripes := stripesOf(nil, s)
		r.stripes = append(r.stripes, stripes...)
		return r.c.addOwner(ctx, r.l, stripes, r.owner)
	}
	for i := range s.Chunks {
		ref := &s.Chunks[i]
		id, ok := r.renamed[ref.ID]
		if !ok {
			var err error
			if id, err = r.chunk(ctx, s, ref); err != nil {
				return err
			}
			r.renamed[ref.ID] = id
		}
		ref.ID = id
	}
	s.K, s.M = r.l.Profile.K, r.l.Profile.M
	return nil
}

// chunk gathers a sealed chunk and stores it in other shards, which give it another name.
func (r *recoding) chunk(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef) (chunker.ChunkID, error) {
	sealedLen := seg.Framing.SealedLen(int(ref.Size))
	from, to := erasure.Profile{K: seg.K, M: seg.M}, r.l.Profile
	coder, err := erasure.New(to)
	if err != nil {
		return chunker.ChunkID{}, err
	}
	bufs, err := r.c.buffers(ctx, []int{from.StripeSize(sealedLen), to.StripeSize(sealedLen)})
	if err != nil {
		return chunker.ChunkID{}, err
	}
	defer bufs[0].Release()
	s := &stripe{buf: bufs[1]}
	defer s.release()
	if _, err := r.c.gather(ctx, r.l, from, ref.ID, bufs[0].B, sealedLen); err != nil {
		return chunker.ChunkID{}, tooFew("client.Recode", err)
	}
	copy(s.buf.B, bufs[0].B[:sealedLen])
	id, err := s.code(coder, sealedLen)
	if err != nil {
		return chunker.ChunkID{}, err
	}
	recoded := stripeRef{id, to.Width(), int(to.K)}
	r.stripes = append(r.stripes, recoded)
	short, err := r.c.put(ctx, r.l, s, id, sealedLen, r.owner)
	if err == nil && short {
		r.c.healWritten(r.l, recoded)
	}
	return id, err
}

// EndRecode gives up what was announced for a version and never finished, as by a node that crashed:
// while it stands, shards written under it count as in use.
func (c *Client) EndRecode(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) error {
	return gone((&recoding{c: c, g: g, v: v}).propose(ctx, &meta.Recode{Begin: true}))
}

// abandon gives back what was written. Should the new manifest be in place after all, nothing is dropped.
func (r *recoding) abandon() {
	r.c.later(func(ctx context.Context) error {
		states, err := r.c.OwnerStates(ctx, r.g, []*meta.StreamOwner{{Version: r.v.GetVersion(), Stream: r.owner.Stream}})
		if err != nil {
			return err
		}
		if states[0] == meta.OwnerState_OWNER_LIVE {
			if err := r.c.EndRecode(ctx, r.g, r.v); err != nil {
				return err
			}
		}
		r.c.abandon(r.l, r.owner, r.stripes)
		for _, n := range r.nodes {
			r.c.abandon(r.l, n.owner, n.stripes)
		}
		return nil
	})
}
