package simdisk

import "math/rand/v2"

const (
	// SectorBytes is the unit in which a disk writes: a crash never splits one.
	SectorBytes = 512
	pageBytes   = 4096
)

// image is the content of a file. Pages that nobody wrote take no space.
type image struct {
	data  []byte
	alloc []bool // by page
}

func (m *image) clone() image {
	return image{append([]byte(nil), m.data...), append([]bool(nil), m.alloc...)}
}

// resize sets the length; new bytes are zero and take no space.
func (m *image) resize(n int64) {
	pageCount := int((n + pageBytes - 1) / pageBytes)
	if n <= int64(len(m.data)) {
		clear(m.data[n:])
		m.data = m.data[:n]
		if pageCount < len(m.alloc) {
			clear(m.alloc[pageCount:])
			m.alloc = m.alloc[:pageCount]
		}
		return
	}
	m.data = append(m.data, make([]byte, n-int64(len(m.data)))...)
	m.alloc = append(m.alloc, make([]bool, pageCount-len(m.alloc))...)
}

func (m *image) write(p []byte, off int64) {
	if end := off + int64(len(p)); end > int64(len(m.data)) {
		m.resize(end)
	}
	copy(m.data[off:], p)
	for page := off / pageBytes; page*pageBytes < off+int64(len(p)); page++ {
		m.alloc[page] = true
	}
}

// punch zeroes a range and gives the whole pages in it back.
func (m *image) punch(off, n int64) {
	end := min(off+n, int64(len(m.data)))
	if off >= end {
		return
	}
	clear(m.data[off:end])
	for page := (off + pageBytes - 1) / pageBytes; (page+1)*pageBytes <= off+n && page < int64(len(m.alloc)); page++ {
		m.alloc[page] = false
	}
}

// pages returns how many pages take space.
func (m *image) pages() (n int64) {
	for _, a := range m.alloc {
		if a {
			n++
		}
	}
	return n
}

type changeKind uint8

const (
	changeWrite changeKind = iota
	changeResize
	changePunch
)

// change is something done to a file since it was last synced.
type change struct {
	kind changeKind
	off  int64
	n    int64 // of a resize: the new length; of a punch: the length
	data []byte
}

func (c *change) apply(m *image) {
	switch c.kind {
	case changeWrite:
		m.write(c.data, c.off)
	case changeResize:
		m.resize(c.n)
	case changePunch:
		m.punch(c.off, c.n)
	}
}

// survive applies to m what a crash leaves of the change.
func (c *change) survive(m *image, r *rand.Rand) {
	if c.kind != changeWrite {
		if r.IntN(2) == 0 {
			c.apply(m)
		}
		return
	}
	switch r.IntN(4) {
	case 0: // nothing
	case 1:
		c.apply(m)
	case 2:
		c.sectors(m, func(i, n int) bool { return i < n }, r)
	case 3:
		c.sectors(m, func(int, int) bool { return r.IntN(2) == 0 }, r)
	}
}

// sectors applies the sectors for which keep says so; n is a random number of sectors.
func (c *change) sectors(m *image, keep func(i, n int) bool, r *rand.Rand) {
	first := c.off / SectorBytes
	count := int((c.off+int64(len(c.data))+SectorBytes-1)/SectorBytes - first)
	n := r.IntN(count + 1)
	for i := range count {
		from := max((first+int64(i))*SectorBytes, c.off)
		to := min((first+int64(i)+1)*SectorBytes, c.off+int64(len(c.data)))
		if keep(i, n) {
			m.write(c.data[from-c.off:to-c.off], from)
		}
	}
}

// inode is a file or a directory.
type inode struct {
	// of a file
	now     image    // what reads see
	durable image    // what a crash leaves for certain
	pending []change // done since the last sync

	// of a directory
	isDir          bool
	names          map[string]*inode
	durableNames   map[string]*inode
	pendingRenames []rename
}

// rename is something done to the names of a directory: put gives a name to a node, cut takes one
// away; a rename does both at once.
type rename struct {
	put  string
	node *inode
	cut  string
}

func newDir() *inode {
	return &inode{isDir: true, names: map[string]*inode{}, durableNames: map[string]*inode{}}
}

// sync makes all that was done durable.
func (i *inode) sync() {
	for k := range i.pending {
		i.pending[k].apply(&i.durable)
	}
	i.pending = nil
	for _, c := range i.pendingRenames {
		c.apply(i.durableNames)
	}
	i.pendingRenames = nil
}

func (c *rename) apply(names map[string]*inode) {
	if c.cut != "" {
		delete(names, c.cut)
	}
	if c.put != "" {
		names[c.put] = c.node
	}
}

// do changes a file and remembers that it is not durable.
func (i *inode) do(c change) {
	c.apply(&i.now)
	i.pending = append(i.pending, c)
}

func (i *inode) doNames(c rename) {
	c.apply(i.names)
	i.pendingRenames = append(i.pendingRenames, c)
}
