package transport

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p"
)

const (
	// edgeRelays is how many members an edge keeps connected, each with a slot as its relay.
	edgeRelays = 3
	// addrsPerRelay keeps the addresses of an edge within what a hello carries.
	addrsPerRelay  = 2
	edgeCheckEvery = 5 * time.Second
	reserveTimeout = 10 * time.Second
	// reserveAgain is when a member is asked again that does not relay for us.
	reserveAgain = time.Minute
)

// edge keeps a node reachable that cannot be dialled: it stays connected to a few members that can
// be, has each of them relay, and knows under which addresses they see it, for punching holes.
//
// Who can be dialled it learns from the hellos of whomever this node has met, so it needs no list;
// discovery makes it meet members.
type edge struct {
	h    *Host
	wake chan struct{}

	mu       sync.Mutex
	slots    map[peer.ID]slot
	observed map[peer.ID]ma.Multiaddr // our address, as that peer sees it
	refused  map[peer.ID]time.Time    // when it may be asked again
}

// slot is a reservation at a relay.
type slot struct {
	addrs   []ma.Multiaddr // ours, through it
	renewAt time.Time
}

func newEdge(h *Host) *edge {
	return &edge{
		h: h, wake: make(chan struct{}, 1),
		slots:    make(map[peer.ID]slot),
		observed: make(map[peer.ID]ma.Multiaddr),
		refused:  make(map[peer.ID]time.Time),
	}
}

// start runs the edge until its host closes.
func (e *edge) start() error {
	bus := e.h.bh.EventBus()
	sub, err := bus.Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	moved, err := bus.Emitter(new(event.EvtAutoRelayAddrsUpdated))
	if err != nil {
		sub.Close()
		return err
	}
	e.h.OnPeer(func(p2p.NodeID, bool) { e.poke() })
	if !e.h.tasks.start(func() {
		defer sub.Close()
		defer moved.Close()
		e.run(sub.Out(), moved)
	}) {
		sub.Close()
		moved.Close()
	}
	return nil
}

// poke has the connections looked at soon.
func (e *edge) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *edge) run(identified <-chan any, moved event.Emitter) {
	t := time.NewTicker(edgeCheckEvery)
	defer t.Stop()
	var told []string
	again := punches{}
	for {
		select {
		case ev := <-identified:
			if id, ok := ev.(event.EvtPeerIdentificationCompleted); ok {
				e.seen(id)
			}
			continue
		case <-t.C:
		case <-e.wake:
		case <-e.h.tasks.ctx.Done():
			return
		}
		e.check()
		e.punchAgain(again)
		addrs := e.addrs()
		if texts := addrTexts(addrs); !slices.Equal(texts, told) {
			told = texts
			moved.Emit(event.EvtAutoRelayAddrsUpdated{RelayAddrs: addrs})
			e.h.log.Info("relays of this node changed", "addrs", texts)
			if e.h.cfg.OnAddrs != nil {
				e.h.cfg.OnAddrs(e.h.Addrs())
			}
		}
	}
}

// seen notes the address from which a peer sees us.
func (e *edge) seen(ev event.EvtPeerIdentificationCompleted) {
	if ev.ObservedAddr == nil || limited(ev.Conn) || !usefulToOthers(ev.ObservedAddr) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observed[ev.Peer] = ev.ObservedAddr
}

// check drops slots that are gone, and gets new ones while there are too few.
func (e *edge) check() {
	now := time.Now()
	e.mu.Lock()
	for pid := range e.slots {
		if !e.connected(pid) {
			delete(e.slots, pid)
		}
	}
	for pid := range e.observed {
		if !e.connected(pid) {
			delete(e.observed, pid)
		}
	}
	for pid, at := range e.refused {
		if now.After(at) {
			delete(e.refused, pid)
		}
	}
	e.mu.Unlock()
	for _, l := range e.candidates() {
		e.mu.Lock()
		s, have := e.slots[l.pid]
		_, refused := e.refused[l.pid]
		full := len(e.slots) >= edgeRelays
		e.mu.Unlock()
		if have && now.Before(s.renewAt) || !have && (full || refused) {
			continue
		}
		if err := e.reserve(l); err != nil {
			e.h.log.Debug("no relay at peer", "node_id", l.id, "err", err)
		}
		if e.h.tasks.ctx.Err() != nil {
			return
		}
	}
}

func (e *edge) connected(pid peer.ID) bool { return e.h.linkOf(pid).direct() }

// candidates lists the members met that can be dialled: those connected first, else in random order.
func (e *edge) candidates() []*link {
	e.h.mu.RLock()
	links := make([]*link, 0, len(e.h.pids))
	for _, l := range e.h.pids {
		links = append(links, l)
	}
	e.h.mu.RUnlock()
	links = slices.DeleteFunc(links, func(l *link) bool {
		hi := l.peerHello()
		return len(hi.dialable()) == 0 || e.h.trust.Revoked(l.id)
	})
	rand.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	rank := func(l *link) int {
		if l.direct() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(links, func(a, b *link) int { return rank(a) - rank(b) })
	return links
}

// reserve connects to a member and asks it to relay.
func (e *edge) reserve(l *link) error {
	ctx, cancel := contextWithTimeout(e.h, reserveTimeout)
	defer cancel()
	err := l.connect(ctx)
	var r *circuit.Reservation
	if err == nil {
		r, err = circuit.Reserve(network.WithNoDial(ctx, "shoal"), e.h.bh, peer.AddrInfo{ID: l.pid})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		delete(e.slots, l.pid)
		e.refused[l.pid] = time.Now().Add(reserveAgain)
		if !l.direct() {
			delete(e.refused, l.pid) // it may come back any moment, and connecting has a back-off of its own
		}
		return err
	}
	e.slots[l.pid] = slot{addrs: l.circuits(), renewAt: time.Now().Add(time.Until(r.Expiration) / 2)}
	return nil
}

// circuits lists addresses of this node through the peer as its relay: at the address where we have
// reached it, and at the first other one that it announces.
func (l *link) circuits() []ma.Multiaddr {
	through, err := ma.NewMultiaddr("/p2p/" + l.pid.String() + "/p2p-circuit")
	if err != nil {
		return nil
	}
	var out []ma.Multiaddr
	add := func(a ma.Multiaddr) {
		full := a.Encapsulate(through)
		if len(out) < addrsPerRelay && !slices.ContainsFunc(out, full.Equal) {
			out = append(out, full)
		}
	}
	if c := l.readyConn(); c != nil && !limited(c) {
		add(c.RemoteMultiaddr())
	}
	hi := l.peerHello()
	for _, a := range hi.dialable() {
		if usefulToOthers(a) {
			add(a)
		}
	}
	return out
}

// addrs lists the addresses of this node, all of them through relays.
func (e *edge) addrs() []ma.Multiaddr {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ma.Multiaddr
	for _, s := range e.slots {
		out = append(out, s.addrs...)
	}
	slices.SortFunc(out, func(a, b ma.Multiaddr) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// punchAddrs lists where another edge should aim: our addresses as the relays see them, which a NAT
// keeps that maps a port to one port, and those of our own network.
func (e *edge) punchAddrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	add := func(a ma.Multiaddr) {
		if usefulToOthers(a) && len(out) < helloAddrMax && !slices.ContainsFunc(out, a.Equal) {
			out = append(out, a)
		}
	}
	e.mu.Lock()
	for _, a := range e.observed {
		add(a)
	}
	e.mu.Unlock()
	own, err := e.h.sw.InterfaceListenAddresses()
	if err == nil {
		for _, a := range own {
			add(a)
		}
	}
	return out
}

// contextWithTimeout bounds what a host does on its own account.
func contextWithTimeout(h *Host, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.tasks.ctx, d)
}
