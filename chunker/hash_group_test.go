package chunker

import (
	"testing"

	"lukechampine.com/blake3/guts"
)

// TestHashGroup holds whole groups, wherever they lie in a payload, to the library's code.
func TestHashGroup(t *testing.T) {
	if !hashesGroups {
		t.Skip("this processor takes the library's way")
	}
	p := pattern(HashGroupSize + 64)
	w := new(window)
	for _, counter := range []uint64{0, 64, 1 << 16, 1<<32 - groupPieces} {
		for _, off := range []int{0, 1, 16, 63} {
			got := guts.ChainingValue(w.tree.hashGroup(p[off:off+HashGroupSize], counter))
			if want := guts.ChainingValue(libraryTree(p[off:off+HashGroupSize], counter)); got != want {
				t.Errorf("group of piece %d on, at %d in memory: %x, want %x", counter, off, got, want)
			}
		}
	}
}

// libraryTree hashes whole pieces, a power of two of them, one by one.
func libraryTree(p []byte, counter uint64) guts.Node {
	if len(p) == guts.ChunkSize {
		return guts.CompressChunk(p, &guts.IV, counter, 0)
	}
	mid := len(p) / 2
	l := guts.ChainingValue(libraryTree(p[:mid], counter))
	r := guts.ChainingValue(libraryTree(p[mid:], counter+uint64(mid)/guts.ChunkSize))
	return guts.ParentNode(l, r, &guts.IV, 0)
}
