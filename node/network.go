package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/discovery"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// network is the node's side of the cluster's network: membership and transport.
type network struct {
	host   *transport.Host
	trust  *member.Trust
	issuer *member.Issuer
	table  *member.Table
	dir    *memberDirectory
	dht    *discovery.DHT
	gossip *gossip.Gossip
	serial uint64 // of the node's own credential
	cred   atomic.Pointer[[]byte]
	site   string
	id     p2p.NodeID
	log    *slog.Logger
}

// openNetwork makes the cluster's keys at the first start, issues the node's own credential, and
// prepares the transport.
func openNetwork(n *Node) (*network, error) {
	ck, err := member.LoadOrCreateClusterKey(n.path(clusterKeyFile), member.ClusterID(n.desc.Cluster))
	if err != nil {
		return nil, secretError(err)
	}
	seed, _, err := member.LoadOrCreateKeyFile(n.path(issuerKeyFile), "shoal-issuer-key-v1")
	if err != nil {
		return nil, secretError(err)
	}
	now := time.Now()
	nw := &network{
		trust: member.NewTrust(ck.Cluster(), nil), issuer: ck.NewIssuer(seed, 1, now), site: n.cfg.Site, id: n.ID(), log: n.cfg.Logger,
	}
	nw.table, err = member.OpenTable(n.path(membersFile), nw.trust, n.cfg.Logger)
	if err != nil && !errors.Is(err, member.ErrCacheDamaged) {
		return nil, err
	}
	cred, err := nw.issueOwn(now)
	if err != nil {
		return nil, err
	}
	nw.host, err = transport.New(transport.Config{
		Identity: n.id, Trust: nw.trust, Credential: cred, Listen: n.cfg.P2PAddr, Bulk: n.cfg.P2PBulkAddr, Join: n.cfg.P2PJoinAddr,
		Admit:  n.admit,
		Epochs: func() p2p.Epochs { return p2p.Epochs{Members: nw.table.Epoch()} },
		OnHello: func(from p2p.Peer, _ p2p.Epochs, addrs []string) {
			nw.table.SetAddrs(from.ID, addrs)
		},
		Release: n.cfg.Release, Log: n.cfg.Logger, Registerer: n.cfg.Registerer,
	})
	if err != nil {
		return nil, err
	}
	nw.dir = newMemberDirectory(nw.host)
	return nw, nw.openDiscovery(n)
}

// openDiscovery makes the node's part of the DHT and of the gossip topics.
func (nw *network) openDiscovery(n *Node) error {
	var err error
	nw.dht, err = discovery.New(discovery.Config{
		Host: nw.host.LibP2P(), Trust: nw.trust, Members: nw.table.List, Log: nw.log,
		Connect: func(ctx context.Context, id p2p.NodeID, addrs []string) error {
			nw.host.AddPeer(id, addrs...)
			return nw.host.Connect(ctx, id)
		},
	})
	if err != nil {
		return err
	}
	nw.host.SetResolver(nw.dht)
	nw.gossip, err = gossip.New(gossip.Config{
		Host: nw.host.LibP2P(), Trust: nw.trust, Credential: func() []byte { return *nw.cred.Load() }, Log: nw.log,
		Self:     gossip.Record{Site: nw.site, Roles: p2p.RoleNode | p2p.RoleGateway, Release: n.cfg.Release},
		OnRecord: func(r gossip.Record) { nw.table.SetAddrs(r.Peer, r.Addrs) },
	})
	return err
}

// tell publishes what this node is like: where it listens and how its drives are.
func (nw *network) tell(drives map[peer.DriveID]*shardstore.Store) {
	nw.gossip.Update(func(r *gossip.Record) {
		r.Addrs, r.Epochs, r.Drives = nw.host.Addrs(), p2p.Epochs{Members: nw.table.Epoch()}, nil
		for id, st := range drives {
			u := st.Usage()
			r.Drives = append(r.Drives, gossip.Drive{
				ID: id, Capacity: uint64(u.TotalBytes), Used: uint64(u.TotalBytes - u.FreeBytes), State: gossipState(u.State),
			})
		}
	})
}

func gossipState(s shardstore.State) gossip.DriveState {
	switch s {
	case shardstore.Healthy:
		return gossip.DriveHealthy
	case shardstore.Full:
		return gossip.DriveFull
	case shardstore.ReadOnly:
		return gossip.DriveReadOnly
	}
	return gossip.DriveGone
}

// issueOwn signs the node's own credential.
func (nw *network) issueOwn(now time.Time) ([]byte, error) {
	nw.serial = uint64(now.Unix())
	cred, err := nw.issuer.Issue(member.Credential{
		Peer: nw.id, Site: nw.site, Roles: p2p.RoleNode | p2p.RoleGateway, Serial: nw.serial, Epoch: nw.table.Epoch(),
	}, now)
	if err == nil {
		nw.cred.Store(&cred)
	}
	return cred, err
}

// serve registers what peers may ask. It belongs before run.
func (nw *network) serve(n *Node) {
	serveLink(nw.host, func() *consensus.Host { return n.host }, n.cfg.Logger)
	peer.Serve(nw.host, n.server)
	nw.host.Handle(peer.MethodRenew, p2p.RoleAny, n.renew)
}

// tellEvery is how often a node says anew what it is like.
const tellEvery = 30 * time.Second

// run serves peers, finds them, and keeps the node's own credential and record fresh.
func (nw *network) run(ctx context.Context, drives map[peer.DriveID]*shardstore.Store) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return nw.host.Run(ctx) })
	g.Go(func() error { return nw.dht.Run(ctx) })
	g.Go(func() error { return nw.gossip.Run(ctx) })
	g.Go(func() error {
		nw.refresh(ctx, drives)
		return nil
	})
	return g.Wait()
}

func (nw *network) refresh(ctx context.Context, drives map[peer.DriveID]*shardstore.Store) {
	renew, tell := time.NewTicker(member.CredentialLife/3), time.NewTicker(tellEvery)
	defer renew.Stop()
	defer tell.Stop()
	nw.tell(drives)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tell.C:
			nw.tell(drives)
		case now := <-renew.C:
			cred, err := nw.issueOwn(now)
			if err == nil {
				err = nw.host.SetCredential(cred)
			}
			if err != nil {
				nw.log.Error("renew the node's credential", "err", err)
			}
		}
	}
}

func (nw *network) close() error {
	var err error
	if nw.dht != nil {
		err = nw.dht.Close()
	}
	return errors.Join(err, nw.host.Close())
}

// memberDirectory finds members: the node itself without a socket, others over the transport.
type memberDirectory struct {
	client.Remotes
	local peer.Node
	self  p2p.NodeID
}

func newMemberDirectory(h *transport.Host) *memberDirectory {
	return &memberDirectory{Remotes: client.Remotes{Transport: h}, self: h.Self()}
}

// Node implements client.Directory.
func (d *memberDirectory) Node(id p2p.NodeID) peer.Node {
	if id == d.self {
		return d.local
	}
	return d.Remotes.Node(id)
}

// Nodes implements client.Directory.
func (d *memberDirectory) Nodes() []p2p.NodeID { return []p2p.NodeID{d.self} }
