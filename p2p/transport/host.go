// Package transport is p2p.Transport over libp2p.
//
// There are three kinds of connection, never mixed: control (a libp2p swarm over TCP, TLS 1.3 and
// yamux; it carries RPC, small notifications, and what the DHT and gossip need), bulk (plain TCP
// and the same TLS, one request at a time, a few connections per peer) and join (one bounded
// exchange with somebody who is not a member yet). On all but the last, both ends prove membership
// inside the TLS handshake; a stranger's bytes reach no other code.
//
// A node that cannot be dialled is an edge ([Config].RelayOnly): others reach it through relays, which
// are the members it keeps connected, and what would go over its bulk port goes over streams of the
// control connection instead.
//
// Invariants: no stream handler runs before the peer's membership is proved and hellos have been
// exchanged; a revocation closes every connection of the peer before Trust.Revoke returns, and a rule
// those of the addresses that it blocks before Block does; each queue and buffer has a bound; Run
// returns when the last goroutine has ended.
//
// The package does not retry what may have been executed, and does not judge whether a peer lives.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/transport"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/semaphore"

	"shoal/p2p"
	"shoal/p2p/member"
)

type handler struct {
	allow  p2p.Role
	call   p2p.Handler
	stream p2p.StreamHandler
}

// Host is a p2p.Transport over libp2p. New makes one, Listen binds its ports, Run serves until its
// context ends. Close may be called instead of, or before, Run returning.
type Host struct {
	cfg     Config
	log     *slog.Logger
	id      *Identity
	trust   *member.Trust
	sec     *security
	door    *door
	self    p2p.Peer
	metrics *metrics

	sw     *swarm.Swarm
	up     transport.Upgrader
	nat    nat
	bh     *basichost.BasicHost
	tasks  *tasks
	events *events
	budget *semaphore.Weighted // bytes of large requests

	guard *guard // before every handshake that comes in

	handlers map[p2p.Method]handler // written before Listen only
	started  bool

	mu    sync.RWMutex
	links map[p2p.NodeID]*link
	pids  map[peer.ID]*link

	bulkLn   net.Listener
	bulkPort int
	inbound  registry
	joinLn   net.Listener
	closing  sync.Once
}

var _ p2p.Transport = (*Host)(nil)

// New makes a host that does not listen yet.
func New(cfg Config) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if cfg.ReceiveMax == 0 {
		cfg.ReceiveMax = receiveMaxDefault
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.handshakeTimeout == 0 {
		cfg.handshakeTimeout = handshakeTimeout
	}
	takeLibraryLog(cfg.Log)
	cred, err := cfg.Trust.Check(cfg.Credential, cfg.Identity.self)
	if err != nil {
		return nil, fmt.Errorf("transport: own credential: %w", err)
	}
	sec, err := newSecurity(cfg.Identity, cfg.Trust, cfg.Credential)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	sec.door, sec.timeout = newDoor(cfg.Gate, cfg.Trust), cfg.handshakeTimeout
	h := &Host{
		cfg: cfg, log: cfg.Log, id: cfg.Identity, trust: cfg.Trust, sec: sec, door: sec.door, self: cred.Identity(),
		metrics: newMetrics(cfg.Registerer),
		tasks:   newTasks(),
		budget:  semaphore.NewWeighted(cfg.ReceiveMax),

		handlers: make(map[p2p.Method]handler),
		links:    make(map[p2p.NodeID]*link),
		pids:     make(map[peer.ID]*link),
	}
	h.guard = newGuard(cfg.Log, h.metrics)
	h.events = &events{tasks: h.tasks}
	h.inbound.conns = make(map[p2p.NodeID]map[*bulkConn]struct{})
	if cfg.RelayOnly {
		h.nat.edge = newEdge(h)
	}
	if h.sw, h.bh, err = newSwarm(h); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	h.trust.OnRevoke(func(v member.Revocation) { h.revoked(v) })
	h.door.gate.OnChange(h.Recheck)
	h.sw.Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { h.linkOf(c.RemotePeer()).connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { h.linkOf(c.RemotePeer()).disconnected(c) },
	})
	h.bh.SetStreamHandler(protoHello, h.serveHello)
	h.bh.SetStreamHandler(protoRPC, h.serveRPC)
	h.bh.SetStreamHandler(protoNotify, h.serveNotify)
	h.bh.SetStreamHandler(protoBulk, h.serveBulkVia)
	h.Handle(methodRevoke, p2p.RoleAny, h.takeRevocation)
	return h, nil
}

// LibP2P is the host underneath, for the DHT and gossip. It is closed by Close.
func (h *Host) LibP2P() host.Host { return h.bh }

// Self is the node's ID.
func (h *Host) Self() p2p.NodeID { return h.id.self }

// SetResolver replaces Config.Resolver. It belongs before Listen.
func (h *Host) SetResolver(r Resolver) { h.cfg.Resolver = r }

// SetCredential shows another credential in handshakes from now on. Open connections keep the old
// one until it expires.
func (h *Host) SetCredential(raw []byte) error {
	if _, err := h.trust.Check(raw, h.id.self); err != nil {
		return fmt.Errorf("own credential: %w", err)
	}
	return h.sec.setCredential(raw)
}

// Credential is the one shown at present.
func (h *Host) Credential() []byte { return *h.sec.shown.Load() }

// Handle registers h for m. See p2p.Transport.
func (h *Host) Handle(m p2p.Method, allow p2p.Role, f p2p.Handler) {
	h.register(m, handler{allow: allow, call: f})
}

// HandleStream registers f for streams of m. See p2p.Transport.
func (h *Host) HandleStream(m p2p.Method, allow p2p.Role, f p2p.StreamHandler) {
	h.register(m, handler{allow: allow, stream: f})
}

func (h *Host) register(m p2p.Method, hd handler) {
	if h.started {
		panic(fmt.Sprintf("transport: method %v registered after the start", m))
	}
	if _, taken := h.handlers[m]; taken {
		panic(fmt.Sprintf("transport: method %v registered twice", m))
	}
	h.handlers[m] = hd
}

// OnPeer registers f for connections coming and going. See p2p.Transport.
func (h *Host) OnPeer(f func(id p2p.NodeID, up bool)) { h.events.subscribe(f) }

// AddPeer notes addresses (multiaddr text) at which a peer may be dialled. Bad ones are skipped.
func (h *Host) AddPeer(id p2p.NodeID, addrs ...string) {
	pid, err := peer.Decode(string(id))
	if err != nil {
		return
	}
	h.addAddrs(pid, peerstore.PermanentAddrTTL, addrs)
}

func (h *Host) addAddrs(pid peer.ID, ttl time.Duration, addrs []string) {
	for _, a := range addrs {
		if m, err := ma.NewMultiaddr(a); err == nil {
			h.sw.Peerstore().AddAddr(pid, m, ttl)
		}
	}
}

// Addrs lists the announced addresses, or else those listened on; of an edge, those through its
// relays.
func (h *Host) Addrs() []string {
	addrs, err := h.sw.InterfaceListenAddresses()
	if err != nil {
		addrs = nil
	}
	return addrTexts(h.announced(addrs))
}

// BulkAddr and JoinAddr are the host:port bound, empty if there is none.
func (h *Host) BulkAddr() string { return listenerAddr(h.bulkLn) }

// JoinAddr is the host:port of the join listener, empty if there is none.
func (h *Host) JoinAddr() string { return listenerAddr(h.joinLn) }

func listenerAddr(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

// Connected lists the peers that are connected and checked.
func (h *Host) Connected() []p2p.NodeID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []p2p.NodeID
	for id, l := range h.links {
		if l.up() {
			out = append(out, id)
		}
	}
	return out
}

// Connect makes sure of a checked connection to id.
func (h *Host) Connect(ctx context.Context, id p2p.NodeID) error {
	l, err := h.link(id)
	if err != nil {
		return err
	}
	return l.connect(ctx)
}

// Disconnect closes all connections to id. Calls reconnect.
func (h *Host) Disconnect(id p2p.NodeID) {
	if l, err := h.link(id); err == nil {
		if s := l.session.Load(); s != nil {
			s.close(errDisconnected)
		}
		h.sw.ClosePeer(l.pid)
		l.bulk.closeAll()
	}
}

var errDisconnected = errors.New("transport: disconnected")

// link returns the record of a peer, made on first use.
func (h *Host) link(id p2p.NodeID) (*link, error) {
	h.mu.RLock()
	l := h.links[id]
	h.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	pid, err := peer.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no peer ID", p2p.ErrUnreachable, id)
	}
	return h.linkOf(pid), nil
}

// allLinks gives the records of all peers that there are.
func (h *Host) allLinks() []*link {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.links))
}

func (h *Host) linkOf(pid peer.ID) *link {
	h.mu.RLock()
	l := h.pids[pid]
	h.mu.RUnlock()
	if l != nil {
		return l
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if l = h.pids[pid]; l == nil {
		l = newLink(h, p2p.NodeID(pid.String()), pid)
		h.pids[pid], h.links[l.id] = l, l
	}
	return l
}

// revoked cuts everything to a peer at once. It may come back if it has been admitted again since.
func (h *Host) revoked(v member.Revocation) {
	out := h.trust.Revoked(v.Peer)
	if out {
		h.door.leave(v.Peer)
	}
	h.cutPeer(v.Peer, out)
	h.log.Info("peer revoked", "node_id", v.Peer)
}

// Run serves until ctx ends, then closes. It returns after the last goroutine has ended.
func (h *Host) Run(ctx context.Context) error {
	if err := h.Listen(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-h.tasks.ctx.Done():
	}
	return h.Close()
}

// Close ends all connections and goroutines. Calls under way fail. It may be called twice.
func (h *Host) Close() error {
	h.closing.Do(func() {
		h.guard.close()
		h.tasks.stop()
		if h.bulkLn != nil {
			h.bulkLn.Close()
		}
		if h.joinLn != nil {
			h.joinLn.Close()
		}
		h.inbound.closeAll()
		for _, l := range h.allLinks() {
			l.bulk.closeAll()
		}
		h.nat.close()
		h.bh.Close()
		closeSwarm(h.sw)
	})
	h.tasks.wait()
	return nil
}

// sweepEvery is how often expired credentials are looked for.
const sweepEvery = 30 * time.Second

// sweep cuts peers whose credential has expired, and forgets what no longer matters.
func (h *Host) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			h.expire()
		case <-h.tasks.ctx.Done():
			return
		}
	}
}

func (h *Host) expire() {
	for _, id := range h.trust.Expire() {
		if id == h.id.self {
			continue
		}
		h.door.leave(id)
		h.inbound.closePeer(id)
		if l, err := h.link(id); err == nil {
			h.log.Info("credential of peer has expired", "node_id", id)
			h.sw.ClosePeer(l.pid)
			l.bulk.closeAll()
		}
	}
}
