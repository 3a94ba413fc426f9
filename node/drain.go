package node

import (
	"context"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/meta"
)

// checkDrain refuses to drain a member without which no profile keeps what is promised. Two that are drained at the same moment may
// both pass; the controller then says what it cannot keep.
func (n *Node) checkDrain(ctx context.Context, peerID string) error {
	members, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return err
	}
	w := &world{n}
	var rows []controller.Member
	for _, m := range members.GetMembers().GetMembers() {
		row, err := w.member(m)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	dynamic, err := n.query(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return err
	}
	set, err := controllerSettings(dynamic.GetDynamic().GetValues())
	if err != nil {
		return err
	}
	l, err := n.client.Layout(ctx)
	if err != nil {
		return err
	}
	var sites []string
	for _, site := range l.Bound {
		sites = append(sites, site)
	}
	if why := controller.RefuseDrain(rows, sites, &set, l.Profile, consensus.NodeID(peerID)); why != "" {
		return api.Invalid("node.checkDrain", why)
	}
	return nil
}
