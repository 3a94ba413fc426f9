package transport

import (
	"sync"

	"shoal/p2p"
)

// events delivers the coming and going of peers, one at a time and in order. Its queue is bounded
// by what the swarm can produce: two entries per connection that opened.
type events struct {
	tasks *tasks

	mu    sync.Mutex
	subs  []func(p2p.NodeID, bool)
	queue []peerEvent
	busy  bool
}

type peerEvent struct {
	id p2p.NodeID
	up bool
}

func (e *events) subscribe(f func(p2p.NodeID, bool)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subs = append(e.subs, f)
}

func (e *events) push(id p2p.NodeID, up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.subs) == 0 {
		return
	}
	e.queue = append(e.queue, peerEvent{id, up})
	if !e.busy {
		e.busy = e.tasks.start(e.deliver)
	}
}

func (e *events) deliver() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) > 0 {
		ev := e.queue[0]
		e.queue = e.queue[1:]
		subs := e.subs
		e.mu.Unlock()
		for _, f := range subs {
			f(ev.id, ev.up)
		}
		e.mu.Lock()
	}
	e.queue, e.busy = nil, false
}
