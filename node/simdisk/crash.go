package simdisk

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
)

// Keep says what of the unsynced a crash leaves.
type Keep uint8

const (
	// KeepSynced leaves exactly what was synced.
	KeepSynced Keep = iota
	// KeepAll leaves everything, as when only the process dies and the machine goes on.
	KeepAll
	// KeepSome decides by the seed for each write, sector and name.
	KeepSome
)

// Crash ends all use of the disk and returns what is found after the restart. Faults are gone, the
// capacity stays.
func (d *Disk) Crash(keep Keep, seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	after := New(seed)
	after.capacity = d.capacity
	c := crash{keep, rand.New(rand.NewPCG(seed, 0xc4a5)), map[*inode]*inode{}}
	after.root = c.survivor(d.root)
	return after
}

type crash struct {
	keep Keep
	rng  *rand.Rand
	done map[*inode]*inode
}

// survivor returns what is left of a node. Names are visited in order, so that a seed means the
// same each time.
func (c *crash) survivor(i *inode) *inode {
	if s := c.done[i]; s != nil {
		return s
	}
	s := &inode{isDir: i.isDir}
	c.done[i] = s
	if !i.isDir {
		s.durable = i.durable.clone()
		for k := range i.pending {
			switch c.keep {
			case KeepAll:
				i.pending[k].apply(&s.durable)
			case KeepSome:
				i.pending[k].survive(&s.durable, c.rng)
			}
		}
		s.now = s.durable.clone()
		return s
	}
	names := map[string]*inode{}
	for name, node := range i.durableNames {
		names[name] = node
	}
	for k := range i.pendingRenames {
		if c.keep == KeepAll || (c.keep == KeepSome && c.rng.IntN(2) == 0) {
			i.pendingRenames[k].apply(names)
		}
	}
	s.names, s.durableNames = map[string]*inode{}, map[string]*inode{}
	for _, name := range sortedNames(names) {
		node := c.survivor(names[name])
		s.names[name], s.durableNames[name] = node, node
	}
	return s
}

func sortedNames(names map[string]*inode) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Files returns the paths of all files, sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var files []string
	var walk func(string, *inode)
	walk = func(at string, i *inode) {
		if !i.isDir {
			files = append(files, at)
		}
		for _, name := range sortedNames(i.names) {
			walk(path.Join(at, name), i.names[name])
		}
	}
	walk("/", d.root)
	return files
}

// ReadFile returns a copy of a file's content.
func (d *Disk) ReadFile(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.file(name)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), node.now.data...), nil
}

// FlipBit turns one bit of a file over, as if the disk had rotted: at once and durably.
func (d *Disk) FlipBit(name string, bit int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.file(name)
	if err != nil {
		return err
	}
	if bit < 0 || bit/8 >= int64(len(node.now.data)) {
		return fmt.Errorf("flip bit %d of %s: %w", bit, name, fs.ErrInvalid)
	}
	node.now.data[bit/8] ^= 1 << (bit % 8)
	if bit/8 < int64(len(node.durable.data)) {
		node.durable.data[bit/8] ^= 1 << (bit % 8)
	}
	return nil
}

// Cut takes the end of a file away, as if the disk had lost it: at once and durably.
func (d *Disk) Cut(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.file(name)
	if err != nil {
		return err
	}
	if size < 0 || size > int64(len(node.now.data)) {
		return fmt.Errorf("cut %s to %d bytes: %w", name, size, fs.ErrInvalid)
	}
	node.now.resize(size)
	node.durable.resize(min(size, int64(len(node.durable.data))))
	node.pending = nil
	return nil
}

// UsedBytes returns the space that all files take.
func (d *Disk) UsedBytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used() * pageBytes
}
