package placement

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"sync"
)

// The score of a drive for a group is -log2(u)/weight, where u in (0,1] is a hash of both; the lowest
// scores win. With exponentially distributed scores a drive wins in proportion to its weight, and a
// change of one drive's weight changes no order among the others.
//
// All of it is integer arithmetic: compilers may fuse or reorder floating point, and libraries
// disagree about the last bit of a logarithm, but every member must compute the same table.

// seed is a drive's contribution to its hashes.
type seed struct{ a, b uint64 }

func seedOf(id DriveID) seed {
	sum := sha256.Sum256(append([]byte("shoal placement 1 "), id[:]...))
	return seed{binary.LittleEndian.Uint64(sum[0:]), binary.LittleEndian.Uint64(sum[8:])}
}

// hash returns 64 bits that depend on the drive and n.
func (s seed) hash(n uint64) uint64 { return mix(s.a ^ mix(s.b+n)) }

// mix is a bijection of 64 bits in which every input bit affects every output bit: multiplications by
// odd constants (the golden ratio's and two with good avalanche) between shifts.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// score returns the drive's score for a group.
func (s seed) score(group int, weight uint32) uint64 {
	// negLog2 is below 2^47, so 17 bits of precision can be added.
	return negLog2(s.hash(uint64(group))) << 17 / uint64(weight)
}

const (
	logBits  = 40 // fraction bits of logarithms
	logIndex = 12 // bits of the table's index
)

// logTable holds log2(1 + i/2^logIndex) with logBits fraction bits.
var logTable = sync.OnceValue(func() *[1<<logIndex + 1]uint64 {
	var t [1<<logIndex + 1]uint64
	for i := range t {
		t[i] = log2Fraction(uint64(1)<<62 + uint64(i)<<(62-logIndex))
	}
	return &t
})

// log2Fraction returns log2(x) with logBits fraction bits for x from 1 to 2, given with 62 fraction
// bits. Squaring x doubles its logarithm, whose integer bit is then the next bit of the result.
func log2Fraction(x uint64) uint64 {
	result := uint64(0)
	for i := 0; i <= logBits; i++ {
		result <<= 1
		if x >= 1<<63 {
			x >>= 1
			result |= 1
		}
		hi, lo := bits.Mul64(x, x)
		x = hi<<2 | lo>>62
	}
	return result
}

// negLog2 returns -log2(h/2^64) with logBits fraction bits, for h = 0 that of h = 1. It interpolates
// in the table, which is off by at most 2^-26.
func negLog2(h uint64) uint64 {
	h = max(h, 1)
	zeros := bits.LeadingZeros64(h)
	fraction := h << zeros << 1 // below the leading one
	t := logTable()
	i := fraction >> (64 - logIndex)
	hi, _ := bits.Mul64(t[i+1]-t[i], fraction<<logIndex)
	return uint64(zeros+1)<<logBits - t[i] - hi
}
