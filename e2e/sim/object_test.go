package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// manifest is the list of chunks of a version, or of a part of an upload. The state machine does not look into it.
type manifest struct {
	content uint64
	pieces  []piece
}

// piece is a chunk with how it is coded, and the stream that its shards belong to.
type piece struct {
	chunk   chunker.ChunkID
	profile erasure.Profile
	stream  uint64
}

const pieceLen = 32 + 2 + 8

func (m *manifest) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, m.content)
	for _, c := range m.pieces {
		b = append(append(b, c.chunk[:]...), c.profile.K, c.profile.M)
		b = binary.BigEndian.AppendUint64(b, c.stream)
	}
	return b
}

func decodeManifest(b []byte) *manifest {
	if len(b) < 8 || (len(b)-8)%pieceLen != 0 {
		return nil
	}
	m := &manifest{content: binary.BigEndian.Uint64(b)}
	for b = b[8:]; len(b) > 0; b = b[pieceLen:] {
		m.pieces = append(m.pieces, piece{chunker.ChunkID(b), erasure.Profile{K: b[32], M: b[33]}, binary.BigEndian.Uint64(b[34:])})
	}
	return m
}

// under gives the same chunks as those of one stream.
func (m *manifest) under(stream uint64) *manifest {
	out := &manifest{content: m.content, pieces: slices.Clone(m.pieces)}
	for i := range out.pieces {
		out.pieces[i].stream = stream
	}
	return out
}

// wrong says that some chunk keeps less safe than those of a layout, or has no places in it.
func (m *manifest) wrong(l *peer.Layout) bool {
	return slices.ContainsFunc(m.pieces, func(c piece) bool { return c.profile.M < l.Profile.M || l.TableFor(c.profile.Width()) == nil })
}

// bucket is a bucket and its group.
type bucket struct {
	id    uint64
	group consensus.GroupID
}

func (b bucket) owner(version []byte, stream uint64) shardstore.Owner {
	return shardstore.Owner{Group: uint32(b.group), Bucket: b.id, Version: [16]byte(version), Stream: stream}
}

// errShards says that too few drives took a chunk, or have it.
var errShards = errors.New("too few shards")

// store writes a content as chunks of an owner: node/client's upload. The manifest names what may have been written also after an error.
func (p *proc) store(l *peer.Layout, content uint64, chunks int, o shardstore.Owner) (*manifest, error) {
	m := &manifest{content: content}
	for range chunks {
		c := chunker.ChunkID(p.w.bytes(32))
		m.pieces = append(m.pieces, piece{c, l.Profile, o.Stream})
		if err := p.storeChunk(l, c, content, o); err != nil {
			return m, err
		}
	}
	return m, nil
}

// storeChunk puts each shard on its target or, if that does not take it, on another drive. One shard more than are needed to read is enough.
func (p *proc) storeChunk(l *peer.Layout, c chunker.ChunkID, content uint64, o shardstore.Owner) error {
	width := l.Profile.Width()
	targets := l.Targets(nil, c, width)
	hands := l.Handoffs(nil, c, width)
	good := 0
	var puts []func(*proc)
	for i, t := range targets {
		puts = append(puts, func(p *proc) {
			for {
				_, err := p.call(consensus.NodeID(t.Node), attemptTime, func(p *proc, n *node) (any, error) {
					return nil, n.putShard(p, t.Drive, shardID(c, i), shard{k: l.Profile.K, m: l.Profile.M, content: content}, o)
				})
				if err == nil {
					good++
					return
				}
				if len(hands) == 0 {
					return
				}
				t, hands = hands[0], hands[1:]
			}
		})
	}
	p.all(puts)
	want := int(l.Profile.K) + min(int(l.Profile.M), 1)
	if p.w.mutant == commitUnchecked {
		want = 0
	}
	if good < want {
		return errShards
	}
	if good < width {
		p.later(func(p *proc) { p.n.heal(p, c, width) })
	}
	return nil
}

// abandon makes sure that what was written never lives, and drops it.
func (p *proc) abandon(l *peer.Layout, m *manifest, o shardstore.Owner) {
	if m == nil || len(m.pieces) == 0 {
		return
	}
	states, err := p.condemn(consensus.GroupID(o.Group), []shardstore.Owner{o})
	if err != nil || states[0] != meta.OwnerState_OWNER_DEAD {
		return
	}
	_ = p.dropOwner(l, m, o)
}

// eachHome calls f for each drive where shards of a stream's chunks belong, or belonged in earlier epochs, unless its node is dead.
func (p *proc) eachHome(l *peer.Layout, m *manifest, stream uint64, f func(p *proc, n *node, d peer.DriveID, ids []shardstore.ID) error) error {
	byDrive := map[peer.Target][]shardstore.ID{}
	var order []peer.Target
	for _, c := range m.pieces {
		for i := range c.profile.Width() {
			for _, t := range l.Homes(c.chunk, c.profile.Width(), i) {
				if c.stream != stream {
					continue
				}
				if byDrive[t] == nil {
					order = append(order, t)
				}
				byDrive[t] = append(byDrive[t], shardID(c.chunk, i))
			}
		}
	}
	var first error
	for _, t := range order {
		if p.n.deadTo(consensus.NodeID(t.Node)) {
			continue
		}
		_, err := p.call(consensus.NodeID(t.Node), routeBudget, func(p *proc, n *node) (any, error) { return nil, f(p, n, t.Drive, byDrive[t]) })
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// dropOwner takes an owner off the shards of chunks, that of each stream off those of the stream.
func (p *proc) dropOwner(l *peer.Layout, m *manifest, o shardstore.Owner) error {
	done := map[uint64]bool{}
	for _, c := range m.pieces {
		if done[c.stream] {
			continue
		}
		done[c.stream], o.Stream = true, c.stream
		err := p.eachHome(l, m, c.stream, func(p *proc, n *node, d peer.DriveID, ids []shardstore.ID) error { return n.dropOwner(p, d, ids, o) })
		if err != nil {
			return err
		}
	}
	return nil
}

// located is where the shards of a chunk are, by index.
type located map[int][]peer.Target

// locate asks all places of a chunk what they have. away tells that some did not answer.
func (p *proc) locate(l *peer.Layout, c chunker.ChunkID, width int) (at located, infos []sight, away bool) {
	at = located{}
	var order []peer.Target
	for i := range width {
		for _, t := range l.Places(nil, c, width, i) {
			if !contains(order, t) {
				order = append(order, t)
			}
		}
	}
	answers := make([][]info, len(order))
	var asks []func(*proc)
	for k, t := range order {
		asks = append(asks, func(p *proc) {
			v, err := p.call(consensus.NodeID(t.Node), attemptTime, func(_ *proc, n *node) (any, error) { return n.whatOf(t.Drive, c, width) })
			if err != nil {
				away = true
				return
			}
			answers[k] = v.([]info)
		})
	}
	p.all(asks)
	for k, t := range order {
		for _, in := range answers[k] {
			infos = append(infos, sight{t, in})
			if !in.corrupt {
				at[int(in.id.Index)] = append(at[int(in.id.Index)], t)
			}
		}
	}
	return at, infos, away
}

// sight is what a place said of a shard.
type sight struct {
	at peer.Target
	info
}

func contains(list []peer.Target, t peer.Target) bool {
	for _, o := range list {
		if o == t {
			return true
		}
	}
	return false
}

// whatOf lists what a drive has of a chunk.
func (n *node) whatOf(at peer.DriveID, c chunker.ChunkID, width int) ([]info, error) {
	d := n.drive(at)
	if d == nil {
		return nil, errAway
	}
	out := []info{}
	for i := range width {
		if in, err := d.stat(shardID(c, i)); err == nil {
			out = append(out, in)
		}
	}
	return out, nil
}

// readChunk reads k shards of a chunk. The error is errShards when all places answered and too few have one, and errSilent when some did
// not answer.
func (p *proc) readChunk(l *peer.Layout, want uint64, piece piece) (uint64, error) {
	c, profile := piece.chunk, piece.profile
	at, _, away := p.locate(l, c, profile.Width())
	good := 0
	var content uint64
	var reads []func(*proc)
	for i := range profile.Width() {
		if len(at[i]) == 0 {
			continue
		}
		reads = append(reads, func(p *proc) {
			for _, t := range at[i] {
				v, err := p.call(consensus.NodeID(t.Node), attemptTime, func(p *proc, n *node) (any, error) {
					d := n.drive(t.Drive)
					if d == nil {
						return nil, errAway
					}
					return d.read(p, shardID(c, i))
				})
				if err == nil {
					good, content = good+1, v.(uint64)
					if content != want {
						p.w.failf("shard %d of chunk %v holds content %d, its manifest says %d", i, c, content, want)
					}
					return
				}
				if !errors.Is(err, shardstore.ErrNotFound) && !errors.Is(err, shardstore.ErrCorrupt) {
					away = true
				}
			}
		})
	}
	p.all(reads)
	switch {
	case good >= int(profile.K):
		return content, nil
	case away:
		return 0, errSilent
	}
	return 0, errShards
}

func etagOf(content uint64) []byte { return fmt.Appendf(nil, "v%d", content) }
