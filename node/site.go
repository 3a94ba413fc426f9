package node

import (
	"context"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/meta"
	"shoal/node/peer"
)

// groupRows begins the rows of all groups: those that every store has, and those of sites. at says
// where each is.
func groupRows(partitions int, places []*meta.GroupPlace) (out []controller.Group, at map[consensus.GroupID]int) {
	at = make(map[consensus.GroupID]int)
	for id := range consensus.GroupID(partitions + 1) {
		at[id] = len(out)
		out = append(out, controller.Group{ID: id})
	}
	for _, p := range places {
		id := consensus.GroupID(p.GetGroup())
		if _, known := at[id]; !known {
			at[id] = len(out)
			out = append(out, controller.Group{ID: id})
		}
		g := &out[at[id]]
		g.Site = p.GetSite()
		if p.GetSite() != "" && !p.GetFounded() {
			g.Founding = &controller.Founding{Founder: consensus.NodeID(p.GetFounder())}
			continue
		}
		g.Published = &controller.Place{Voters: nodeIDs(p.GetVoters()), Learners: nodeIDs(p.GetLearners()), Site: p.GetSite()}
	}
	return out, at
}

func sitePlacement(s *controller.SitePlacement) *meta.SitePlacement {
	out := &meta.SitePlacement{
		Site: s.Site, Table: s.Current.Table.Append(nil), DataShards: uint32(s.Current.Profile.K), ParityShards: uint32(s.Current.Profile.M),
	}
	for _, c := range s.Others {
		out.Others = append(out.Others, c.Table.Append(nil))
	}
	return out
}

// FoundGroup implements controller.Hands. The system group is told of a first replica only when the
// founder has it on its disk.
func (w *world) FoundGroup(ctx context.Context, a controller.FoundGroup) error {
	cmd := &meta.FoundGroup{Group: uint32(a.Group), Founder: string(a.Founder)}
	switch a.Step {
	case controller.AbandonFounding:
		cmd.Step = meta.FoundGroup_ABANDON
	case controller.CreateFirst:
		cmd.Step = meta.FoundGroup_CONFIRM
		if err := w.act(ctx, a.Founder, &peer.ReplicaAct{Group: a.Group, Found: true}); err != nil {
			return err
		}
	}
	return w.propose(ctx, &meta.Command{Op: &meta.Command_FoundGroup{FoundGroup: cmd}})
}

// founder says whether this node is to create the first replica of a group, and has not yet been
// heard to have done so. A node whose metadata were lost and that comes back under the same name
// after the group was founded does not create another one.
func (n *Node) founder(ctx context.Context, g consensus.GroupID) error {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}})
	if err != nil {
		return err
	}
	for _, p := range a.GetGroups().GetPlaces() {
		if consensus.GroupID(p.GetGroup()) == g && p.GetSite() != "" && p.GetFounder() == string(n.ID()) && !p.GetFounded() {
			return nil
		}
	}
	return &api.Error{Kind: api.ConditionalConflict, Op: "node.founder", Detail: "This node is not to create the group."}
}

// bucketGroups lists the groups that may keep buckets: those that every store has, and those of sites.
func (n *Node) bucketGroups(ctx context.Context) ([]consensus.GroupID, error) {
	l, err := n.client.Layout(ctx)
	if err != nil {
		return nil, err
	}
	return append(n.groups()[1:], l.SiteGroups()...), nil
}
