package node

import (
	"context"

	"shoal/node/api"
	"shoal/node/meta"
	"shoal/p2p/transport"
)

// OnAct has f called with each act of this node. f returns once the act is on record, or an error when ctx ends first. It is called
// before Run, once; without it acts are on no record.
func (n *Node) OnAct(f func(ctx context.Context, a api.Act) error) { n.onAct = f }

// record puts an act on record, for as long as that takes within ctx. The act has happened, so a failure is logged alone.
func (n *Node) record(ctx context.Context, a api.Act) {
	if n.onAct == nil {
		return
	}
	if err := n.onAct(ctx, a); err != nil {
		n.cfg.Logger.Error("an act is not on the record", "operation", a.Operation, "target", a.Target, "err", err)
	}
}

// joinedState is what is told of a member that has joined. Invitation is the ID of its token in hex, or "peer ID" when it was
// allowed by that.
type joinedState struct {
	api.MemberState
	Invitation string `json:"invitation"`
}

// recordJoin puts on record that a peer became a member. old is its row before, if it had one; member is what it was to become.
func (n *Node) recordJoin(ctx context.Context, req transport.JoinRequest, old, member *meta.Member, err error) {
	o := &operator{n}
	invitation := "peer ID"
	if req.HasProof {
		invitation = req.Token.String()
	}
	row := o.memberRow(member)
	a := api.Act{
		Kind: api.ActOnMembership, Operation: "JoinMember", Target: string(req.Peer), RemoteAddr: req.Remote,
		After: joinedState{row.Decided(), invitation}, Failed: api.Doubt(err),
	}
	if old != nil {
		row := o.memberRow(old)
		a.Before = row.Decided()
	}
	n.record(ctx, a)
}

// recordDrained puts on record which members have been emptied. told are those on record already by this node; another that begins to
// lead the system group tells it once more.
func (n *Node) recordDrained(ctx context.Context, told map[string]bool) error {
	members, err := n.client.Members(ctx)
	if err != nil {
		return err
	}
	for i := range members {
		m := &members[i]
		switch {
		case m.State == api.MemberDrained && !told[m.PeerID]:
			told[m.PeerID] = true
			after := m.Decided()
			before := after
			before.State = api.MemberDraining
			n.record(ctx, api.Act{Kind: api.ActOnMembership, Operation: "DrainMember", Target: m.PeerID, Before: before, After: after})
		case m.State != api.MemberDrained && m.State != api.MemberDraining:
			delete(told, m.PeerID)
		}
	}
	return nil
}
