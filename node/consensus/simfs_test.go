package consensus

import (
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crashFS is a file system in memory that can lose power at any of its syncs: it takes a clone just before or just after the sync, with
// some of what was not synced.
type crashFS struct {
	vfs.FS
	mem *vfs.MemFS

	mu sync.Mutex
	// countdown is the number of syncs until the crash, -1 when none is planned.
	countdown int
	after     bool
	percent   int
	rng       *rand.Rand
	clone     *vfs.MemFS
}

func newCrashFS(mem *vfs.MemFS) *crashFS { return &crashFS{FS: mem, mem: mem, countdown: -1} }

// arm plans a crash at the sync after the next n.
func (c *crashFS) arm(n int, after bool, percent int, rng *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.countdown, c.after, c.percent, c.rng = n, after, percent, rng
}

// crashed returns the clone if the power was lost.
func (c *crashFS) crashed() *vfs.MemFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clone
}

// cut loses power now.
func (c *crashFS) cut(percent int, rng *rand.Rand) *vfs.MemFS {
	return c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

func (c *crashFS) sync(f func() error) error {
	c.mu.Lock()
	due := c.countdown == 0 && c.clone == nil
	if c.countdown >= 0 {
		c.countdown--
	}
	if due && !c.after {
		c.clone = c.cut(c.percent, c.rng)
	}
	c.mu.Unlock()
	err := f()
	if due && c.after {
		c.mu.Lock()
		c.clone = c.cut(c.percent, c.rng)
		c.mu.Unlock()
	}
	return err
}

func (c *crashFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &crashFile{File: f, fs: c}, nil
}

func (c *crashFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	return c.wrap(c.FS.Create(name, cat))
}

func (c *crashFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.wrap(c.FS.OpenReadWrite(name, cat, opts...))
}

func (c *crashFS) OpenDir(name string) (vfs.File, error) { return c.wrap(c.FS.OpenDir(name)) }

func (c *crashFS) ReuseForWrite(old, name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	return c.wrap(c.FS.ReuseForWrite(old, name, cat))
}

type crashFile struct {
	vfs.File
	fs *crashFS
}

func (f *crashFile) Sync() error { return f.fs.sync(f.File.Sync) }

func (f *crashFile) SyncData() error { return f.fs.sync(f.File.SyncData) }

func (f *crashFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.sync(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// rngOf returns randomness for one power loss.
func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }
