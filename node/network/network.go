// Package network is one member's side of the cluster's network, be it a node or a gateway: the
// transport, the member table with what hangs on it, discovery, gossip and failure detection, joined
// together.
//
// What holds: a peer is served only if the member table names it; the table is only ever replaced by
// one of a later epoch; what gossip says makes this member ask, and is not itself believed.
//
// What it leaves out: it signs no credentials and decides about no newcomer; that is for nodes.
package network

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"shoal/node/meta"
	"shoal/node/trouble"
	"shoal/p2p"
	"shoal/p2p/discovery"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// methodProbe carries the failure detector's messages.
const methodProbe p2p.Method = 40

// Config describes a member. All is required but what says otherwise.
type Config struct {
	Identity *transport.Identity
	Trust    *member.Trust
	Table    *member.Table
	// Credential is the member's present one.
	Credential []byte
	// Self is what the member says of itself by gossip: site, roles, release.
	Self gossip.Record
	// Starts is the path of the file that numbers the member's starts. It is made when missing.
	Starts string

	// Listen, Bulk, Join, Announce, RelayOnly and Admit are as in transport.Config. May be empty,
	// but for Listen.
	Listen, Bulk, Join string
	Announce           []string
	RelayOnly          bool
	Admit              transport.AdmitFunc
	// MDNS also looks for members on the local network.
	MDNS bool

	// Known are members that are believed on their credential as long as the table is empty: those
	// that the member was sent to when it joined. May be nil.
	Known map[p2p.NodeID][]string
	// Fetch asks the system group for the member table, linearizably.
	Fetch func(ctx context.Context) (*meta.MembersAnswer, error)

	// OnMembers, OnLayout and OnStatus are told that the table has changed, that another member has
	// seen a placement epoch, and what the failure detector thinks. They must not block. May be nil.
	OnMembers func()
	OnLayout  func(epoch uint64)
	OnStatus  func(gossip.Event)
	// OnCheckpoint is as in gossip.Config. May be nil.
	OnCheckpoint func(from p2p.NodeID, text []byte)

	Log        *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Network is an open member. Its parts may be used; it closes them.
type Network struct {
	Host   *transport.Host
	Trust  *member.Trust
	Table  *member.Table
	Dir    *Directory
	Gossip *gossip.Gossip

	cfg      Config
	self     p2p.NodeID
	start    uint64 // higher than at any earlier start
	gate     *member.Gate
	dht      *discovery.DHT
	detector *gossip.Detector
	health   health
	level    level
	cred     atomic.Pointer[[]byte]
	layout   atomic.Uint64 // newest placement epoch that this member works with
	trouble  *trouble.Log
	behind   chan struct{} // holds a token when others have a newer member table
}

// Open makes the member's parts. Handlers may be registered with Host until Listen.
func Open(cfg Config) (*Network, error) {
	setDefaults(&cfg)
	n := &Network{Trust: cfg.Trust, Table: cfg.Table, cfg: cfg, self: cfg.Identity.NodeID(), trouble: trouble.New(cfg.Log, nil), behind: make(chan struct{}, 1)}
	n.health.started = time.Now()
	n.cred.Store(&cfg.Credential)
	n.start = nextStart(cfg.Starts, cfg.Trust.Now(), cfg.Log)
	n.gate = member.NewGate(member.GateConfig{Table: n.Table, Fetch: n.FetchMembers, Known: n.known, Behind: n.Poke})
	var err error
	n.Host, err = transport.New(transport.Config{
		Identity: cfg.Identity, Trust: cfg.Trust, Credential: cfg.Credential, Listen: cfg.Listen, Bulk: cfg.Bulk, Join: cfg.Join,
		Admit: cfg.Admit, Gate: n.gate, RelayOnly: cfg.RelayOnly, Announce: cfg.Announce, Epochs: n.epochs,
		OnHello: func(from p2p.Peer, epochs p2p.Epochs, addrs []string) {
			n.Table.SetAddrs(from.ID, addrs)
			n.heard(epochs)
		},
		OnAddrs: func([]string) { n.Tell(func(*gossip.Record) {}) },
		Release: cfg.Self.Release, Log: cfg.Log, Registerer: cfg.Registerer,
	})
	if err != nil {
		return nil, err
	}
	n.Dir = newDirectory(n.Host)
	if err := n.openPeers(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func setDefaults(cfg *Config) {
	if cfg.OnMembers == nil {
		cfg.OnMembers = func() {}
	}
	if cfg.OnLayout == nil {
		cfg.OnLayout = func(uint64) {}
	}
	if cfg.OnStatus == nil {
		cfg.OnStatus = func(gossip.Event) {}
	}
}

// openPeers makes what finds and watches other members.
func (n *Network) openPeers() error {
	var err error
	n.detector, err = gossip.NewDetector(gossip.DetectorConfig{
		Transport: n.Host, Method: methodProbe, Inc: n.start, OnStatus: n.statusChanged,
	})
	if err != nil {
		return err
	}
	n.dht, err = discovery.New(discovery.Config{
		Host: n.Host.LibP2P(), Trust: n.Trust, Members: n.Table.List, MDNS: n.cfg.MDNS, Client: n.cfg.RelayOnly, Log: n.cfg.Log,
		Connect: func(ctx context.Context, id p2p.NodeID, addrs []string) error {
			n.Host.AddPeer(id, addrs...)
			return n.Host.Connect(ctx, id)
		},
	})
	if err != nil {
		return err
	}
	n.Host.SetResolver(n.dht)
	n.Gossip, err = gossip.New(gossip.Config{
		Host: n.Host.LibP2P(), Trust: n.Trust, Credential: func() []byte { return *n.cred.Load() }, Self: n.cfg.Self, Incarnation: n.start, Log: n.cfg.Log,
		OnRecord: func(r gossip.Record) {
			n.Table.SetAddrs(r.Peer, r.Addrs)
			n.heard(r.Epochs)
		},
		OnCheckpoint: n.cfg.OnCheckpoint,
	})
	if err != nil {
		return err
	}
	n.Dir.setNodes(n.cfg.Known)
	for id, addrs := range n.cfg.Known {
		n.Host.AddPeer(id, addrs...)
	}
	n.membersChanged()
	return nil
}

// tellEvery is how often a member says anew what it is like.
const tellEvery = 30 * time.Second

// Run takes part until ctx ends, and closes the network. tell fills in what the member says of
// itself; it may be nil.
func (n *Network) Run(ctx context.Context, tell func(*gossip.Record)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Host.Run(ctx) })
	g.Go(func() error { return n.dht.Run(ctx) })
	g.Go(func() error { return n.Gossip.Run(ctx) })
	g.Go(func() error { return n.detector.Run(ctx) })
	g.Go(func() error {
		n.followMembers(ctx)
		return nil
	})
	g.Go(func() error {
		n.keepTelling(ctx, tell)
		return nil
	})
	return g.Wait()
}

func (n *Network) keepTelling(ctx context.Context, tell func(*gossip.Record)) {
	if tell == nil {
		tell = func(*gossip.Record) {}
	}
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for {
		n.Tell(tell)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Tell changes what this member says of itself, and has it published soon, with its present
// addresses and epochs.
func (n *Network) Tell(change func(*gossip.Record)) {
	if n.Gossip == nil {
		return // still being opened
	}
	n.Gossip.Update(func(r *gossip.Record) {
		change(r)
		r.Addrs, r.Epochs = n.Host.Addrs(), n.epochs()
	})
}

// SetCredential shows another credential from now on.
func (n *Network) SetCredential(raw []byte) error {
	if err := n.Host.SetCredential(raw); err != nil {
		return err
	}
	n.cred.Store(&raw)
	return nil
}

// SetLayout notes the placement epoch that this member works with, and tells others of it.
func (n *Network) SetLayout(epoch uint64) {
	for {
		old := n.layout.Load()
		if epoch <= old {
			return
		}
		if n.layout.CompareAndSwap(old, epoch) {
			n.Tell(func(*gossip.Record) {})
			return
		}
	}
}

func (n *Network) epochs() p2p.Epochs {
	return p2p.Epochs{Members: n.Table.Epoch(), Layout: n.layout.Load()}
}

// heard takes note of the epochs that another member has seen.
func (n *Network) heard(e p2p.Epochs) {
	if e.Members > n.Table.Epoch() {
		n.Poke()
	}
	if e.Layout > n.layout.Load() {
		n.cfg.OnLayout(e.Layout)
	}
}

// Close closes everything. Run does it too.
func (n *Network) Close() error {
	var err error
	if n.dht != nil {
		err = n.dht.Close()
	}
	return errors.Join(err, n.Host.Close())
}
