package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
)

// issuer is what makes a node one that admits others: it signs credentials, its own among them.
type issuer struct {
	*member.Issuer
	seed []byte            // secret: of the cluster key, for nodes that join
	own  member.Credential // what the node's own credential says, but for epoch and validity
}

// openNetwork makes the cluster's keys at the first start, issues the node's own credential, and
// prepares the network.
func (n *Node) openNetwork() error {
	ck, err := member.LoadOrCreateClusterKey(n.path(clusterKeyFile), member.ClusterID(n.desc.Cluster))
	if err != nil {
		return secretError(err)
	}
	seed, _, err := member.LoadOrCreateKeyFile(n.path(issuerKeyFile), "shoal-issuer-key-v1")
	if err != nil {
		return secretError(err)
	}
	if n.mem != nil && !ck.Cluster().RootKey.Equal(n.mem.Cluster.RootKey) {
		return fmt.Errorf("%s is not the key of the store that this node joined: restore it from your backup", n.path(clusterKeyFile))
	}
	now := n.cfg.Now()
	trust := member.NewTrust(ck.Cluster(), n.cfg.Now)
	table, err := member.OpenTable(n.path(membersFile), trust, n.cfg.Logger)
	if err != nil && !errors.Is(err, member.ErrCacheDamaged) {
		return err
	}
	n.issuer = &issuer{Issuer: ck.NewIssuer(seed, 1, now), seed: ck.Seed()}
	if n.issuer.own, err = n.describeSelf(trust, table, now); err != nil {
		return err
	}
	cred, err := n.issueOwn(table.Epoch(), now)
	if err != nil {
		return err
	}
	var known map[p2p.NodeID][]string
	if n.mem != nil {
		known = n.mem.Nodes
	}
	n.witnesses.id = n.id
	n.net, err = network.Open(network.Config{
		Identity: n.id, Trust: trust, Table: table, Credential: cred,
		Self:   gossip.Record{Site: n.issuer.own.Site, Roles: n.issuer.own.Roles, Release: n.cfg.Release, Level: meta.Level},
		Starts: n.path(startsFile),
		Listen: n.cfg.P2PAddr, Bulk: n.cfg.P2PBulkAddr, Join: n.cfg.P2PJoinAddr, Announce: n.cfg.Announce, RelayOnly: n.cfg.RelayOnly,
		MDNS: n.cfg.MDNS, Admit: n.admit, Known: known, Fetch: n.askMembers,
		OnMembers: n.membersChanged, OnLayout: n.layoutChanged, OnStatus: n.statusChanged, OnCheckpoint: n.witnesses.heard,
		Log: n.cfg.Logger, Registerer: n.cfg.Registerer,
	})
	n.witnesses.net = n.net
	if err != nil {
		return err
	}
	n.peerRules, err = openPeerRules(n.cfg.DataDir, n.net.Host.Block, n.cfg.IgnorePeerRules, n.cfg.Logger)
	return err
}

// askMembers asks the system group for the member table.
func (n *Node) askMembers(ctx context.Context) (*meta.MembersAnswer, error) {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	return a.GetMembers(), err
}

// describeSelf says what this node is: as the member table has it, or else the credential that it
// was given when it joined, or, of the first node, as it was told.
func (n *Node) describeSelf(trust *member.Trust, table *member.Table, now time.Time) (member.Credential, error) {
	own := member.Credential{Peer: n.ID(), Site: n.cfg.Site, Roles: p2p.RoleNode | p2p.RoleGateway, Serial: uint64(now.Unix())}
	if n.mem != nil {
		given, err := trust.Cluster().VerifyCredential(n.mem.Credential, now)
		if err != nil && !errors.Is(err, member.ErrExpired) {
			return own, fmt.Errorf("the credential that this node joined with: %w", err)
		}
		if err == nil {
			own.Site, own.Roles, own.Serial = given.Site, given.Roles, given.Serial
		}
	}
	if row, ok := table.Get(n.ID()); ok {
		own.Site, own.Roles, own.Serial = row.Site, row.Roles, max(row.Serial, own.Serial)
	}
	return own, nil
}

// issueOwn signs the node's own credential.
func (n *Node) issueOwn(epoch uint64, now time.Time) ([]byte, error) {
	own := n.issuer.own
	own.Epoch = epoch
	return n.issuer.Issue(own, now)
}

// serveNetwork registers what peers may ask. It belongs before the network listens.
func (n *Node) serveNetwork() {
	serveLink(n.net.Host, func() *consensus.Host { return n.host }, n.cfg.Logger)
	n.net.Host.HandleStream(methodState, p2p.RoleNode, n.serveState)
	peer.Serve(n.net.Host, n.server)
	n.net.Host.Handle(peer.MethodRenew, p2p.RoleAny, n.renew)
}

// tell fills in what this node says of itself: how its drives are.
func (n *Node) tell(r *gossip.Record) {
	r.Drives = nil
	for id, st := range n.drives {
		u := st.Usage()
		r.Drives = append(r.Drives, gossip.Drive{
			ID: id, Capacity: uint64(u.TotalBytes), Used: uint64(u.TotalBytes - u.FreeBytes), State: gossipState(u.State),
		})
	}
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

// renewOwn keeps the node's own credential fresh.
func (n *Node) renewOwn(ctx context.Context) error {
	t := time.NewTicker(member.CredentialLife / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			cred, err := n.issueOwn(n.net.Table.Epoch(), n.cfg.Now())
			if err == nil {
				err = n.net.SetCredential(cred)
			}
			if err != nil {
				n.cfg.Logger.Error("renew the node's credential", "err", err)
			}
		}
	}
}
