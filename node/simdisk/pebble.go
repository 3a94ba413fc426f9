package simdisk

import (
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble returns the disk as Pebble's file system.
func (d *Disk) Pebble() vfs.FS { return pebbleFS{d} }

type pebbleFS struct{ d *Disk }

func (p pebbleFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	node, err := p.d.create(name, false)
	if err != nil {
		return nil, err
	}
	return &pebbleFile{handle: handle{p.d, node, name}}, nil
}

func (p pebbleFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	node, err := p.d.open(name)
	if err != nil {
		return nil, err
	}
	f := &pebbleFile{handle: handle{p.d, node, name}}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (p pebbleFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if _, err := p.Stat(name); os.IsNotExist(err) {
		return p.Create(name, c)
	}
	return p.Open(name, opts...)
}

func (p pebbleFS) OpenDir(name string) (vfs.File, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	node, err := p.d.find(name)
	if err != nil {
		return nil, err
	}
	return &pebbleFile{handle: handle{p.d, node, name}}, nil
}

func (p pebbleFS) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.d.rename(from, to); err != nil {
		return nil, err
	}
	return p.Open(to)
}

func (p pebbleFS) Link(from, to string) error               { return p.d.link(from, to) }
func (p pebbleFS) Remove(name string) error                 { return p.d.remove(name, false) }
func (p pebbleFS) RemoveAll(name string) error              { return p.d.remove(name, true) }
func (p pebbleFS) Rename(from, to string) error             { return p.d.rename(from, to) }
func (p pebbleFS) MkdirAll(dir string, _ os.FileMode) error { return p.d.mkdirAll(dir) }
func (p pebbleFS) List(dir string) ([]string, error)        { return p.d.list(dir) }
func (p pebbleFS) PathBase(name string) string              { return path.Base(name) }
func (p pebbleFS) PathJoin(elem ...string) string           { return path.Join(elem...) }
func (p pebbleFS) PathDir(name string) string               { return path.Dir(name) }
func (p pebbleFS) Unwrap() vfs.FS                           { return nil }

func (p pebbleFS) Lock(name string) (io.Closer, error) {
	unlock, err := p.d.lock(name)
	if err != nil {
		return nil, err
	}
	return closer(unlock), nil
}

func (p pebbleFS) Stat(name string) (vfs.FileInfo, error) {
	out := p.d.enter(Call{Op: OpStat, Path: name})
	defer p.d.mu.Unlock()
	if out.err != nil {
		return nil, out.err
	}
	node, err := p.d.find(name)
	if err != nil {
		return nil, err
	}
	return &fileInfo{path.Base(name), int64(len(node.now.data)), node.isDir}, nil
}

func (p pebbleFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free, total := p.d.space()
	return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: uint64(total), UsedBytes: uint64(total - free)}, nil
}

// pebbleFile reads from the beginning and writes at the end of what it wrote, as Pebble's files do.
type pebbleFile struct {
	handle
	readOff, writeOff int64
}

func (f *pebbleFile) Read(p []byte) (int, error) {
	n, err := f.readAt(p, f.readOff)
	f.readOff += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *pebbleFile) ReadAt(p []byte, off int64) (int, error) { return f.readAt(p, off) }

func (f *pebbleFile) Write(p []byte) (int, error) {
	n, err := f.writeAt([][]byte{p}, f.writeOff)
	f.writeOff += n
	return int(n), err
}

func (f *pebbleFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.writeAt([][]byte{p}, off)
	return int(n), err
}

func (f *pebbleFile) Sync() error {
	if f.node.isDir {
		return f.d.syncDir(f.name)
	}
	return f.sync()
}

func (f *pebbleFile) SyncData() error { return f.Sync() }

// SyncTo promises nothing when it says that the sync was not full.
func (f *pebbleFile) SyncTo(int64) (fullSync bool, err error) { return false, nil }

func (f *pebbleFile) Stat() (vfs.FileInfo, error) {
	n, err := f.size()
	return &fileInfo{path.Base(f.name), n, f.node.isDir}, err
}

func (f *pebbleFile) Preallocate(int64, int64) error { return nil }
func (f *pebbleFile) Prefetch(int64, int64) error    { return nil }
func (f *pebbleFile) Fd() uintptr                    { return vfs.InvalidFd }
func (f *pebbleFile) Close() error                   { return nil }

type fileInfo struct {
	name string
	size int64
	dir  bool
}

func (i *fileInfo) Name() string           { return i.name }
func (i *fileInfo) Size() int64            { return i.size }
func (i *fileInfo) IsDir() bool            { return i.dir }
func (i *fileInfo) ModTime() time.Time     { return time.Time{} }
func (i *fileInfo) Sys() any               { return nil }
func (i *fileInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i *fileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
