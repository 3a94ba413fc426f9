package node

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
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
	if !ok || roles != p2p.RoleGateway {
		return "", api.Invalid("node.invite", "The role must be gateway: nodes cannot join in this release.")
	}
	if req.TTL < inviteMin || req.TTL > inviteMax {
		return "", api.Invalid("node.invite", "The time to live must be 1 minute to 7 days.")
	}
	setDefault(&req.Site, n.cfg.Site)
	addrs := n.joinAddrs()
	if len(addrs) == 0 {
		return "", &api.Error{Kind: api.Unavailable, Op: "node.invite", Detail: "The node does not listen for peers that want to join."}
	}
	tok := member.NewToken()
	cluster := n.net.trust.Cluster()
	tok.Cluster, tok.RootHash, tok.Bootstrap, tok.Addrs = cluster.ID, cluster.RootHash(), n.ID(), addrs
	tok.NotAfter, tok.Roles, tok.Site = time.Now().Add(req.TTL), roles, req.Site
	verifier := tok.Verifier()
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_PutInvite{PutInvite: &meta.PutInvite{Invite: &meta.Invite{
		TokenId: tok.ID[:], SecretHash: verifier[:], Roles: roleNames(roles), Site: req.Site, Expires: tok.NotAfter.UnixNano(),
	}}}})
	if err != nil {
		return "", err
	}
	return tok.Text(), nil
}

func roleNames(r p2p.Role) []string { return strings.Split(r.String(), ",") }

// joinAddrs gives host:port of the join listener, at each address that the node is reached at.
func (n *Node) joinAddrs() []string {
	host, port, err := net.SplitHostPort(n.net.host.JoinAddr())
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return []string{n.net.host.JoinAddr()}
	}
	var out []string
	for _, a := range n.net.host.Addrs() {
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

// admit decides about a newcomer at the join listener.
func (n *Node) admit(ctx context.Context, req transport.JoinRequest) (transport.JoinGrant, error) {
	refuse := func(reason string) (transport.JoinGrant, error) {
		n.cfg.Logger.Warn("a peer was not admitted", "node_id", req.Peer, "remote_addr", req.Remote, "reason", reason)
		return transport.JoinGrant{}, &transport.JoinRefusal{Reason: "the token is not valid, was used before, or has expired"}
	}
	if !n.ready.Load() || !req.HasProof {
		return refuse("no proof")
	}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Invite{Invite: &meta.InviteQuery{TokenId: req.Token[:]}}})
	inv := a.GetInvite()
	if err != nil || len(inv.GetSecretHash()) != 32 || !req.Proved([32]byte(inv.GetSecretHash())) {
		return refuse("token unknown or not proved")
	}
	roles, ok := p2p.ParseRoles(strings.Join(inv.GetRoles(), ","))
	if !ok {
		return refuse("roles of the invitation")
	}
	now := time.Now()
	m := &meta.Member{PeerId: string(req.Peer), Roles: inv.GetRoles(), Site: inv.GetSite(), Serial: uint64(now.Unix())}
	res, err := n.propose(ctx, &meta.Command{Op: &meta.Command_UseInvite{UseInvite: &meta.UseInvite{
		TokenId: req.Token[:], SecretHash: inv.GetSecretHash(), Member: m,
	}}})
	if err != nil {
		return refuse(err.Error())
	}
	cred, err := n.net.issuer.Issue(member.Credential{
		Peer: req.Peer, Site: m.Site, Roles: roles, Serial: m.Serial, Epoch: res.GetMember().GetEpoch(),
	}, now)
	if err != nil {
		return transport.JoinGrant{}, err
	}
	n.cfg.Logger.Info("a peer joined", "node_id", req.Peer, "roles", m.Roles, "site", m.Site)
	return transport.JoinGrant{Credential: cred, Peers: map[p2p.NodeID][]string{n.ID(): n.net.host.Addrs()}}, nil
}

// renew issues the next credential of a member that asks for it.
func (n *Node) renew(ctx context.Context, from p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	for _, m := range a.GetMembers().GetMembers() {
		roles, ok := p2p.ParseRoles(strings.Join(m.GetRoles(), ","))
		if m.GetPeerId() != string(from.ID) || !ok {
			continue
		}
		cred, err := n.net.issuer.Issue(member.Credential{
			Peer: from.ID, Site: m.GetSite(), Roles: roles, Serial: m.GetSerial(), Epoch: a.GetMembers().GetEpoch(),
		}, time.Now())
		return &p2p.Message{Header: cred}, err
	}
	return nil, &api.Error{Kind: api.AccessDenied, Op: "node.renew"}
}
