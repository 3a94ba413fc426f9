package chunker

import (
	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// hashPieces16 hashes the 16 pieces of 1 KiB that lie at p, the first of which has the index counter,
// and stores their chaining values: word i of piece j at cvs[64*i+j].
//
//go:noescape
func hashPieces16(p *byte, counter uint32, cvs *uint32)

// hashParents16 hashes 16 pairs of children and stores the chaining values of the parents. Word i of
// child j lies at children[64*i+j], and that of parent j at cvs[64*i+j]; the two may be the same.
//
//go:noescape
func hashParents16(children, cvs *uint32)

// hashesGroups tells whether hashGroup may be called.
var hashesGroups = cpu.X86.HasAVX512F

const groupPieces = HashGroupSize / guts.ChunkSize

// groupTree holds the chaining values of one level of the tree over a group: word by word, so that a
// register loads one word of 16 nodes.
type groupTree [8][groupPieces]uint32

// hashGroup is the top node of the tree over p, which is HashGroupSize bytes and begins with the piece
// counter of a payload of less than 4 TiB. It takes half the time of the library's code, which gathers
// the words of a message one by one instead of transposing them.
func (t *groupTree) hashGroup(p []byte, counter uint64) guts.Node {
	_ = p[HashGroupSize-1]
	for i := 0; i < groupPieces; i += 16 {
		hashPieces16(&p[i*guts.ChunkSize], uint32(counter)+uint32(i), &t[0][i])
	}
	for n := groupPieces / 2; n > 1; n /= 2 {
		for i := 0; i < n; i += 16 {
			hashParents16(&t[0][2*i], &t[0][i])
		}
	}
	var l, r [8]uint32
	for i := range t {
		l[i], r[i] = t[i][0], t[i][1]
	}
	return guts.ParentNode(l, r, &guts.IV, 0)
}
