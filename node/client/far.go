package client

import (
	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/p2p"
)

// What makes it worth while to read a whole chunk from any k of its shards, side by side, instead of frames
// from where they lie, one after the other: so many parts of the chunk, of which one would come from afar.
const (
	farPartsNear = 8 // where k shards are near, and nothing has to come from afar
	farPartsFar  = 2 // where they are not, and one round trip replaces many
)

// far tells whether a node is a long way off.
func (c *Client) far(id p2p.NodeID) bool { return c.isFar != nil && c.isFar(id) }

// spansSites tells whether n bytes of a chunk from off are to be read as a whole chunk, because enough of
// them would come from afar one by one.
func (d *download) spansSites(seg *chunker.Segment, ref *chunker.ChunkRef, off, n int) bool {
	if d.c.isFar == nil || seg.M == 0 || d.rebuilt != nil && d.rebuiltID == ref.ID {
		return false
	}
	profile := erasure.Profile{K: seg.K, M: seg.M}
	d.find(ref.ID, profile.Width())
	if len(d.targets) < profile.Width() {
		return false
	}
	fs := seg.Framing.Span(off, n, int(ref.Size))
	sealedLen := seg.Framing.SealedLen(int(ref.Size))
	shardSize := profile.ShardSize(sealedLen)
	fromFar, end := 0, fs.SealedOff+fs.SealedLen
	if end == sealedLen {
		end = int(profile.K) * shardSize // the last data shard is filled up, and counts as the others do
	}
	for at := fs.SealedOff; at < end; {
		next := min(end, (at/shardSize+1)*shardSize)
		if d.c.far(d.targets[at/shardSize].Node) {
			fromFar += next - at
		}
		at = next
	}
	if fromFar == 0 {
		return false
	}
	near := 0
	for _, t := range d.targets {
		if !d.c.far(t.Node) && !d.c.health.avoided(t.Node) {
			near++
		}
	}
	if near >= int(profile.K) {
		return fromFar*farPartsNear >= sealedLen
	}
	return fromFar*farPartsFar >= sealedLen
}

// nearFirst orders two sources that are usable: the nearer comes first, also the one whose turn to be tried again this request has.
func (c *Client) nearFirst(a, b source) int {
	return c.nearness(a.at[0].Node) - c.nearness(b.at[0].Node)
}
