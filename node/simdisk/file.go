package simdisk

import (
	"io"
	"io/fs"
	"syscall"
)

// handle is an open file.
type handle struct {
	d    *Disk
	node *inode
	name string
}

func (h *handle) readAt(p []byte, off int64) (int, error) {
	out := h.d.enter(Call{OpRead, h.name, off, int64(len(p))})
	defer h.d.mu.Unlock()
	if out.err != nil {
		return 0, out.err
	}
	if off >= int64(len(h.node.now.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.node.now.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// writeAt writes all of the buffers, one after the other. A failing write leaves a part.
func (h *handle) writeAt(bufs [][]byte, off int64) (int64, error) {
	total := int64(0)
	for _, b := range bufs {
		total += int64(len(b))
	}
	all := make([]byte, 0, total)
	for _, b := range bufs {
		all = append(all, b...)
	}
	out := h.d.enter(Call{OpWrite, h.name, off, total})
	defer h.d.mu.Unlock()
	if h.d.dead && !out.crash {
		return 0, ErrCrashed
	}
	err := out.err
	switch {
	case out.crash: // What reached the disk is decided by the crash.
	case err != nil:
		all = all[:h.d.rng.Int64N(total+1)]
	default:
		if room := h.room(off, total); room < total {
			all = all[:room]
			err = &fs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
		}
	}
	if len(all) > 0 {
		h.node.do(change{kind: changeWrite, off: off, data: all})
	}
	if err == nil {
		return total, nil
	}
	return int64(len(all)), err
}

// room returns how many of n bytes from off on have space. The caller holds mu.
func (h *handle) room(off, n int64) int64 {
	if h.d.capacity == 0 {
		return n
	}
	free := h.d.capacity/pageBytes - h.d.used()
	for page := off / pageBytes; page*pageBytes < off+n; page++ {
		if page < int64(len(h.node.now.alloc)) && h.node.now.alloc[page] {
			continue
		}
		if free <= 0 {
			return max(page*pageBytes-off, 0)
		}
		free--
	}
	return n
}

// sync makes the file durable. A failed one loses what was pending: it stays readable until the
// crash, and no later sync saves it.
func (h *handle) sync() error {
	out := h.d.enter(Call{Op: OpSync, Path: h.name})
	defer h.d.mu.Unlock()
	switch {
	case out.crash:
	case out.err != nil:
		if !h.d.dead {
			h.node.pending = nil
		}
	default:
		h.node.sync()
	}
	return out.err
}

func (h *handle) truncate(n int64) error {
	out := h.d.enter(Call{OpTruncate, h.name, n, 0})
	defer h.d.mu.Unlock()
	if out.err == nil || out.crash {
		h.node.do(change{kind: changeResize, n: n})
	}
	return out.err
}

func (h *handle) punch(off, n int64) error {
	out := h.d.enter(Call{OpPunch, h.name, off, n})
	defer h.d.mu.Unlock()
	if out.err == nil || out.crash {
		h.node.do(change{kind: changePunch, off: off, n: n})
	}
	return out.err
}

func (h *handle) size() (int64, error) {
	out := h.d.enter(Call{Op: OpStat, Path: h.name})
	defer h.d.mu.Unlock()
	return int64(len(h.node.now.data)), out.err
}

// nextData returns the first byte at or after off in a page that takes space.
func (h *handle) nextData(off int64) (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	for page := off / pageBytes; page < int64(len(h.node.now.alloc)); page++ {
		if h.node.now.alloc[page] {
			return max(off, page*pageBytes), nil
		}
	}
	return 0, io.EOF
}
