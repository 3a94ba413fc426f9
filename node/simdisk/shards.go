package simdisk

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/shardstore"
)

// Shards returns the disk as a shard store's file system.
func (d *Disk) Shards() shardstore.FS { return shardFS{d} }

type shardFS struct{ d *Disk }

func (s shardFS) Open(name string, mode shardstore.OpenMode) (shardstore.File, error) {
	var node *inode
	var err error
	if mode == shardstore.CreateMode {
		node, err = s.d.create(name, true)
	} else {
		node, err = s.d.open(name)
	}
	if err != nil {
		return nil, err
	}
	return &shardFile{handle{s.d, node, name}, mode}, nil
}

func (s shardFS) MkdirAll(dir string) error         { return s.d.mkdirAll(dir) }
func (s shardFS) Remove(name string) error          { return s.d.remove(name, false) }
func (s shardFS) RemoveAll(name string) error       { return s.d.remove(name, true) }
func (s shardFS) Rename(from, to string) error      { return s.d.rename(from, to) }
func (s shardFS) List(dir string) ([]string, error) { return s.d.list(dir) }
func (s shardFS) SyncDir(dir string) error          { return s.d.syncDir(dir) }
func (s shardFS) Index() vfs.FS                     { return s.d.Pebble() }

func (s shardFS) Space(string) (free, total int64, err error) {
	free, total = s.d.space()
	return free, total, nil
}

func (s shardFS) Lock(name string) (io.Closer, error) {
	unlock, err := s.d.lock(name)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, shardstore.ErrDriveLocked
	}
	if err != nil {
		return nil, err
	}
	return closer(unlock), nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

// shardFile checks what direct I/O would refuse.
type shardFile struct {
	handle
	mode shardstore.OpenMode
}

func (f *shardFile) ReadAt(p []byte, off int64) (int, error) {
	if f.mode != shardstore.ReadMode && (off%pageBytes != 0 || len(p)%pageBytes != 0) {
		return 0, fmt.Errorf("read %s: %d bytes at %d are not aligned: %w", f.name, len(p), off, syscall.EINVAL)
	}
	return f.readAt(p, off)
}

func (f *shardFile) ReadvAt(bufs [][]byte, off int64) (total int64, err error) {
	for _, b := range bufs {
		if f.mode != shardstore.ReadMode && !aligned(b) {
			return total, fmt.Errorf("read %s: the memory is not aligned: %w", f.name, syscall.EINVAL)
		}
		n, err := f.ReadAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (f *shardFile) WritevAt(bufs [][]byte, off int64) (int64, error) {
	for _, b := range bufs {
		if off%pageBytes != 0 || len(b)%pageBytes != 0 || !aligned(b) {
			return 0, fmt.Errorf("write %s: %d bytes at %d are not aligned: %w", f.name, len(b), off, syscall.EINVAL)
		}
	}
	return f.writeAt(bufs, off)
}

func (f *shardFile) Datasync() error                   { return f.sync() }
func (f *shardFile) Truncate(size int64) error         { return f.truncate(size) }
func (f *shardFile) PunchHole(off, n int64) error      { return f.punch(off, n) }
func (f *shardFile) NextData(off int64) (int64, error) { return f.nextData(off) }
func (f *shardFile) Size() (int64, error)              { return f.size() }
func (f *shardFile) Close() error                      { return nil }
