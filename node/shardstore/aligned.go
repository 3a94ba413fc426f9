package shardstore

import "unsafe"

// alignedBytes returns n zeroed bytes that start on a multiple of pageSize in memory.
func alignedBytes(n int) []byte {
	b := make([]byte, n+pageSize)
	skip := (pageSize - int(uintptr(unsafe.Pointer(&b[0]))%pageSize)) % pageSize
	return b[skip : skip+n : skip+n]
}

func isAligned(b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%pageSize == 0
}
