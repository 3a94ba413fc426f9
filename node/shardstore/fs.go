package shardstore

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// OpenMode says how a file is opened.
type OpenMode uint8

const (
	// ReadMode opens an existing file for reads through the page cache.
	ReadMode OpenMode = iota
	// WriteMode opens an existing file for aligned writes past the page cache where the file system
	// can do that (O_DIRECT), else through it.
	WriteMode
	// CreateMode is WriteMode for a file that must not exist yet.
	CreateMode
	// DirectMode opens an existing file for aligned reads past the page cache where the file system
	// can do that, else through it.
	DirectMode
)

// FS is what a store needs of a file system. Paths are slash-separated and absolute or relative to
// the process. Errors satisfy errors.Is with fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC,
// syscall.EROFS and syscall.EIO where those are meant. It is safe for concurrent use.
type FS interface {
	// Open opens a file; created ones have mode 0600. A created name is durable after SyncDir.
	Open(path string, mode OpenMode) (File, error)
	// MkdirAll creates a directory (mode 0700) and its parents; durable after SyncDir of the parents.
	MkdirAll(dir string) error
	// Remove removes a file; durable after SyncDir.
	Remove(path string) error
	// RemoveAll removes a directory and what is in it. A missing one is no error.
	RemoveAll(path string) error
	// Rename replaces newPath by oldPath at once; durable after SyncDir.
	Rename(oldPath, newPath string) error
	// List returns the names in a directory, in no order.
	List(dir string) ([]string, error)
	// SyncDir makes the creations, removals and renames in a directory durable.
	SyncDir(dir string) error
	// Space returns the bytes that an unprivileged writer can still write, and the size of the file system.
	Space(dir string) (free, total int64, err error)
	// Lock takes an exclusive lock that ends with the process, creating the file if need be. It
	// returns ErrDriveLocked when another holds it.
	Lock(path string) (io.Closer, error)
	// Index returns the same file system as the index wants it.
	Index() vfs.FS
}

// File is an open file. Reads and writes at offsets may run concurrently.
type File interface {
	// ReadAt is io.ReaderAt. Files opened for writing want offset, length and memory aligned to 4096.
	io.ReaderAt
	// ReadvAt fills bufs one after the other from off on. Offset, lengths and memory are aligned to
	// 4096. It returns the bytes read, which are less than the sum only with an error: io.EOF at the end.
	ReadvAt(bufs [][]byte, off int64) (int64, error)
	// WritevAt writes bufs one after the other from off on. Offset, lengths and memory are aligned to
	// 4096. It returns the bytes written, which are less than the sum only with an error.
	WritevAt(bufs [][]byte, off int64) (int64, error)
	// Datasync makes what was written and punched durable, and the size. After an error nothing is
	// known about any write since the last success.
	Datasync() error
	// Truncate sets the size; durable after Datasync.
	Truncate(size int64) error
	// PunchHole gives back the blocks of a range, which then reads as zeros; durable after Datasync.
	PunchHole(off, length int64) error
	// NextData returns the offset of the first byte at or after off that is not known to be in a
	// hole, or io.EOF when there is none.
	NextData(off int64) (int64, error)
	// Size returns the length in bytes.
	Size() (int64, error)
	io.Closer
}
