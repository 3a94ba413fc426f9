package transport

import (
	"io"
	"runtime"
	"sync"

	"shoal/p2p/wire"
)

// frameWriter puts the frames of many goroutines on one stream. Each copies its frame into the
// pending buffer; a goroutine that exists only while there is something to write sends what has
// gathered, so frames that arrive together leave together.
type frameWriter struct {
	w       io.Writer
	limit   int                 // bytes that may be pending before write waits or refuses
	start   func(f func()) bool // starts a goroutine that somebody waits for; false when closing
	onError func(err error)

	mu      sync.Mutex
	pending *writeBuffer // nil: nothing is
	busy    bool
	room    chan struct{} // closed when pending has been taken; nil if nobody waits
	err     error
}

// write queues a frame. It waits while too much is pending, until done or an error; with wait
// unset it reports full instead. A frame larger than the limit goes alone.
// header and payload are copied.
func (w *frameWriter) write(done <-chan struct{}, wait bool, f *wire.Frame, header, payload []byte) (full bool, err error) {
	size := wire.HeaderSize + len(header) + len(payload)
	w.mu.Lock()
	for w.err == nil && w.pending.size() > 0 && w.pending.size()+size > w.limit {
		if !wait {
			w.mu.Unlock()
			return true, nil
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return true, nil
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	if w.err != nil {
		return false, w.err
	}
	if w.pending == nil {
		w.pending = getWriteBuffer()
	}
	b := f.Append(w.pending.b)
	b = append(b, header...)
	w.pending.b = append(b, payload...)
	if !w.busy {
		w.busy = true
		if !w.start(w.flush) {
			w.busy = false
			w.failLocked(errClosing)
			return false, w.err
		}
	}
	return false, nil
}

// flush writes until nothing is pending.
func (w *frameWriter) flush() {
	// Let those who are about to write do so first: one call further down then serves them all.
	runtime.Gosched()
	w.mu.Lock()
	for w.pending != nil && w.err == nil {
		out := w.pending
		w.pending = nil
		w.wakeLocked()
		w.mu.Unlock()
		_, err := w.w.Write(out.b)
		out.put()
		w.mu.Lock()
		if err != nil {
			w.failLocked(err)
		}
	}
	w.busy = false
	err := w.err
	w.mu.Unlock()
	if err != nil && w.onError != nil {
		w.onError(err)
	}
}

// fail makes every later write return err.
func (w *frameWriter) fail(err error) {
	w.mu.Lock()
	w.failLocked(err)
	w.mu.Unlock()
}

func (w *frameWriter) failLocked(err error) {
	if w.err == nil {
		w.err = err
	}
	w.pending = nil
	w.wakeLocked()
}

func (w *frameWriter) wakeLocked() {
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}
