package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/rand/v2"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// copyAttempts is how often a source that changes while it is copied is looked up.
const copyAttempts = 8

// Copy implements api.Objects. A source that was replaced before its copy was committed is looked up
// again: what is there then is copied, or it is not there any more, which is the answer.
func (c *Client) Copy(ctx context.Context, req *api.CopyObject) (api.Written, error) {
	for attempt := 1; ; attempt++ {
		w, err := c.copyOnce(ctx, req)
		if err == nil || api.KindOf(err) != api.ConditionalConflict || attempt == copyAttempts {
			return w, err
		}
	}
}

// copyOnce copies what the source is now, and gives ConditionalConflict when it is not that any more
// at the commit. The source stays pinned until then, so its shards cannot be dropped before the copy
// owns them.
func (c *Client) copyOnce(ctx context.Context, req *api.CopyObject) (api.Written, error) {
	src, err := c.open(ctx, &req.Source)
	if err != nil {
		return api.Written{}, err
	}
	defer src.Close()
	if req.Check != nil {
		if err := req.Check(src.info); err != nil {
			return api.Written{}, err
		}
	}
	if src.info.Size > api.MaxPutSize {
		return api.Written{}, &api.Error{Kind: api.EntityTooLarge, Op: "client.Copy", Detail: "The source is larger than the maximum allowable size for a copy source: 5368709120"}
	}
	put, err := c.copyHead(ctx, req, src)
	if err != nil {
		return api.Written{}, err
	}
	var w api.Written
	err = c.inBucket(ctx, req.Bucket, func(b bucketRef) (err error) {
		w, err = c.copyTo(ctx, b, src, put, req.Class, req.CustomerKey)
		return err
	})
	return w, err
}

// copyHead describes the copy: the source's metadata and checksum unless others are asked for.
func (c *Client) copyHead(ctx context.Context, req *api.CopyObject, src *object) (*meta.PutVersion, error) {
	md, sum := &src.info.Metadata, src.info.Checksum
	if req.Replace != nil {
		md = req.Replace
	}
	want := req.Store
	if sum.Type == api.Composite && want == 0 {
		want = sum.Algorithm // the copy is one whole object, so its checksum is of all bytes
	}
	same := sameKey(req.CustomerKey, src.key)
	put := &meta.PutVersion{
		Key: []byte(req.Key), Size: uint64(src.info.Size), Etag: []byte(src.info.ETag), Metadata: metadataOf(*md, req.CustomerKey),
		IfNoneMatch: req.If.IfNoneMatch, IfMatch: []byte(req.If.IfMatch), Lock: lockMessage(&req.Lock), Tags: src.f.answer.GetHead().GetTags(), Acl: req.ACL,
		StorageClass: uint32(req.Class),
	}
	if req.ReplaceTags {
		put.Tags = meta.AppendTags(nil, req.Tags)
	}
	if want != 0 && (want != sum.Algorithm || sum.Type != api.FullObject) {
		sums, err := c.digest(ctx, src, want|checksum.MD5)
		if err != nil {
			return nil, err
		}
		describe(put, sums, want, req.CustomerKey)
		return put, nil
	}
	if !same {
		sums := new(checksum.Sums)
		var err error
		if req.CustomerKey == nil {
			sums, err = c.digest(ctx, src, checksum.MD5)
		}
		if err != nil {
			return nil, err
		}
		describe(put, sums, 0, req.CustomerKey)
	}
	if sum.Algorithm != 0 {
		put.ChecksumAlgorithm, put.ChecksumType, put.ChecksumValue = uint32(sum.Algorithm), uint32(sum.Type), []byte(sum.Value)
	}
	return put, nil
}

// digest reads an object whole.
func (c *Client) digest(ctx context.Context, src *object, set checksum.Set) (*checksum.Sums, error) {
	s := checksum.New(set)
	defer s.Close()
	if err := src.WriteRange(ctx, s, 0, src.info.Size); err != nil {
		return nil, err
	}
	sums := s.Sums()
	return &sums, nil
}

// copyTo makes the copy's version in a bucket. Its bytes are sealed anew under another key than the source's, and where the
// source's chunks will not do.
func (c *Client) copyTo(ctx context.Context, b bucketRef, src *object, put *meta.PutVersion, class api.StorageClass, key *api.CustomerKey) (api.Written, error) {
	v := newVersionID()
	put.Version = v[:]
	if b.group == src.group() {
		h := src.f.answer.GetHead()
		put.Source = &meta.Source{Bucket: src.f.b.id, Key: []byte(src.info.Key), Version: h.GetVersion()}
	}
	same := sameKey(key, src.key)
	if src.manifest == nil {
		put.Inline, put.WrappedDek = src.f.answer.GetInline(), src.f.answer.GetWrappedDek()
		if !same {
			if err := c.sealAgain(ctx, src, put, key); err != nil {
				return api.Written{}, err
			}
		}
		return c.commit(ctx, b, put)
	}
	l, err := c.layoutOf(ctx, b.group, class)
	if err != nil {
		return api.Written{}, err
	}
	if !src.shares(l, class) || !same {
		return c.copyBytes(ctx, l, b, src, put, key)
	}
	owner := shardstore.Owner{Group: uint32(b.group), Bucket: b.id, Version: v}
	own, err := c.adopt(ctx, src.layout.As(class), src.manifest, 0, src.info.Size, owner)
	if err == nil {
		put.Manifest, put.Streams = own.manifest, own.streams
		var w api.Written
		if w, err = c.commit(ctx, b, put); err == nil {
			return w, nil
		}
	}
	own.abandon(c, src.layout)
	return api.Written{}, err
}

// sealAgain seals inline content for a copy under another key.
func (c *Client) sealAgain(ctx context.Context, src *object, put *meta.PutVersion, key *api.CustomerKey) error {
	var plain writeBuffer
	if err := src.WriteRange(ctx, &plain, 0, src.info.Size); err != nil {
		return err
	}
	return c.sealInline(ctx, src.layout, put, plain, key)
}

// adopted is a manifest whose chunks have gained an owner.
type adopted struct {
	owner    shardstore.Owner
	manifest []byte
	streams  []uint64 // used beside owner.Stream: the tree's nodes; with them goes owner.Stream itself
	stripes  []stripeRef
	nodes    []ownedChunks
}

type ownedChunks struct {
	owner   shardstore.Owner
	stripes []stripeRef
}

func (a *adopted) abandon(c *Client, l *peer.Layout) {
	c.abandon(l, a.owner, a.stripes)
	for _, n := range a.nodes {
		c.abandon(l, n.owner, n.stripes)
	}
}

// adopt makes the manifest of n bytes of m from off for a new owner, and adds that owner to every
// shard. The result names what was touched also when an error comes with it.
func (c *Client) adopt(ctx context.Context, l *peer.Layout, m *chunker.Manifest, off, n int64, owner shardstore.Owner) (*adopted, error) {
	a := &adopted{owner: owner}
	flat, err := c.flatten(ctx, l, m, off, n, owner.Stream)
	if err != nil {
		return a, err
	}
	seen := make(map[chunker.ChunkID]bool)
	for i := range flat.Segments {
		for _, s := range stripesOf(nil, &flat.Segments[i]) {
			if !seen[s.id] {
				seen[s.id] = true
				a.stripes = append(a.stripes, s)
			}
		}
	}
	if err := c.addOwner(ctx, l, a.stripes, owner); err != nil {
		return a, err
	}
	a.manifest, a.nodes, err = c.storeManifest(ctx, l, flat, owner)
	a.streams = streamsOf(owner.Stream, a.nodes)
	return a, err
}

// streamsOf lists the streams of an owner's version; none stands for stream 0 alone.
func streamsOf(stream uint64, nodes []ownedChunks) []uint64 {
	if len(nodes) == 0 && stream == 0 {
		return nil
	}
	streams := []uint64{stream}
	for _, n := range nodes {
		streams = append(streams, n.owner.Stream)
	}
	return streams
}

// flatten gives the chunks of a range as one list under one stream number, without tree.
func (c *Client) flatten(ctx context.Context, l *peer.Layout, m *chunker.Manifest, off, n int64, stream uint64) (*chunker.Manifest, error) {
	d := &download{c: c, layout: l}
	defer d.close()
	var segs []chunker.Segment
	var from *chunker.Segment
	err := chunker.Walk(ctx, m, off, n, d.fetchNode, func(e chunker.Extent) error {
		if from != e.Segment {
			from = e.Segment
			segs = append(segs, chunker.Segment{
				Kind: chunker.SegmentData, WrappedDEK: from.WrappedDEK, Stream: stream, K: from.K, M: from.M, Framing: from.Framing,
			})
		}
		ref := *e.Chunk
		ref.Skip, ref.Len = uint32(e.Off), uint32(e.Len)
		s := &segs[len(segs)-1]
		s.Chunks = append(s.Chunks, ref)
		s.Size += e.Len
		return nil
	})
	if err != nil {
		return nil, err
	}
	return chunker.NewManifest(segs...)
}

// storeManifest encodes a manifest for a version record. One that is too long for it is cut into
// nodes that are stored as chunks of the same version, each under a stream of its own.
func (c *Client) storeManifest(ctx context.Context, l *peer.Layout, m *chunker.Manifest, owner shardstore.Owner) ([]byte, []ownedChunks, error) {
	return c.storeTree(ctx, l, m, owner, newStream)
}

// storeTree is storeManifest with streams of the caller's; 0 says that there is none left.
func (c *Client) storeTree(ctx context.Context, l *peer.Layout, m *chunker.Manifest, owner shardstore.Owner, next func() uint64) ([]byte, []ownedChunks, error) {
	text := m.Append(nil)
	var nodes []ownedChunks
	for len(text) > manifestBytes {
		parts, err := chunker.Split(m, manifestNodeMax)
		if err != nil {
			return nil, nodes, err
		}
		segs := make([]chunker.Segment, 0, len(parts))
		for _, p := range parts {
			o := owner
			if o.Stream = next(); o.Stream == 0 {
				return nil, nodes, &api.Error{Kind: api.EntityTooLarge, Op: "client.storeTree"}
			}
			body := p.Append(nil)
			digest := checksum.New(0)
			seg, err := c.store(ctx, l, o, bytes.NewReader(body), int64(len(body)), digest, nil)
			digest.Close()
			nodes = append(nodes, ownedChunks{o, stripesOf(nil, &seg)})
			if err != nil {
				return nil, nodes, err
			}
			seg.Kind, seg.Size = chunker.SegmentNode, p.Size
			segs = append(segs, seg)
		}
		if m, err = chunker.NewManifest(segs...); err != nil {
			return nil, nodes, err
		}
		text = m.Append(nil)
	}
	return text, nodes, nil
}

// newStream draws the number of an upload stream; 0 is kept for whole objects.
func newStream() uint64 {
	for {
		if s := rand.Uint64(); s != 0 {
			return s
		}
	}
}

func etagBytes(text string) ([]byte, bool) {
	b, err := hex.DecodeString(text)
	return b, err == nil && len(b) == 16
}
