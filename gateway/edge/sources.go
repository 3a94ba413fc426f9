package edge

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// sourceTable counts what sources have in flight. Where a request comes from may not be known; all of those are one source.
type sourceTable struct {
	most atomic.Int64 // of one source

	mu       sync.Mutex
	inFlight map[netip.Addr]int64 // guarded by mu; none is 0
}

// enter takes a place, which must be left. It returns false, and takes none, when the source has as many as it may.
func (t *sourceTable) enter(source netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.inFlight[source]
	if n >= t.most.Load() {
		return false
	}
	if t.inFlight == nil {
		t.inFlight = make(map[netip.Addr]int64)
	}
	t.inFlight[source] = n + 1
	return true
}

func (t *sourceTable) leave(source netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.inFlight[source] - 1; n > 0 {
		t.inFlight[source] = n
	} else {
		delete(t.inFlight, source)
	}
}
