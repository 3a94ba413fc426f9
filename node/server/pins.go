package server

import (
	"maps"
	"sync"
	"time"

	"shoal/node/peer"
)

// pins are the versions that are being read. A version's shards stay while it is pinned.
//
// A lookup holds gate shared from before it reads until its pin is made; who wants to know whether a
// version is pinned takes gate alone first. So a lookup that saw the version alive has either pinned
// it by then, or had not begun, and will not find it any more.
type pins struct {
	gate sync.RWMutex
	now  func() time.Time

	mu    sync.Mutex // guards what follows
	byID  map[peer.VersionID]pin
	swept time.Time // when those were removed last that had ended
}

type pin struct {
	readers int
	renewed bool // by readers that may not be among those counted here: their lookup was another leader's
	until   time.Time
}

func newPins(now func() time.Time) *pins {
	return &pins{now: now, byID: make(map[peer.VersionID]pin)}
}

// add makes a pin. gate is held shared.
func (p *pins) add(v peer.VersionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.byID[v]
	n.readers++
	n.until = p.now().Add(peer.PinTTL)
	p.byID[v] = n
}

// renew makes a pin last anew, or makes it again where its lookup was another leader's. Nobody releases it then: it ends by itself.
func (p *pins) renew(v peer.VersionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.swept) > peer.PinTTL {
		maps.DeleteFunc(p.byID, func(_ peer.VersionID, n pin) bool { return now.After(n.until) })
		p.swept = now
	}
	n := p.byID[v]
	n.renewed = true
	n.until = now.Add(peer.PinTTL)
	p.byID[v] = n
}

// release gives one pin back. The version stays as long as others read it, or may.
func (p *pins) release(v peer.VersionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.byID[v]
	n.readers--
	switch {
	case !ok:
	case n.readers <= 0 && !n.renewed:
		delete(p.byID, v)
	default:
		n.readers = max(n.readers, 0)
		p.byID[v] = n
	}
}

// held tells whether a version that a read barrier showed to be gone is still being read.
func (p *pins) held(v peer.VersionID) bool {
	p.gate.Lock() // wait for lookups that saw it
	defer p.gate.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.byID[v]
	if ok && p.now().After(n.until) {
		delete(p.byID, v)
		return false
	}
	return ok
}
