package simdisk

import "unsafe"

// aligned tells whether b starts on a page in memory, as direct I/O wants it.
func aligned(b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%pageBytes == 0
}
