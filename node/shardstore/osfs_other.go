//go:build !linux

package shardstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// osFile is a file of the operating system, through the page cache and with nothing but what all
// systems have: good enough to try shoal out. Space comes back when segments are unlinked.
type osFile struct{ *os.File }

func openOS(path string, mode OpenMode) (File, error) {
	flags := os.O_RDONLY
	switch mode {
	case WriteMode:
		flags = os.O_RDWR
	case CreateMode:
		flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (o osFile) ReadvAt(bufs [][]byte, off int64) (total int64, err error) {
	for _, b := range bufs {
		n, err := o.ReadAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (o osFile) WritevAt(bufs [][]byte, off int64) (total int64, err error) {
	for _, b := range bufs {
		n, err := o.WriteAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (o osFile) Datasync() error                   { return o.Sync() }
func (o osFile) PunchHole(int64, int64) error      { return nil }
func (o osFile) NextData(off int64) (int64, error) { return off, nil }

func (o osFile) Size() (int64, error) {
	st, err := o.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (osFS) Space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
