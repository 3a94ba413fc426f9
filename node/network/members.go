package network

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"shoal/node/meta"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
)

const (
	// membersEvery is how often the member table is asked for when nothing says that it changed.
	membersEvery = 10 * time.Second
	// membersWait bounds the question to the system group, before others' copies are believed.
	membersWait = 1500 * time.Millisecond
)

// followMembers keeps the member table up to date, and all that hangs on it.
func (n *Network) followMembers(ctx context.Context) {
	t := time.NewTicker(membersEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-n.behind:
		}
		if err := n.FetchMembers(ctx); ctx.Err() == nil {
			n.trouble.Note(err, "the member table cannot be brought up to date", "")
		}
	}
}

// FetchMembers brings the member table up to date: from the system group, or, while that does not
// answer, from the copy of whichever member has the newest. An old copy does no harm, since a table
// is only ever replaced by one of a later epoch.
func (n *Network) FetchMembers(ctx context.Context) error {
	qctx, cancel := context.WithTimeout(ctx, membersWait)
	defer cancel()
	a, err := n.cfg.Fetch(qctx)
	if err == nil {
		return n.takeMembers(a)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, n.askAround(ctx))
}

// askAround asks every node that is known for its copy.
func (n *Network) askAround(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, membersWait)
	defer cancel()
	var mu sync.Mutex // guards newest
	var newest *meta.MembersAnswer
	var wg sync.WaitGroup
	for _, id := range n.Dir.Nodes() {
		if id == n.self {
			continue
		}
		wg.Go(func() {
			a, err := n.Dir.Node(id).Members(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && a.GetEpoch() > newest.GetEpoch() {
				newest = a
			}
		})
	}
	wg.Wait()
	if newest == nil {
		return errors.New("no other node gave its copy")
	}
	return n.takeMembers(newest)
}

// takeMembers takes over a table if it is newer, with the revocations that came with it.
func (n *Network) takeMembers(a *meta.MembersAnswer) error {
	var errs []error
	for _, r := range a.GetRevocations() {
		if len(r.GetSigned()) > 0 {
			_, err := n.Trust.Revoke(r.GetSigned())
			errs = append(errs, err)
		}
	}
	rows := make([]member.Member, 0, len(a.GetMembers()))
	for _, m := range a.GetMembers() {
		row, err := Row(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, row)
	}
	if n.Table.Replace(a.GetEpoch(), rows) {
		errs = append(errs, n.Table.Save())
		n.membersChanged()
	}
	return errors.Join(errs...)
}

// Row reads a row of the member table.
func Row(m *meta.Member) (member.Member, error) {
	roles, ok := p2p.ParseRoles(strings.Join(m.GetRoles(), ","))
	if !ok {
		return member.Member{}, fmt.Errorf("member %s has the roles %v", m.GetPeerId(), m.GetRoles())
	}
	state := member.StateActive
	if m.GetState() == meta.MemberState_MEMBER_LEAVING {
		state = member.StateDraining
	}
	return member.Member{
		Peer: p2p.NodeID(m.GetPeerId()), Site: m.GetSite(), Roles: roles, State: state, Serial: m.GetSerial(), Epoch: m.GetEpoch(), Addrs: m.GetAddrs(),
	}, nil
}

// Members gives the table as this member has it, for others.
func (n *Network) Members() *meta.MembersAnswer {
	a := &meta.MembersAnswer{Epoch: n.Table.Epoch()}
	for _, m := range n.Table.List() {
		state := meta.MemberState_MEMBER_ACTIVE
		switch m.State {
		case member.StateLeft:
			continue
		case member.StateDraining:
			state = meta.MemberState_MEMBER_LEAVING
		}
		a.Members = append(a.Members, &meta.Member{
			PeerId: string(m.Peer), Site: m.Site, Roles: RoleNames(m.Roles), State: state, Serial: m.Serial, Epoch: m.Epoch, Addrs: m.Addrs,
		})
	}
	for _, raw := range n.Trust.Revocations() {
		a.Revocations = append(a.Revocations, &meta.Revocation{Signed: raw})
	}
	return a
}

// RoleNames lists roles as the member table has them.
func RoleNames(r p2p.Role) []string { return strings.Split(r.String(), ",") }

// Poke has the member table fetched soon.
func (n *Network) Poke() {
	select {
	case n.behind <- struct{}{}:
	default:
	}
}

// known tells whether a peer is one of those that this member was sent to when it joined.
func (n *Network) known(id p2p.NodeID) bool {
	_, ok := n.cfg.Known[id]
	return ok
}

// membersChanged tells what hangs on the member table.
func (n *Network) membersChanged() {
	nodes := make(map[p2p.NodeID][]string)
	var all, elsewhere []p2p.NodeID
	for _, m := range n.Table.List() {
		if m.State == member.StateLeft {
			continue
		}
		all = append(all, m.Peer)
		if m.Site != n.cfg.Self.Site {
			elsewhere = append(elsewhere, m.Peer)
		}
		if m.Roles.Has(p2p.RoleNode) {
			nodes[m.Peer] = m.Addrs
		}
		if m.Peer != n.self {
			n.Host.AddPeer(m.Peer, m.Addrs...)
		}
	}
	n.Dir.setNodes(nodes)
	n.detector.SetMembers(all, elsewhere...)
	n.Tell(func(*gossip.Record) {})
	n.cfg.OnMembers()
}
