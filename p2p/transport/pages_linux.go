package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapPages returns size bytes of zeroed memory outside the Go heap. It begins on a huge page, and the kernel is asked to make
// the first used bytes of huge pages, as far as they fill some.
func mapPages(size, used int) ([]byte, error) {
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(size)+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	head := -uintptr(base) & (hugePage - 1)
	mem := unsafe.Slice((*byte)(unsafe.Add(base, head)), size)
	if head > 0 {
		unix.MunmapPtr(base, head)
	}
	unix.MunmapPtr(unsafe.Add(base, head+uintptr(size)), hugePage-head)
	unix.Madvise(mem[:used&^(hugePage-1)], unix.MADV_HUGEPAGE) // a kernel without them says no
	return mem, nil
}

// unmapPages gives memory of mapPages back.
func unmapPages(mem []byte) {
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem))); err != nil {
		panic("transport: unmap a buffer: " + err.Error())
	}
}
