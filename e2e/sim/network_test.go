package sim

import (
	"time"

	"shoal/node/consensus"
)

// packet is anything on its way from a node to another.
type packet struct {
	from, to consensus.NodeID
	arrive   func(*node)
	// lost is called when it is known that the packet did not arrive. May be nil.
	lost func()
	// once says that it cannot be repeated: an answer on a stream.
	once bool
}

// link is one direction between two nodes.
type link struct{ from, to consensus.NodeID }

// delayed is a packet that is held up.
type delayed struct {
	packet
	until time.Time
}

func (w *world) send(p packet) {
	if w.faulty && w.rng.IntN(60) == 0 {
		w.held = append(w.held, delayed{p, w.now.Add(time.Duration(w.rng.IntN(8000)) * time.Millisecond)})
		return
	}
	w.packets = append(w.packets, p)
}

// deliver takes a packet out of the middle of the network.
func (w *world) deliver() {
	i := w.rng.IntN(min(len(w.packets), 12))
	p := w.packets[i]
	if p.once || !w.faulty || w.rng.IntN(40) > 0 {
		w.packets = append(w.packets[:i], w.packets[i+1:]...)
	}
	n := w.byID[p.to]
	if n == nil || !n.up || w.blocked[link{p.from, p.to}] || w.faulty && w.rng.IntN(50) == 0 {
		if p.lost != nil && w.rng.IntN(3) > 0 {
			p.lost()
		}
		return
	}
	p.arrive(n)
}

// release lets packets go that were held up.
func (w *world) release() {
	kept := w.held[:0]
	for _, d := range w.held {
		if d.until.After(w.now) {
			kept = append(kept, d)
		} else {
			w.packets = append(w.packets, d.packet)
		}
	}
	w.held = kept
}

// call asks another node and waits for its answer. An error that is errSilent leaves open what was done.
func (p *proc) call(to consensus.NodeID, timeout time.Duration, h func(*proc, *node) (any, error)) (any, error) {
	w, from := p.w, p.n
	if to == from.id {
		return h(p, from)
	}
	f := w.future()
	answer := func(v any, err error) {
		w.send(packet{from: to, to: from.id, once: true, arrive: func(*node) { f.resolve(v, err) }})
	}
	begun := false
	w.send(packet{
		from: from.id, to: to, once: true,
		arrive: func(n *node) {
			begun = true
			w.spawn(n, p.name, func(hp *proc) { answer(h(hp, n)) })
		},
		lost: func() {
			if !begun {
				f.resolve(nil, errAway)
			}
		},
	})
	return p.await(f, timeout)
}

// views are what each node thinks of the others: when it has last heard of them.
type views struct {
	heard map[link]time.Time
	since map[link]time.Time
	state map[link]liveness
}

type liveness uint8

const (
	alive liveness = iota
	suspect
	dead
)

const (
	suspectAfter = 3 * time.Second
	deadAfter    = 8 * time.Second
)

// look lets every node listen for all others, as the failure detector would: a node is heard directly or through a third one.
func (w *world) look() {
	for _, a := range w.nodes {
		if !a.up {
			continue
		}
		for _, b := range w.nodes {
			if a == b {
				continue
			}
			l := link{a.id, b.id}
			if _, known := w.views.since[l]; !known {
				w.views.heard[l], w.views.since[l] = w.now, w.now
			}
			if w.reaches(a, b) {
				w.views.heard[l] = w.now
			}
			w.judge(a, b, l)
		}
	}
}

func (w *world) judge(a, b *node, l link) {
	quiet, now := w.now.Sub(w.views.heard[l]), alive
	switch {
	case quiet >= deadAfter:
		now = dead
	case quiet >= suspectAfter:
		now = suspect
	}
	if old := w.views.state[l]; old != now {
		w.views.state[l], w.views.since[l] = now, w.now
		if (old == dead) != (now == dead) {
			a.st.Peer(b.id, now != dead)
		}
	}
}

func (w *world) reaches(a, b *node) bool {
	if !a.up || !b.up || b.stalled > 0 {
		return false
	}
	open := func(x, y *node) bool { return !w.blocked[link{x.id, y.id}] && !w.blocked[link{y.id, x.id}] }
	if open(a, b) {
		return true
	}
	for _, c := range w.nodes {
		if c.up && c != a && c != b && open(a, c) && open(c, b) {
			return true
		}
	}
	return false
}

// deadTo says whether a node thinks that another is dead.
func (n *node) deadTo(other consensus.NodeID) bool { return n.w.views.state[link{n.id, other}] == dead }
