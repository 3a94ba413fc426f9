//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// errUnknown says that this system does not tell, so that a column stays empty.
var errUnknown = errors.New("not known on this system")

func processAttributes() *syscall.SysProcAttr  { return nil }
func processorTime(int) (time.Duration, error) { return 0, errUnknown }
func machineTime() (time.Duration, error)      { return 0, errUnknown }
func peakBytes(int) (int64, error)             { return 0, errUnknown }
func resetPeak(int) error                      { return errUnknown }
func syncData(f *os.File) error                { return f.Sync() }
func openDirect(name string) (*os.File, error) { return os.Create(name) }
func alignedBuffer(n int) ([]byte, func() error, error) {
	return make([]byte, n), func() error { return nil }, nil
}
func availableBytes(string) (int64, error) { return 0, errUnknown }
