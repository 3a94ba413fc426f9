//go:build !linux

package transport

import "errors"

// mapPages is not to be had here: buffers are on the Go heap.
func mapPages(size, used int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapPages([]byte) {}
