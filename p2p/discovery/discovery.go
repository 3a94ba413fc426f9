// Package discovery is the private Kademlia DHT: it finds the present addresses of a member from
// its peer ID, and members of the cluster from the cluster's ID.
//
// It holds one record per node and no record per shard; it is neither an index nor a failure
// detector. Its protocol name contains the cluster ID, and only members proved in a handshake enter
// the routing table.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	golog "github.com/ipfs/go-log/v2"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	drouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	refreshPeriod = 2 * time.Minute
	// A mass start leaves routing tables of one entry, so each node refreshes once more, at a random
	// moment in this range.
	secondRefreshMin = 5 * time.Second
	secondRefreshMax = 30 * time.Second

	// bootstrapPeers is how many known members are connected to at the start, and again whenever
	// none is.
	bootstrapPeers = 8
	retryMin       = time.Second
	retryMax       = time.Minute

	// advertiseEvery is well below the day after which a record expires.
	advertiseEvery   = 3 * time.Hour
	advertiseFirst   = 3 * time.Second
	advertiseRetry   = 30 * time.Second
	advertiseTimeout = time.Minute
)

// Config is what a DHT is made of.
type Config struct {
	Host  host.Host     // required; stays the caller's
	Trust *member.Trust // required

	// Members lists the members known so far with their multiaddrs, from the cache or the member
	// table. It is asked whenever this node is alone. May be nil.
	Members func() []member.Member
	// Connect makes a checked connection to a member at its known addresses. Required if Members is.
	Connect func(ctx context.Context, id p2p.NodeID, addrs []string) error

	// Client makes this node ask without serving, as one behind a NAT does.
	Client bool

	Log *slog.Logger // default: discards
}

// DHT is a member's part of the table.
type DHT struct {
	cfg Config
	dht *dht.IpfsDHT
	key string // rendezvous
}

// New makes a DHT on a host that need not listen yet. It must be closed by Run's end or by Close.
func New(cfg Config) (*DHT, error) {
	if cfg.Host == nil || cfg.Trust == nil || cfg.Members != nil && cfg.Connect == nil {
		return nil, errors.New("discovery: host, trust and connect are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	quiet()
	cluster := cfg.Trust.Cluster().ID.String()
	d := &DHT{cfg: cfg, key: "shoal/" + cluster}
	mode := dht.ModeServer
	if cfg.Client {
		mode = dht.ModeClient
	}
	var err error
	d.dht, err = dht.New(cfg.Host,
		dht.ProtocolPrefix(protocol.ID("/shoal/"+cluster)),
		dht.Mode(mode),
		dht.BucketSize(20),
		dht.DisableValues(),
		dht.QueryFilter(d.mayAsk),
		dht.RoutingTableFilter(d.mayEnter),
		dht.RoutingTableRefreshPeriod(refreshPeriod),
	)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	cfg.Trust.OnRevoke(func(v member.Revocation) {
		if pid, err := peer.Decode(string(v.Peer)); err == nil {
			d.dht.RoutingTable().RemovePeer(pid)
		}
	})
	return d, nil
}

// mayAsk says whom a lookup may dial: anyone not revoked, since the handshake decides.
func (d *DHT) mayAsk(_ any, info peer.AddrInfo) bool {
	return !d.cfg.Trust.Revoked(p2p.NodeID(info.ID.String()))
}

// mayEnter says who may be in the routing table: peers that have proved their membership.
func (d *DHT) mayEnter(_ any, pid peer.ID) bool {
	_, ok := d.cfg.Trust.Member(p2p.NodeID(pid.String()))
	return ok
}

// Run keeps this node connected and findable until ctx ends, then closes the DHT.
func (d *DHT) Run(ctx context.Context) error {
	defer d.dht.Close()
	if err := d.dht.Bootstrap(ctx); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	refresh := time.NewTimer(secondRefreshMin + rand.N(secondRefreshMax-secondRefreshMin))
	defer refresh.Stop()
	advertise := time.NewTimer(advertiseFirst)
	defer advertise.Stop()
	connect := time.NewTimer(0)
	defer connect.Stop()
	wait := retryMin
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-connect.C:
			if d.connectSome(ctx) {
				wait = retryMax
			} else {
				wait = min(2*wait, retryMax)
			}
			connect.Reset(wait)
		case <-refresh.C:
			if d.dht.RoutingTable().Size() > 0 {
				d.dht.RefreshRoutingTable()
			}
		case <-advertise.C:
			advertise.Reset(d.advertise(ctx))
		}
	}
}

// Close ends the DHT without Run.
func (d *DHT) Close() error { return d.dht.Close() }

// alone reports whether no peer is connected.
func (d *DHT) alone() bool { return len(d.cfg.Host.Network().Peers()) == 0 }

// connectSome connects to a few random members if this node is alone. It reports whether it is not
// alone any more, or knows nobody to try.
func (d *DHT) connectSome(ctx context.Context) bool {
	if !d.alone() || d.cfg.Members == nil {
		return true
	}
	self := p2p.NodeID(d.cfg.Host.ID().String())
	var known []member.Member
	for _, m := range d.cfg.Members() {
		if m.Peer != self && m.State != member.StateLeft && len(m.Addrs) > 0 && !d.cfg.Trust.Revoked(m.Peer) {
			known = append(known, m)
		}
	}
	if len(known) == 0 {
		return true
	}
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	connected := false
	for _, m := range known[:min(len(known), bootstrapPeers)] {
		if err := d.cfg.Connect(ctx, m.Peer, m.Addrs); err != nil {
			d.cfg.Log.Debug("member not reached", "node_id", m.Peer, "err", err)
			continue
		}
		connected = true
	}
	return connected
}

// advertise puts this node's record under the rendezvous key and returns when to do it again.
func (d *DHT) advertise(ctx context.Context) time.Duration {
	if d.dht.RoutingTable().Size() == 0 {
		return advertiseRetry
	}
	ctx, cancel := context.WithTimeout(ctx, advertiseTimeout)
	defer cancel()
	if _, err := drouting.NewRoutingDiscovery(d.dht).Advertise(ctx, d.key); err != nil {
		d.cfg.Log.Debug("rendezvous record not placed", "err", err)
		return advertiseRetry
	}
	return advertiseEvery
}

// FindPeer asks the DHT for the present addresses of a member, as multiaddr text.
func (d *DHT) FindPeer(ctx context.Context, id p2p.NodeID) ([]string, error) {
	pid, err := peer.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("find peer %q: %w", id, err)
	}
	if d.dht.RoutingTable().Size() == 0 {
		return nil, fmt.Errorf("find peer %s: %w: no peer to ask", id.Short(), p2p.ErrUnreachable)
	}
	info, err := d.dht.FindPeer(ctx, pid)
	if err != nil {
		return nil, fmt.Errorf("find peer %s: %w", id.Short(), err)
	}
	return texts(info.Addrs), nil
}

// FindMembers asks the rendezvous key for up to max members and returns their addresses.
func (d *DHT) FindMembers(ctx context.Context, max int) (map[p2p.NodeID][]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(map[p2p.NodeID][]string)
	for info := range d.dht.FindProvidersAsync(ctx, rendezvousCID(d.key), max) {
		if info.ID != d.cfg.Host.ID() {
			found[p2p.NodeID(info.ID.String())] = texts(info.Addrs)
		}
	}
	if len(found) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Size is the number of entries in the routing table.
func (d *DHT) Size() int { return d.dht.RoutingTable().Size() }

// quiet keeps the DHT library, which logs by itself to standard error, from doing so. Setting it
// again does no harm.
func quiet() { golog.SetLogLevelRegex("^dht", "fatal") }

func texts(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
