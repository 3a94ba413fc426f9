package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// Bounds of an invitation's life.
const (
	inviteMin = time.Minute
	inviteMax = 7 * 24 * time.Hour
)

// invite makes a token with which one peer may join.
func (n *Node) invite(ctx context.Context, req api.Invite) (string, error) {
	roles, ok := p2p.ParseRoles(req.Role)
	if !ok || roles != p2p.RoleGateway && roles != p2p.RoleNode {
		return "", api.Invalid("node.invite", "The role must be node or gateway.")
	}
	if req.TTL < inviteMin || req.TTL > inviteMax {
		return "", api.Invalid("node.invite", "The time to live must be 1 minute to 7 days.")
	}
	setDefault(&req.Site, n.issuer.own.Site)
	addrs := n.joinAddrs()
	if len(addrs) == 0 {
		return "", &api.Error{Kind: api.Unavailable, Op: "node.invite", Detail: "The node does not listen for peers that want to join."}
	}
	tok := member.NewToken()
	cluster := n.net.Trust.Cluster()
	tok.Cluster, tok.RootHash, tok.Bootstrap, tok.Addrs = cluster.ID, cluster.RootHash(), n.ID(), addrs
	tok.NotAfter, tok.Roles, tok.Site = n.cfg.Now().Add(req.TTL), roles, req.Site
	verifier := tok.Verifier()
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_PutInvite{PutInvite: &meta.PutInvite{Life: int64(req.TTL), Invite: &meta.Invite{
		TokenId: tok.ID[:], SecretHash: verifier[:], Roles: network.RoleNames(roles), Site: req.Site, Expires: tok.NotAfter.UnixNano(),
	}}}})
	if err != nil {
		return "", err
	}
	return tok.Text(), nil
}

// joinAddrs gives host:port of the join listener, at each address that the node is reached at.
func (n *Node) joinAddrs() []string {
	host, port, err := net.SplitHostPort(n.net.Host.JoinAddr())
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return []string{n.net.Host.JoinAddr()}
	}
	var out []string
	for _, a := range n.net.Host.Addrs() {
		parts := strings.Split(a, "/") // /ip4/ADDRESS/tcp/PORT
		if len(parts) < 3 || (parts[1] != "ip4" && parts[1] != "ip6" && !strings.HasPrefix(parts[1], "dns")) {
			continue
		}
		if at := net.JoinHostPort(parts[2], port); !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// admit decides about a newcomer at the join listener: one that holds a token, or that was allowed by
// its peer ID, or that is a member already, whose credential has expired while it was away.
func (n *Node) admit(ctx context.Context, req transport.JoinRequest) (transport.JoinGrant, error) {
	refuse := func(reason string) (transport.JoinGrant, error) {
		n.cfg.Logger.Warn("a peer was not admitted", "node_id", req.Peer, "remote_addr", req.Remote, "reason", reason)
		text := "the token is not valid, was used before, or has expired"
		if !req.HasProof {
			text = "this peer was not invited: run `shoal admin members allow " + string(req.Peer) + "`, or give it a token"
		}
		return transport.JoinGrant{}, &transport.JoinRefusal{Reason: text}
	}
	if !n.ready.Load() {
		return refuse("the node is starting")
	}
	old, err := n.currentMember(ctx, req.Peer)
	switch {
	case err != nil:
		return refuse(err.Error())
	case !req.HasProof && old != nil:
		return n.grant(old)
	}
	id := req.Token[:]
	if !req.HasProof {
		id = []byte(req.Peer)
	}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Invite{Invite: &meta.InviteQuery{TokenId: id}}})
	inv := a.GetInvite()
	switch {
	case err != nil:
		return refuse(err.Error())
	case !req.HasProof && inv.GetPeerId() != string(req.Peer):
		return refuse("not allowed by its ID")
	case req.HasProof && (len(inv.GetSecretHash()) != 32 || !req.Proved([32]byte(inv.GetSecretHash()))):
		return refuse("token unknown or not proved")
	}
	wanted := &meta.Member{PeerId: string(req.Peer), Roles: inv.GetRoles(), Site: inv.GetSite(), Serial: uint64(n.cfg.Now().Unix())}
	res, err := n.propose(ctx, &meta.Command{Op: &meta.Command_UseInvite{UseInvite: &meta.UseInvite{
		TokenId: id, SecretHash: inv.GetSecretHash(), Member: wanted,
	}}})
	if err != nil {
		if api.Doubt(err) != "" {
			n.recordJoin(ctx, req, old, wanted, err)
		}
		return refuse(err.Error())
	}
	n.net.Poke()
	n.recordJoin(ctx, req, old, res.GetMember(), nil)
	n.cfg.Logger.Info("a peer joined", "node_id", req.Peer, "roles", inv.GetRoles(), "site", inv.GetSite())
	return n.grant(res.GetMember())
}

// currentMember asks for a peer's row of the member table; nil when there is none.
func (n *Node) currentMember(ctx context.Context, id p2p.NodeID) (*meta.Member, error) {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	for _, m := range a.GetMembers().GetMembers() {
		if m.GetPeerId() == string(id) {
			return m, nil
		}
	}
	return nil, nil
}

// grant issues the credential of a member, and tells it whom to turn to.
func (n *Node) grant(m *meta.Member) (transport.JoinGrant, error) {
	roles, ok := p2p.ParseRoles(strings.Join(m.GetRoles(), ","))
	if !ok {
		return transport.JoinGrant{}, fmt.Errorf("member %s has the roles %v", m.GetPeerId(), m.GetRoles())
	}
	cred, err := n.issuer.Issue(member.Credential{
		Peer: p2p.NodeID(m.GetPeerId()), Site: m.GetSite(), Roles: roles, Serial: m.GetSerial(), Epoch: m.GetEpoch(),
	}, n.cfg.Now())
	if err != nil {
		return transport.JoinGrant{}, err
	}
	peers := map[p2p.NodeID][]string{n.ID(): n.net.Host.Addrs()}
	for _, other := range n.net.Table.List() {
		if len(peers) < grantPeers && other.Roles.Has(p2p.RoleNode) && other.State == member.StateActive && len(other.Addrs) > 0 {
			peers[other.Peer] = other.Addrs
		}
	}
	return transport.JoinGrant{Credential: cred, Peers: peers}, nil
}

// grantPeers is how many members a newcomer is told of.
const grantPeers = 8

// allow lets a peer join by its ID alone.
func (n *Node) allow(ctx context.Context, req api.Allow) (api.Allowed, error) {
	id, err := transport.ParseNodeID(req.PeerID)
	if err != nil {
		return api.Allowed{}, api.Invalid("node.allow", "The peer ID is malformed.")
	}
	roles, ok := p2p.ParseRoles(req.Role)
	if !ok || roles != p2p.RoleGateway && roles != p2p.RoleNode {
		return api.Allowed{}, api.Invalid("node.allow", "The role must be node or gateway.")
	}
	if req.TTL < inviteMin || req.TTL > inviteMax {
		return api.Allowed{}, api.Invalid("node.allow", "The time to live must be 1 minute to 7 days.")
	}
	setDefault(&req.Site, n.issuer.own.Site)
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutInvite{PutInvite: &meta.PutInvite{Life: int64(req.TTL), Invite: &meta.Invite{
		TokenId: []byte(id), PeerId: string(id), Roles: network.RoleNames(roles), Site: req.Site, Expires: n.cfg.Now().Add(req.TTL).UnixNano(),
	}}}})
	if err != nil {
		return api.Allowed{}, err
	}
	var out api.Allowed
	for _, at := range n.joinAddrs() {
		if m, err := joinMultiaddr(at, n.ID()); err == nil {
			out.Join = append(out.Join, m)
		}
	}
	return out, nil
}

// joinMultiaddr writes host:port of a join listener as the multiaddr that --join takes.
func joinMultiaddr(at string, id p2p.NodeID) (string, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return "", err
	}
	kind := "dns"
	if ip := net.ParseIP(host); ip != nil {
		if kind = "ip4"; ip.To4() == nil {
			kind = "ip6"
		}
	}
	return "/" + kind + "/" + host + "/tcp/" + port + "/p2p/" + string(id), nil
}

// setMember changes what an operator decides about a member.
func (n *Node) setMember(ctx context.Context, req api.MemberChange) error {
	set := &meta.SetMember{PeerId: req.PeerID, Site: req.Site, Weight: req.Weight}
	switch req.State {
	case "":
	case api.MemberActive:
		set.State = meta.MemberState_MEMBER_ACTIVE.Enum()
	case api.MemberDraining:
		set.State = meta.MemberState_MEMBER_LEAVING.Enum()
		if err := n.checkDrain(ctx, req.PeerID); err != nil {
			return err
		}
	default:
		return api.Invalid("node.setMember", "The state must be active or draining.")
	}
	if _, err := n.propose(ctx, &meta.Command{Op: &meta.Command_SetMember{SetMember: set}}); err != nil {
		return err
	}
	n.net.Poke()
	return nil
}

// setSetting changes one of the store's settings.
func (n *Node) setSetting(ctx context.Context, s api.SettingChange) error {
	if err := api.CheckSetting(s.Name, s.Value); err != nil {
		return err
	}
	if api.IsPeerRule(s.Name) {
		if err := n.checkPeerRule(ctx, s); err != nil {
			return err
		}
	}
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_SetSetting{SetSetting: &meta.SetSetting{Name: s.Name, Value: s.Value}}})
	n.control.Poke()
	select {
	case n.settingsChanged <- struct{}{}:
	default: // One is enough.
	}
	return err
}

// revoke takes a member out of the cluster for good, and tells how many of the connected members
// have said within a second that it is cut off there, and which have not.
func (n *Node) revoke(ctx context.Context, peerID string) (api.Revoked, error) {
	m, err := n.currentMember(ctx, p2p.NodeID(peerID))
	if err != nil {
		return api.Revoked{}, err
	}
	if m == nil {
		return api.Revoked{}, api.Invalid("node.revoke", "No member has this peer ID.")
	}
	if peerID == string(n.ID()) {
		return api.Revoked{}, api.Invalid("node.revoke", "A node cannot revoke itself: ask another one.")
	}
	now := n.cfg.Now()
	serial := max(m.GetSerial(), uint64(now.Unix()))
	raw, err := n.issuer.Revoke(member.Revocation{Peer: p2p.NodeID(peerID), Serial: serial, Epoch: m.GetEpoch() + 1}, now)
	if err != nil {
		return api.Revoked{}, err
	}
	res, err := n.propose(ctx, &meta.Command{Op: &meta.Command_RemoveMember{RemoveMember: &meta.RemoveMember{PeerId: peerID, Signed: raw, Serial: serial}}})
	if err != nil {
		return api.Revoked{}, err
	}
	if err := n.net.Gossip.Revoke(raw); err != nil {
		n.cfg.Logger.Warn("a revocation is not gossiped", "node_id", peerID, "err", err)
	}
	acked, waiting, err := n.net.Host.SpreadRevocation(ctx, raw)
	if err := errors.Join(err, n.net.FetchMembers(ctx)); err != nil { // it holds all the same: it is in the system group
		n.cfg.Logger.Warn("a revocation is not spread in full", "node_id", peerID, "err", err)
	}
	out := api.Revoked{PeerID: peerID, Epoch: res.GetMember().GetEpoch(), Members: acked + len(waiting), Acknowledged: acked}
	for _, id := range waiting {
		out.Waiting = append(out.Waiting, string(id))
	}
	return out, nil
}

// renew issues the next credential of a member that asks for it.
func (n *Node) renew(ctx context.Context, from p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	m, err := n.currentMember(ctx, from.ID)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, &api.Error{Kind: api.AccessDenied, Op: "node.renew"}
	}
	g, err := n.grant(m)
	return &p2p.Message{Header: g.Credential}, err
}
