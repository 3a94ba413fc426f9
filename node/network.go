package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/p2p"
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
	serial uint64 // of the node's own credential
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
	seed, _, err := member.LoadOrCreateKeyFile(n.path(issuerKeyFile), "issuer")
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
	return nw, nil
}

// issueOwn signs the node's own credential.
func (nw *network) issueOwn(now time.Time) ([]byte, error) {
	nw.serial = uint64(now.Unix())
	return nw.issuer.Issue(member.Credential{
		Peer: nw.id, Site: nw.site, Roles: p2p.RoleNode | p2p.RoleGateway, Serial: nw.serial, Epoch: nw.table.Epoch(),
	}, now)
}

// serve registers what peers may ask. It belongs before run.
func (nw *network) serve(n *Node) {
	serveLink(nw.host, func() *consensus.Host { return n.host }, n.cfg.Logger)
	peer.Serve(nw.host, n.server)
	nw.host.Handle(peer.MethodRenew, p2p.RoleAny, n.renew)
}

// run serves peers, and renews the node's own credential.
func (nw *network) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		t := time.NewTicker(member.CredentialLife / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-t.C:
				cred, err := nw.issueOwn(now)
				if err == nil {
					err = nw.host.SetCredential(cred)
				}
				if err != nil {
					nw.log.Error("renew the node's credential", "err", err)
				}
			}
		}
	})
	return nw.host.Run(ctx)
}

func (nw *network) close() error { return nw.host.Close() }

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
