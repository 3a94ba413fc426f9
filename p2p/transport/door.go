package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
)

// authorizeTimeout bounds what a handshake waits for the gate.
const authorizeTimeout = 5 * time.Second

// Gate decides who of those with a good credential is served. member.Gate is the one that asks the
// member table.
type Gate interface {
	// Authorize decides about a peer that has proved the key its credential names. It returns the
	// peer as handlers shall see it. It may wait, but not for a connection to that same peer.
	Authorize(ctx context.Context, c member.Credential) (p2p.Peer, error)
	// Recheck decides again about a peer that was let in, without waiting; false cuts it off.
	Recheck(c member.Credential) (p2p.Peer, bool)
	// OnChange registers f to be called when Recheck may have other answers than before.
	OnChange(f func())
}

// openGate is the gate of a host that has none: the credential is enough.
type openGate struct{}

func (openGate) Authorize(_ context.Context, c member.Credential) (p2p.Peer, error) {
	return c.Identity(), nil
}
func (openGate) Recheck(c member.Credential) (p2p.Peer, bool) { return c.Identity(), true }
func (openGate) OnChange(func())                              {}

// door remembers who was let in, and as what. Every handshake between members passes it, on the
// control and on the bulk plane, in both directions, before anything else is heard from the peer.
type door struct {
	gate  Gate
	trust *member.Trust

	mu    sync.Mutex
	round uint64 // of rechecks: a decision from before one does not count after it
	in    map[p2p.NodeID]entry
}

// entry is one who was let in.
type entry struct {
	cred member.Credential
	peer p2p.Peer
}

func newDoor(gate Gate, trust *member.Trust) *door {
	if gate == nil {
		gate = openGate{}
	}
	return &door{gate: gate, trust: trust, in: make(map[p2p.NodeID]entry)}
}

// refusedError is the gate's no.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "not served: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// enter lets the holder of c in, or says why not.
func (d *door) enter(ctx context.Context, c member.Credential) error {
	ctx, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	for {
		d.mu.Lock()
		old, known := d.in[c.Peer]
		round := d.round
		if known && old.cred == c {
			err := d.trust.Admit(c)
			d.mu.Unlock()
			return err
		}
		d.mu.Unlock()
		p, err := d.gate.Authorize(ctx, c)
		if err != nil {
			return &refusedError{err}
		}
		if p.ID != c.Peer || p.Roles == 0 {
			return &refusedError{fmt.Errorf("the gate answered for %q with roles %v", p.ID, p.Roles)}
		}
		d.mu.Lock()
		if d.round == round {
			// A peer that shows an older credential on one connection than on another is what the
			// newer one says.
			if old, known = d.in[c.Peer]; !known || old.cred.Serial <= c.Serial {
				d.in[c.Peer] = entry{c, p}
			}
			err := d.trust.Admit(c)
			if err != nil {
				delete(d.in, c.Peer)
			}
			d.mu.Unlock()
			return err
		}
		d.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// inside returns a peer that was let in and still is.
func (d *door) inside(id p2p.NodeID) (p2p.Peer, bool) {
	if _, ok := d.trust.Member(id); !ok {
		return p2p.Peer{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.in[id]
	return e.peer, ok
}

// leave forgets a peer.
func (d *door) leave(id p2p.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.in, id)
}

// recheck asks the gate again about everybody, and returns who must be cut: out are in no more,
// and others have changed their roles or site.
func (d *door) recheck() (out, others []p2p.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round++
	for id, e := range d.in {
		p, ok := d.gate.Recheck(e.cred)
		switch {
		case !ok:
			delete(d.in, id)
			out = append(out, id)
		case p.Roles != e.peer.Roles || p.Site != e.peer.Site:
			d.in[id] = entry{e.cred, p}
			others = append(others, id)
		}
	}
	return out, others
}

// Recheck asks the gate again about every peer that was let in, and cuts off at once those that it
// refuses now. Those whose roles have changed are cut too, and may come back as what they are. It
// runs by itself whenever the gate changes.
func (h *Host) Recheck() {
	out, others := h.door.recheck()
	for _, id := range out {
		h.trust.Forget(id)
		h.cutPeer(id, true)
		h.log.Info("peer is no member any more", "node_id", id)
	}
	for _, id := range others {
		h.cutPeer(id, false)
		h.log.Info("roles or site of peer have changed", "node_id", id)
	}
}

// cutPeer closes everything to a peer. With forget set, it is not dialled again at the addresses
// known.
func (h *Host) cutPeer(id p2p.NodeID, forget bool) {
	h.mu.RLock()
	l := h.links[id]
	h.mu.RUnlock()
	h.inbound.closePeer(id)
	if l != nil {
		l.cut(errNotMember, forget)
	}
}

var errNotMember = errors.New("peer is no member any more")
