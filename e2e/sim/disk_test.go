package sim

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a file system in memory that loses power at one of its syncs, or when it is told to. It is used by one step at a time, but for
// what a database does in the background. What it keeps of a crash depends on its seed alone.
type disk struct {
	mu     sync.Mutex // guards what follows, and all inodes
	root   *inode
	locked map[string]bool
	// countdown is the number of syncs until the power fails, -1 when it does not.
	countdown int
	after     bool
	percent   int
	rng       *rand.Rand
	left      *inode // what is found after the power failed
}

func newDisk(root *inode) *disk { return &disk{root: root, locked: map[string]bool{}, countdown: -1} }

// arm plans that the power fails at the sync after the next n.
func (d *disk) arm(n int, after bool, percent int, rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countdown, d.after, d.percent, d.rng = n, after, percent, rng
}

// cut loses power: it gives what is found later, with some of what was not synced.
func (d *disk) cut(percent int, rng *rand.Rand) *inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.root.survivor(percent, rng)
}

// dark gives what is found later, nil while there is power.
func (d *disk) dark() *inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// sync calls f, and loses power before or after it when that is due. The caller holds mu.
func (d *disk) sync(f func()) {
	due := d.countdown == 0 && d.left == nil
	if d.left == nil && d.countdown >= 0 {
		d.countdown--
	}
	if due && !d.after {
		d.left = d.root.survivor(d.percent, d.rng)
	}
	f()
	if due && d.after {
		d.left = d.root.survivor(d.percent, d.rng)
	}
}

// find gives the directory that a path is in, its last name, and what has that name, nil if nothing does. The caller holds mu.
func (d *disk) find(name string) (dir *inode, base string, node *inode, err error) {
	dir, base = d.root, ""
	for rest := path.Clean("/" + name)[1:]; rest != ""; {
		if node != nil {
			dir = node
		}
		base, rest = splitName(rest)
		if dir.names == nil {
			return nil, "", nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
		}
		if node = dir.names[base]; node == nil && rest != "" {
			return nil, "", nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
		}
	}
	if base == "" {
		node = d.root
	}
	return dir, base, node, nil
}

func splitName(s string) (first, rest string) {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Create implements vfs.FS.
func (d *disk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.create(name)
}

func (d *disk) create(name string) (vfs.File, error) {
	dir, base, _, err := d.find(name)
	if err != nil {
		return nil, err
	}
	node := &inode{}
	dir.names[base] = node
	return &diskFile{d: d, node: node, name: base}, nil
}

func (d *disk) open(name string) (vfs.File, error) {
	_, base, node, err := d.find(name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	return &diskFile{d: d, node: node, name: base}, nil
}

// Open implements vfs.FS.
func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.create(name)
	}
	return f, err
}

// OpenDir implements vfs.FS.
func (d *disk) OpenDir(name string) (vfs.File, error) { return d.Open(name) }

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.Open(to)
}

// Link implements vfs.FS.
func (d *disk) Link(from, to string) error { return d.move(from, to, true) }

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error { return d.move(from, to, false) }

func (d *disk) move(from, to string, stays bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, node, err := d.find(from)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	toDir, toBase, there, err := d.find(to)
	switch {
	case err != nil:
		return err
	case stays && there != nil:
		return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
	case !stays:
		delete(dir.names, base)
	}
	toDir.names[toBase] = node
	return nil
}

// Remove implements vfs.FS.
func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, node, err := d.find(name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err == nil {
		delete(dir.names, base)
	}
	return err
}

// RemoveAll implements vfs.FS.
func (d *disk) RemoveAll(name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(name string, _ os.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.root
	for rest := path.Clean("/" + name)[1:]; rest != ""; {
		var base string
		base, rest = splitName(rest)
		if at.names[base] == nil {
			at.names[base] = newDir()
		}
		if at = at.names[base]; at.names == nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
	}
	return nil
}

// List implements vfs.FS.
func (d *disk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, node, err := d.find(name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	return sortedNames(node.names), nil
}

// Lock implements vfs.FS.
func (d *disk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: fs.ErrExist}
	}
	if _, err := d.create(name); err != nil {
		return nil, err
	}
	d.locked[name] = true
	return &diskLock{d, name}, nil
}

type diskLock struct {
	d    *disk
	name string
}

func (l *diskLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	delete(l.d.locked, l.name)
	return nil
}

// Stat implements vfs.FS.
func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// PathBase implements vfs.FS.
func (d *disk) PathBase(name string) string { return path.Base(name) }

// PathJoin implements vfs.FS.
func (d *disk) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (d *disk) PathDir(name string) string { return path.Dir(name) }

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return nil }

// GetDiskUsage implements vfs.FS.
func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// diskFile is an open file or directory.
type diskFile struct {
	d    *disk
	node *inode
	name string
	at   int
}

func (f *diskFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.at))
	f.at += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := f.node.now.read(p, int(off))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.node.write(p, f.at)
	f.at += len(p)
	return len(p), nil
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.node.write(p, int(off))
	return len(p), nil
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.sync(f.node.sync)
	return nil
}

func (f *diskFile) SyncData() error { return f.Sync() }

// SyncTo promises nothing when it says that the sync was not full.
func (f *diskFile) SyncTo(int64) (full bool, err error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.sync(func() {})
	return false, nil
}

func (f *diskFile) Stat() (vfs.FileInfo, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return diskInfo{f.name, int64(f.node.now.size), f.node.names != nil}, nil
}

func (f *diskFile) Preallocate(int64, int64) error { return nil }
func (f *diskFile) Prefetch(int64, int64) error    { return nil }
func (f *diskFile) Fd() uintptr                    { return vfs.InvalidFd }
func (f *diskFile) Close() error                   { return nil }

type diskInfo struct {
	name string
	size int64
	dir  bool
}

func (i diskInfo) Name() string           { return i.name }
func (i diskInfo) Size() int64            { return i.size }
func (i diskInfo) IsDir() bool            { return i.dir }
func (i diskInfo) ModTime() time.Time     { return time.Time{} }
func (i diskInfo) Sys() any               { return nil }
func (i diskInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i diskInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
