package consensus

import (
	"sync"

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

	// spare is the other inbox. Only the worker touches it.
	spare *inbox
}

// schedule puts the group into its worker's queue, once. It needs mu and releases it.
func (h *handle) schedule() {
	need := !h.scheduled
	h.scheduled = true
	h.mu.Unlock()
	if need {
		h.w.ready.push(h)
	}
}

// propose adds a proposal; false says that there is no room.
func (h *handle) propose(p *proposal, countMax, bytesMax int) bool {
	h.mu.Lock()
	if len(h.in.props) >= countMax || h.propBytes > 0 && h.propBytes+len(p.data) > bytesMax {
		h.mu.Unlock()
		return false
	}
	h.propBytes += len(p.data)
	h.in.props = append(h.in.props, p)
	h.schedule()
	return true
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

func (h *handle) appended(it *appendItem) {
	h.mu.Lock()
	h.in.appended = append(h.in.appended, it)
	h.schedule()
}

func (h *handle) applied(it *applyItem) {
	h.mu.Lock()
	h.in.applied = append(h.in.applied, it)
	h.schedule()
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
