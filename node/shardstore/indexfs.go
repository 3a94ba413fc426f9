package shardstore

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// latchFS stands between the index and its disk. Pebble ends the process on some write errors,
// which one drive must not do to the others. So at the first error of a writing call the latch
// trips: from then on nothing is written, removed or renamed any more while all such calls succeed.
// What is on disk is then as after a crash at that moment, which is what the index is made to
// survive; the store sees the latch and gives the drive up.
type latchFS struct {
	vfs.FS

	mu     sync.Mutex // guards what follows
	err    error
	listed map[string][]string // what List last returned of a directory
}

func newLatchFS(fs vfs.FS) *latchFS { return &latchFS{FS: fs, listed: make(map[string][]string)} }

// tripped returns the error that tripped the latch, or nil.
func (l *latchFS) tripped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// do runs a writing call unless the latch has tripped, and trips it when the call fails.
func (l *latchFS) do(call func() error) error {
	if l.tripped() != nil {
		return nil
	}
	err := call()
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	return nil
}

// file wraps what open returns; after the latch has tripped it gives a file that takes everything
// and keeps nothing.
func (l *latchFS) file(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := l.do(func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = vfs.NewMemFile(nil)
	}
	return &latchFile{f, l}, nil
}

func (l *latchFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.Create(name, c) })
}

func (l *latchFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.OpenReadWrite(name, c, opts...) })
}

func (l *latchFS) ReuseForWrite(oldName, newName string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return l.file(func() (vfs.File, error) { return l.FS.ReuseForWrite(oldName, newName, c) })
}

func (l *latchFS) OpenDir(name string) (vfs.File, error) {
	f, err := l.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &latchFile{f, l}, nil
}

func (l *latchFS) Link(oldName, newName string) error {
	return l.do(func() error { return l.FS.Link(oldName, newName) })
}

func (l *latchFS) Rename(oldName, newName string) error {
	return l.do(func() error { return l.FS.Rename(oldName, newName) })
}

func (l *latchFS) Remove(name string) error {
	return l.do(func() error { return l.FS.Remove(name) })
}

func (l *latchFS) RemoveAll(name string) error {
	return l.do(func() error { return l.FS.RemoveAll(name) })
}

func (l *latchFS) MkdirAll(dir string, perm os.FileMode) error {
	return l.do(func() error { return l.FS.MkdirAll(dir, perm) })
}

// List trips the latch as well when it fails for a directory that was listed before: Pebble lists
// its directory a second time when compactions are running already, and an error would have it close
// under their feet, which is a panic (2.1.7).
func (l *latchFS) List(dir string) ([]string, error) {
	names, err := l.FS.List(dir)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.listed[dir] = names
		return names, nil
	}
	before, ok := l.listed[dir]
	if !ok {
		return nil, err
	}
	if l.err == nil {
		l.err = err
	}
	return before, nil
}

func (l *latchFS) Unwrap() vfs.FS { return l.FS }

type latchFile struct {
	vfs.File
	latch *latchFS
}

func (f *latchFile) Write(p []byte) (int, error) {
	return len(p), f.latch.do(func() error { _, err := f.File.Write(p); return err })
}

func (f *latchFile) WriteAt(p []byte, off int64) (int, error) {
	return len(p), f.latch.do(func() error { _, err := f.File.WriteAt(p, off); return err })
}

func (f *latchFile) Preallocate(off, length int64) error {
	// Only a hint, and on some file systems an error; writing will tell.
	if f.latch.tripped() == nil {
		_ = f.File.Preallocate(off, length)
	}
	return nil
}

func (f *latchFile) Sync() error     { return f.latch.do(f.File.Sync) }
func (f *latchFile) SyncData() error { return f.latch.do(f.File.SyncData) }

func (f *latchFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.latch.do(func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, err
}
