//go:build unix

package chunker

import "golang.org/x/sys/unix"

// mapMemory returns zeroed, page-aligned memory outside the Go heap, so that a pool's buffers
// neither drive the collector nor are held back by it.
func mapMemory(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func unmapMemory(mem []byte) {
	if err := unix.Munmap(mem); err != nil {
		panic("chunker: unmap a buffer: " + err.Error())
	}
}
