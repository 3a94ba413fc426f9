// Package discovery makes members meet: from one address, from the members cache or from the local
// network a node finds the others, connects to them, and finds each again by its peer ID when its
// addresses have changed. What the member table knows is tried first and always; the private
// Kademlia DHT knows the rest.
//
// The DHT holds one record per node and no record per shard; it is neither an index nor a failure
// detector. Its protocol name contains the cluster ID, and only members proved in a handshake enter
// the routing table.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	golog "github.com/ipfs/go-log/v2"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
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

	// lookupTimeout leaves a caller's attempt to connect the time to use what the table has.
	lookupTimeout = 3 * time.Second

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
	// table, or one to begin with. Those that are not connected are connected to, over and over. May
	// be nil.
	Members func() []member.Member
	// Connect makes a checked connection to a member at its known addresses, or wherever FindPeer
	// finds it. Required if Members or MDNS is.
	Connect func(ctx context.Context, id p2p.NodeID, addrs []string) error

	// Client makes this node ask without serving, as an edge must that nobody can dial.
	Client bool
	// MDNS looks for members on the local network, and tells whoever listens there this node's peer
	// ID and addresses. Strangers found that way fail in the handshake.
	MDNS bool

	Log *slog.Logger // default: discards
}

// DHT is a member's part of the table.
type DHT struct {
	cfg  Config
	dht  *dht.IpfsDHT
	key  string // rendezvous
	self p2p.NodeID
	mesh mesh
	near chan peer.AddrInfo // found on the local network
}

// New makes a DHT on a host that need not listen yet. It must be closed by Run's end or by Close.
func New(cfg Config) (*DHT, error) {
	if cfg.Host == nil || cfg.Trust == nil || (cfg.Members != nil || cfg.MDNS) && cfg.Connect == nil {
		return nil, errors.New("discovery: host, trust and connect are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	quiet()
	cluster := cfg.Trust.Cluster().ID.String()
	d := &DHT{
		cfg: cfg, key: "shoal/" + cluster, self: p2p.NodeID(cfg.Host.ID().String()),
		mesh: mesh{busy: make(map[p2p.NodeID]bool), retry: make(map[p2p.NodeID]retry)},
		near: make(chan peer.AddrInfo, nearMax),
	}
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

// Close ends the DHT without Run.
func (d *DHT) Close() error { return d.dht.Close() }

// FindPeer returns the addresses at which a member may be: those that the member table has and those
// that the DHT finds, as multiaddr text. Neither is believed: the handshake proves who is there. The
// table's come whatever the DHT says, so that a DHT which is empty, slow or lying does no harm.
func (d *DHT) FindPeer(ctx context.Context, id p2p.NodeID) ([]string, error) {
	pid, err := peer.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("find peer %q: %w", id, err)
	}
	addrs := d.tableAddrs(id)
	err = fmt.Errorf("%w: no peer to ask", p2p.ErrUnreachable)
	if d.dht.RoutingTable().Size() > 0 {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		var info peer.AddrInfo
		info, err = d.dht.FindPeer(ctx, pid)
		for _, a := range texts(info.Addrs) {
			if !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) == 0 && err != nil {
		return nil, fmt.Errorf("find peer %s: %w", id.Short(), err)
	}
	return addrs, nil
}

// tableAddrs returns the addresses that the member table has.
func (d *DHT) tableAddrs(id p2p.NodeID) []string {
	if d.cfg.Members == nil {
		return nil
	}
	for _, m := range d.cfg.Members() {
		if m.Peer == id {
			return slices.Clone(m.Addrs)
		}
	}
	return nil
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
