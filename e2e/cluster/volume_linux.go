package cluster

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ioctlShutdown is EXT4_IOC_SHUTDOWN, and shutdownNoLogFlush its flag that drops what is
// not yet in the journal.
const (
	ioctlShutdown      = 0x8004587d
	shutdownNoLogFlush = 2
)

// shutDown makes a mounted ext4 refuse all input and output.
func shutDown(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("shut a file system down", unix.IoctlSetPointerInt(int(f.Fd()), ioctlShutdown, shutdownNoLogFlush))
}

// allocate takes blocks for a file without writing them.
func allocate(f *os.File, off, n int64) error {
	return os.NewSyscallError("fallocate", unix.Fallocate(int(f.Fd()), 0, off, n))
}

// isFull says whether an error is that of a file system without space. A file larger than a
// file system can hold is refused with an error of its own.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EFBIG) }
