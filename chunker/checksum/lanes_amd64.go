package checksum

import "golang.org/x/sys/cpu"

// laneCountMax is the most lanes that any processor has here.
const laneCountMax = 16

// md5Blocks16 and md5Blocks8 hash the same number of blocks of 64 bytes in each of 16 and 8 lanes with
// AVX-512 and AVX2. Word i of the MD5 state of lane j is state[i][j]; the lane's bytes begin at
// rows[j], which must hold that many blocks in every lane, used or not.
//
//go:noescape
func md5Blocks16(state *[4][laneCountMax]uint32, rows *[laneCountMax]*byte, blocks int)

//go:noescape
func md5Blocks8(state *[4][laneCountMax]uint32, rows *[laneCountMax]*byte, blocks int)

// laneCount returns how many lanes this processor has; 0 when there are none.
func laneCount() int {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX2:
		return 16
	case cpu.X86.HasAVX2:
		return 8
	}
	return 0
}

// hashLanes hashes blocks of 64 bytes in each of the first n lanes, at most laneCount of them.
func hashLanes(n int, state *[4][laneCountMax]uint32, rows *[laneCountMax]*byte, blocks int) {
	if n > 8 || chainsKnown().lanes < 8 {
		md5Blocks16(state, rows, blocks)
	} else {
		md5Blocks8(state, rows, blocks) // Fewer lanes take less time for each block.
	}
}
