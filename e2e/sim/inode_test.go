package sim

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// blockSize is in what pieces a crash keeps or loses what was not synced.
const blockSize = 4096

// inode is a file or a directory, as it is now and as it was when it was last synced.
type inode struct {
	names, synced map[string]*inode // of a directory
	now, safe     content           // of a file
	own           []bool            // blocks that nothing else has: only those may be changed in place
}

// content is what a file holds. Blocks are whole, and shared between contents.
type content struct {
	blocks []*[blockSize]byte
	size   int
}

func newDir() *inode { return &inode{names: map[string]*inode{}} }

func (c *content) read(p []byte, off int) (n int) {
	for n < len(p) && off < c.size {
		at := off % blockSize
		k := copy(p[n:], c.blocks[off/blockSize][at:min(blockSize, at+c.size-off)])
		n, off = n+k, off+k
	}
	return n
}

// grow makes room for size bytes; new ones are zero.
func (c *content) grow(size int) {
	for len(c.blocks)*blockSize < size {
		c.blocks = append(c.blocks, new([blockSize]byte))
	}
	c.size = max(c.size, size)
}

func (i *inode) write(p []byte, off int) {
	i.now.grow(off + len(p))
	for len(i.own) < len(i.now.blocks) {
		i.own = append(i.own, true)
	}
	for len(p) > 0 {
		k := off / blockSize
		if !i.own[k] {
			b := *i.now.blocks[k]
			i.now.blocks[k], i.own[k] = &b, true
		}
		n := copy(i.now.blocks[k][off%blockSize:], p)
		p, off = p[n:], off+n
	}
}

func (i *inode) sync() {
	if i.names != nil {
		i.synced = maps.Clone(i.names)
		return
	}
	i.safe.blocks, i.safe.size = append(i.safe.blocks[:0], i.now.blocks...), i.now.size
	clear(i.own)
}

// survivor gives what a crash leaves: what was synced, and so many percent of the rest. Names are visited in order.
func (i *inode) survivor(percent int, rng *rand.Rand) *inode {
	keeps := func() bool { return percent > 0 && rng.IntN(100) < percent }
	if i.names != nil {
		names := maps.Clone(i.synced)
		if names == nil {
			names = map[string]*inode{}
		}
		for _, name := range sortedNames(i.names) {
			if keeps() {
				names[name] = i.names[name]
			}
		}
		for _, name := range sortedNames(names) {
			names[name] = names[name].survivor(percent, rng)
		}
		return &inode{names: names, synced: maps.Clone(names)}
	}
	left := content{slices.Clone(i.safe.blocks), i.safe.size}
	for k := 0; k*blockSize < i.now.size; k++ {
		if keeps() {
			left.grow(min((k+1)*blockSize, i.now.size))
			left.blocks[k] = i.now.blocks[k]
		}
	}
	clear(i.own)
	return &inode{now: left, safe: content{slices.Clone(left.blocks), left.size}, own: make([]bool, len(left.blocks))}
}

func sortedNames(m map[string]*inode) []string { return slices.Sorted(maps.Keys(m)) }
