package consensus

import (
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3/raftpb"
)

// handle is a group as the driver sees it: its core and the inbox that fills up until its worker comes round.
type handle struct {
	g *group
	w *worker

	// mu guards the fields below.
	mu        sync.Mutex
	in        *inbox
	propBytes int
	msgBytes  int
	scheduled bool

	// spare is the other inbox. Only who holds the worker's turn touches it.
	spare *inbox
	// lastApplied is the index up to which the state is visible; the group may not have heard of it yet.
	lastApplied atomic.Uint64
}

// due notes that the group has something to look at. It needs mu and releases it. True makes it the caller's duty to have the group stepped.
func (h *handle) due() bool {
	mine := !h.scheduled
	h.scheduled = true
	h.mu.Unlock()
	return mine
}

// schedule puts the group into its worker's queue, once. It needs mu and releases it.
func (h *handle) schedule() {
	if h.due() {
		h.w.ready.push(h)
	}
}

// wake has the group look around.
func (h *handle) wake() {
	h.mu.Lock()
	h.schedule()
}

// propose adds a proposal. ok is false if there is no room; mine as in due.
func (h *handle) propose(p *proposal, countMax, bytesMax int) (ok, mine bool) {
	h.mu.Lock()
	if len(h.in.props) >= countMax || h.propBytes > 0 && h.propBytes+len(p.data) > bytesMax {
		h.mu.Unlock()
		return false, false
	}
	h.propBytes += len(p.data)
	h.in.props = append(h.in.props, p)
	return true, h.due()
}

func (h *handle) read(w *readWait, countMax int) bool {
	h.mu.Lock()
	if len(h.in.reads) >= countMax {
		h.mu.Unlock()
		return false
	}
	h.in.reads = append(h.in.reads, w)
	h.schedule()
	return true
}

func (h *handle) message(in inbound, bytesMax int) bool {
	size := messageCost(in.m)
	h.mu.Lock()
	if h.msgBytes > 0 && h.msgBytes+size > bytesMax {
		h.mu.Unlock()
		return false
	}
	h.msgBytes += size
	h.in.msgs = append(h.in.msgs, in)
	h.schedule()
	return true
}

// messageCost is about what a message takes in memory.
func messageCost(m *raftpb.Message) int {
	n := 256
	if m != nil {
		for _, e := range m.GetEntries() {
			n += int(entryCost(e))
		}
	}
	return n
}

// appended returns an append; the result as in due.
func (h *handle) appended(it *appendItem) bool {
	h.mu.Lock()
	h.in.appended = append(h.in.appended, it)
	return h.due()
}

// lazyBytesMax is the size of the entries whose application a group need not hear of at once. It must stay well below what Raft lets be
// applied at a time, or the group would stall.
const lazyBytesMax = 128 << 10

// applied returns applied entries; the result as in due. The only voter has nobody who waits for it to hear of them: its next step, or the
// next tick, is early enough.
func (h *handle) applied(it *applyItem) bool {
	lazy := len(it.changes) == 0 && !it.restored && h.g.solo.Load()
	size := int64(0)
	for _, e := range it.entries {
		size += entryCost(e)
	}
	if n := len(it.entries); n > 0 {
		h.lastApplied.Store(it.entries[n-1].GetIndex())
	}
	h.mu.Lock()
	h.in.applied = append(h.in.applied, it)
	if lazy && size <= lazyBytesMax {
		h.mu.Unlock()
		return false
	}
	return h.due()
}

func (h *handle) signal(s signal) {
	h.mu.Lock()
	h.in.signals = append(h.in.signals, s)
	h.schedule()
}

func (h *handle) tick() {
	h.mu.Lock()
	h.in.ticks++
	h.schedule()
}

// take gives the worker what has come together.
func (h *handle) take() *inbox {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.in
	h.in = h.spare
	h.spare = nil
	h.propBytes, h.msgBytes, h.scheduled = 0, 0, false
	return in
}
