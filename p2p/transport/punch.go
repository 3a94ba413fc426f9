package transport

import (
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
)

const (
	// punchAgainMin is when a hole is punched again for the first time. libp2p does it when a relayed connection comes in, and not again as
	// long as that lasts; but then a node may not know yet how others see it, or both may be too busy to meet.
	punchAgainMin = 10 * time.Second
	punchAgainMax = 10 * time.Minute
)

// punches says when a hole is punched again for a peer that is connected through relays alone.
type punches map[peer.ID]punch

type punch struct {
	at    time.Time
	pause time.Duration // after it
}

// due gives those of the relayed peers whose turn it is, and forgets all others.
func (p punches) due(relayed []peer.ID, now time.Time) []peer.ID {
	for pid := range p {
		if !slices.Contains(relayed, pid) {
			delete(p, pid)
		}
	}
	var due []peer.ID
	for _, pid := range relayed {
		a, known := p[pid]
		switch {
		case !known:
			p[pid] = punch{at: now.Add(punchAgainMin), pause: 2 * punchAgainMin}
		case !now.Before(a.at):
			p[pid] = punch{at: now.Add(a.pause), pause: min(2*a.pause, punchAgainMax)}
			due = append(due, pid)
		}
	}
	return due
}

// punchAgain tries to get off relays.
func (e *edge) punchAgain(p punches) {
	if len(e.punchAddrs()) == 0 {
		return // nobody could be told where to aim
	}
	for _, pid := range p.due(e.relayed(), time.Now()) {
		e.h.tasks.start(func() {
			done := make(chan error, 1)
			go func() { done <- e.h.nat.punch.DirectConnect(pid) }() // takes no context; the service's end ends it
			select {
			case err := <-done:
				if errors.Is(err, holepunch.ErrHolePunchActive) {
					return // the last attempt goes on
				}
				e.h.metrics.punch(err)
				e.h.log.Debug("a hole was punched once more", "peer", pid, "err", err)
			case <-e.h.tasks.ctx.Done():
			}
		})
	}
}

// relayed lists the peers that have connected to us through relays alone. It is they who are asked to punch with us, as with libp2p's first attempt:
// if both ends asked, they would miss each other.
func (e *edge) relayed() []peer.ID {
	var out []peer.ID
	for _, pid := range e.h.sw.Peers() {
		conns := e.h.sw.ConnsToPeer(pid)
		if len(conns) > 0 && !slices.ContainsFunc(conns, func(c network.Conn) bool { return !limited(c) }) &&
			slices.ContainsFunc(conns, func(c network.Conn) bool { return c.Stat().Direction == network.DirInbound }) {
			out = append(out, pid)
		}
	}
	return out
}
