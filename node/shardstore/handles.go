package shardstore

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
)

// handles keeps the segments open for reading, most recently used first to stay. An unlinked
// segment stays readable for those who hold it.
type handles struct {
	fs   FS
	dir  string
	mode OpenMode
	max  int

	clock atomic.Uint64

	mu   sync.RWMutex // guards open
	open map[uint32]*handle
}

// handle is an open segment. refs counts its users, and one for the table while it is in there.
type handle struct {
	File
	refs atomic.Int64
	used atomic.Uint64
}

func newHandles(fs FS, dir string, mode OpenMode, max int) *handles {
	return &handles{fs: fs, dir: dir, mode: mode, max: max, open: make(map[uint32]*handle)}
}

// acquire opens a segment for reading. The caller releases what it gets. A segment that is gone is
// ErrNotFound.
func (hs *handles) acquire(num uint32) (*handle, error) {
	now := hs.clock.Add(1)
	hs.mu.RLock()
	h := hs.open[num]
	if h != nil {
		h.refs.Add(1)
	}
	hs.mu.RUnlock()
	if h != nil {
		h.used.Store(now)
		return h, nil
	}
	return hs.add(num, now)
}

func (hs *handles) add(num uint32, now uint64) (*handle, error) {
	f, err := hs.fs.Open(segmentPath(hs.dir, num), hs.mode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: segment %08x is gone", ErrNotFound, num)
	}
	if err != nil {
		return nil, err
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.open[num]
	if h != nil {
		f.Close() // another was faster
	} else {
		h = &handle{File: f}
		h.refs.Store(1)
		hs.open[num] = h
		hs.evict(num)
	}
	h.refs.Add(1)
	h.used.Store(now)
	return h, nil
}

// evict closes the least recently used segments beyond the limit. The caller holds mu.
func (hs *handles) evict(keep uint32) {
	for len(hs.open) > hs.max {
		oldest, at := keep, ^uint64(0)
		for num, h := range hs.open {
			if used := h.used.Load(); num != keep && used < at {
				oldest, at = num, used
			}
		}
		if oldest == keep {
			return
		}
		h := hs.open[oldest]
		delete(hs.open, oldest)
		h.release()
	}
}

// release gives the segment back; the last one closes it.
func (h *handle) release() {
	if h.refs.Add(-1) == 0 {
		h.Close()
	}
}

// forget closes a segment as soon as nobody reads it.
func (hs *handles) forget(num uint32) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.open[num]; h != nil {
		delete(hs.open, num)
		h.release()
	}
}

func (hs *handles) close() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for num, h := range hs.open {
		delete(hs.open, num)
		h.release()
	}
}
