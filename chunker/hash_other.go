//go:build !amd64

package chunker

import "lukechampine.com/blake3/guts"

// hashesGroups is false: other processors take the library's way.
const (
	hashesGroups = false
	groupPieces  = HashGroupSize / guts.ChunkSize
)

type groupTree struct{}

func (*groupTree) hashGroup([]byte, uint64) guts.Node {
	panic("chunker: no vector code for this processor")
}
