package chunker

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"lukechampine.com/blake3/guts"
)

// BLAKE3 is a binary tree over pieces of 1 KiB. The functions here walk that tree on the caller's
// goroutine: a request that hashes four shards should not fan out into a thousand goroutines, as
// hashing a chunk with the library's front end would.

const (
	// HashGroupSize is the number of payload bytes under one leaf of an outboard: the grain at which
	// a range of a shard can be verified.
	HashGroupSize = 64 << 10

	hashSize     = 32
	simdSize     = guts.MaxSIMD * guts.ChunkSize // bytes that one vectorised call compresses
	outboardHead = 8                             // little-endian payload length
)

// OutboardSize returns the length in bytes of the outboard of a payload: 8 bytes of length and two
// hashes of 32 bytes for each inner node above the groups of HashGroupSize.
func OutboardSize(payloadLen int) int {
	groups := (payloadLen + HashGroupSize - 1) / HashGroupSize
	return outboardHead + 2*hashSize*max(groups-1, 0)
}

// HashShard returns the BLAKE3-256 hash of payload. It does not allocate.
func HashShard(payload []byte) ShardHash {
	w := windows.Get().(*window)
	defer windows.Put(w)
	return finish(w.hashTree(payload, 0, nil), guts.FlagRoot)
}

// HashShardOutboard returns the hash of payload and appends to out the outboard of its hash tree,
// with which ranges can be verified later: the Bao outboard format with groups of 64 KiB, that is
// the payload length as 8 bytes little-endian, then the inner nodes in pre-order, each as the two
// hashes of its children. It allocates only when out lacks OutboardSize bytes of capacity.
func HashShardOutboard(payload, out []byte) (outboard []byte, hash ShardHash) {
	start, size := len(out), OutboardSize(len(payload))
	if cap(out)-start < size {
		grown := make([]byte, start, start+size)
		copy(grown, out)
		out = grown
	}
	out = out[:start+size]
	binary.LittleEndian.PutUint64(out[start:], uint64(len(payload)))
	w := windows.Get().(*window)
	defer windows.Put(w)
	hash = finish(w.hashTree(payload, 0, out[start+outboardHead:]), guts.FlagRoot)
	return out, hash
}

// VerifyShard tells whether payload is what want names.
func VerifyShard(payload []byte, want ShardHash) bool { return HashShard(payload) == want }

// ChunkIDOf returns the ID of the chunk whose shards have these hashes, in index order, data first.
// It allocates nothing for up to 16 shards.
func ChunkIDOf(hashes []ShardHash) ChunkID {
	var list [16 * hashSize]byte
	b := list[:0]
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return ChunkID(HashShard(b))
}

// VerifyOutboard tells whether the outboard belongs to a payload of this length with this hash:
// whether its inner nodes hash up to the root. After that its leaves can be trusted; see VerifyRange.
func VerifyOutboard(outboard []byte, payloadLen int, want ShardHash) bool {
	if len(outboard) != OutboardSize(payloadLen) ||
		binary.LittleEndian.Uint64(outboard) != uint64(payloadLen) {
		return false
	}
	if payloadLen <= HashGroupSize {
		return true // There are no inner nodes: the only leaf is the root.
	}
	return verifyNode(outboard[outboardHead:], payloadLen, [hashSize]byte(want), guts.FlagRoot)
}

// VerifyRange tells whether data is the payload's bytes from off on. off must be a multiple of
// HashGroupSize, and data must end at a multiple of it or at the end of the payload. It checks the
// inner nodes on the way to each group against want, so the outboard itself may be untrusted.
func VerifyRange(outboard []byte, payloadLen int, want ShardHash, off int, data []byte) bool {
	end := off + len(data)
	if off < 0 || off%HashGroupSize != 0 || end > payloadLen || (end%HashGroupSize != 0 && end != payloadLen) ||
		len(outboard) != OutboardSize(payloadLen) ||
		binary.LittleEndian.Uint64(outboard) != uint64(payloadLen) {
		return false
	}
	window := windows.Get().(*window)
	defer windows.Put(window)
	w := rangeWalk{off: off, end: end, data: data, window: window}
	return w.verify(outboard[outboardHead:], 0, payloadLen, [hashSize]byte(want), guts.FlagRoot)
}

// leftLen returns the length of the left subtree of n bytes: the largest power of two below n.
func leftLen(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// nodesSize returns the bytes of the inner nodes above n payload bytes.
func nodesSize(n int) int { return OutboardSize(n) - outboardHead }

// hashTree hashes the subtree over p, whose first piece has the index counter, and returns its top
// node, not yet compressed. When nodes is not nil it receives the inner nodes in pre-order.
func (w *window) hashTree(p []byte, counter uint64, nodes []byte) guts.Node {
	if len(p) <= simdSize {
		return w.hashLeaf(p, counter)
	}
	if hashesGroups && len(p) == HashGroupSize {
		return w.tree.hashGroup(p, counter)
	}
	mid := leftLen(len(p))
	var l, r [8]uint32
	if nodes == nil || len(p) <= HashGroupSize {
		l = guts.ChainingValue(w.hashTree(p[:mid], counter, nil))
		r = guts.ChainingValue(w.hashTree(p[mid:], counter+uint64(mid)/guts.ChunkSize, nil))
		return guts.ParentNode(l, r, &guts.IV, 0)
	}
	split := 2*hashSize + nodesSize(mid)
	l = guts.ChainingValue(w.hashTree(p[:mid], counter, nodes[2*hashSize:split]))
	r = guts.ChainingValue(w.hashTree(p[mid:], counter+uint64(mid)/guts.ChunkSize, nodes[split:]))
	putWords(nodes[:hashSize], &l)
	putWords(nodes[hashSize:2*hashSize], &r)
	return guts.ParentNode(l, r, &guts.IV, 0)
}

// window is the working memory of a hash. piece is where the library's vector code reads its input: it
// reads 16 pieces side by side, 1 KiB apart and in full whatever the length is, so it wants them in the
// nearest cache: copying them there first takes a third less time than letting it read the payload
// where it lies. Whole groups do not go that way where this processor has better.
type window struct {
	piece [simdSize]byte
	tree  groupTree
}

var windows = sync.Pool{New: func() any { return new(window) }}

func (w *window) hashLeaf(p []byte, counter uint64) guts.Node {
	if len(p) <= guts.ChunkSize {
		return guts.CompressChunk(p, &guts.IV, counter, 0)
	}
	n := copy(w.piece[:], p)
	return guts.CompressBuffer(&w.piece, n, &guts.IV, counter, 0)
}

// finish compresses a node into its 32 bytes.
func finish(n guts.Node, flags uint32) (h [hashSize]byte) {
	n.Flags |= flags
	cv := guts.ChainingValue(n)
	putWords(h[:], &cv)
	return h
}

func putWords(dst []byte, cv *[8]uint32) {
	for i, w := range cv {
		binary.LittleEndian.PutUint32(dst[4*i:], w)
	}
}

func words(b []byte) (cv [8]uint32) {
	for i := range cv {
		cv[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return cv
}

// verifyParent tells whether the first inner node of nodes hashes to want.
func verifyParent(nodes []byte, want [hashSize]byte, flags uint32) bool {
	l, r := words(nodes[:hashSize]), words(nodes[hashSize:2*hashSize])
	return finish(guts.ParentNode(l, r, &guts.IV, 0), flags) == want
}

// verifyNode checks all inner nodes above n payload bytes.
func verifyNode(nodes []byte, n int, want [hashSize]byte, flags uint32) bool {
	if n <= HashGroupSize {
		return true
	}
	if !verifyParent(nodes, want, flags) {
		return false
	}
	mid := leftLen(n)
	split := 2*hashSize + nodesSize(mid)
	return verifyNode(nodes[2*hashSize:split], mid, [hashSize]byte(nodes[:hashSize]), 0) &&
		verifyNode(nodes[split:], n-mid, [hashSize]byte(nodes[hashSize:2*hashSize]), 0)
}

// rangeWalk goes down the tree to the groups that [off, end) touches; data is the bytes from off.
type rangeWalk struct {
	off, end int
	data     []byte
	window   *window
}

func (w *rangeWalk) verify(nodes []byte, pos, n int, want [hashSize]byte, flags uint32) bool {
	if pos+n <= w.off || pos >= w.end {
		return true
	}
	if n <= HashGroupSize {
		p := w.data[pos-w.off : pos-w.off+n]
		return finish(w.window.hashTree(p, uint64(pos)/guts.ChunkSize, nil), flags) == want
	}
	if !verifyParent(nodes, want, flags) {
		return false
	}
	mid := leftLen(n)
	split := 2*hashSize + nodesSize(mid)
	return w.verify(nodes[2*hashSize:split], pos, mid, [hashSize]byte(nodes[:hashSize]), 0) &&
		w.verify(nodes[split:], pos+mid, n-mid, [hashSize]byte(nodes[hashSize:2*hashSize]), 0)
}
