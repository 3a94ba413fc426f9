//go:build !unix

package chunker

import "unsafe"

// mapMemory returns zeroed, page-aligned memory.
func mapMemory(size int) ([]byte, error) {
	raw := make([]byte, size+pageSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))) & (pageSize - 1)
	return raw[skip : skip+size : skip+size], nil
}

// unmapMemory leaves the memory to the collector.
func unmapMemory([]byte) {}
