package client

import (
	"sync"
	"time"

	"shoal/p2p"
)

const (
	avoidSlowMin = time.Second // after the first time-out in a row, twice that after each further one
	avoidSlowMax = 16 * time.Second
	avoidLost    = 500 * time.Millisecond // after a broken connection: a node that was restarted is soon back
	probeTime    = time.Second            // in which one request tries a node that was avoided
)

// ailments remembers which nodes did not answer in time, so that one that hangs costs its time-out
// once and not for each request. It never forbids a node: who has no other choice asks it.
type ailments struct {
	alive func(p2p.NodeID) bool // the failure detector's word; nil when there is none
	now   func() time.Time

	mu  sync.RWMutex // guards bad
	bad map[p2p.NodeID]ailment
}

// ailment is what is held against a node.
type ailment struct {
	timeouts int       // in a row
	until    time.Time // when the node is worth a try again; zero while it is not avoided
	late     bool      // others were faster once, and no answer has come since
}

func newAilments(alive func(p2p.NodeID) bool) *ailments {
	return &ailments{alive: alive, now: time.Now, bad: make(map[p2p.NodeID]ailment)}
}

// dead tells whether the failure detector has given a node up.
func (h *ailments) dead(id p2p.NodeID) bool { return h.alive != nil && !h.alive(id) }

// usable tells whether a node is expected to answer at once. Of those who ask after a time of
// avoidance one is told yes, and tries it for all.
func (h *ailments) usable(id p2p.NodeID) bool {
	if h.dead(id) {
		return false
	}
	h.mu.RLock()
	a, ill := h.bad[id]
	h.mu.RUnlock()
	if !ill || a.until.IsZero() {
		return true
	}
	now := h.now()
	if now.Before(a.until) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ill = h.bad[id]
	if !ill || a.until.IsZero() {
		return true
	}
	if now.Before(a.until) {
		return false
	}
	a.until = now.Add(probeTime)
	h.bad[id] = a
	return true
}

// avoided tells whether usable would say no. Unlike that it takes nobody's turn to try a node: it is for those who
// only choose, and may choose another.
func (h *ailments) avoided(id p2p.NodeID) bool {
	if h.dead(id) {
		return true
	}
	h.mu.RLock()
	a, ill := h.bad[id]
	h.mu.RUnlock()
	return ill && !a.until.IsZero() && h.now().Before(a.until)
}

// good says that a node answered.
func (h *ailments) good(id p2p.NodeID) {
	h.mu.RLock()
	_, ill := h.bad[id]
	h.mu.RUnlock()
	if !ill {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bad, id)
}

// slow says that a node did not answer in time.
func (h *ailments) slow(id p2p.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.bad[id]
	now := h.now()
	if a.timeouts > 0 && now.Before(a.until.Add(-probeTime)) {
		return // one of several that waited for the same silence
	}
	a.until = now.Add(min(avoidSlowMin<<min(a.timeouts, 10), avoidSlowMax))
	a.timeouts++
	h.bad[id] = a
}

// late says that others did the work of a node before it answered. Once is chance: where all are busy, one of
// them is always the last. Twice without an answer in between is silence.
func (h *ailments) late(id p2p.NodeID) {
	h.mu.Lock()
	a := h.bad[id]
	again := a.late
	a.late = true
	h.bad[id] = a
	h.mu.Unlock()
	if again {
		h.slow(id)
	}
}

// lost says that no connection to a node could be made, or that it broke.
func (h *ailments) lost(id p2p.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.bad[id]
	if until := h.now().Add(avoidLost); until.After(a.until) {
		a.until = until
	}
	h.bad[id] = a
}
