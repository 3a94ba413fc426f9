package main

import (
	"os"
	"runtime/debug"
)

// Bounds of the Go heap. The buffers of requests and the metadata cache have bounds of
// their own and lie partly outside it; a limit that the collector respects keeps the
// garbage of many small requests from doubling them.
const (
	memoryLimitBytes = 120 << 20
	gcPercent        = 80
)

// boundMemory applies the bounds unless the environment sets others.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimitBytes)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
