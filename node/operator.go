package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// operator answers an operator's questions about this node.
type operator struct{ n *Node }

// Answer implements server.Admin.
func (o *operator) Answer(ctx context.Context, what string, arg []byte) ([]byte, error) {
	out, err := o.answer(ctx, what, arg)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func (o *operator) answer(ctx context.Context, what string, arg []byte) (any, error) {
	switch what {
	case "space":
		return o.space(ctx)
	case "workers":
		return o.n.repair.Workers(), nil
	case "groups":
		return o.groups()
	case "members":
		return o.members(ctx)
	case "scrub":
		return o.n.repair.Scrub(ctx)
	case "invite":
		var req api.Invite
		if err := json.Unmarshal(arg, &req); err != nil {
			return nil, api.Invalid("node.operator", "The invitation asked for is malformed.")
		}
		return o.n.invite(ctx, req)
	}
	return nil, &api.Error{Kind: api.NotImplemented, Op: "node.operator", Detail: "This node does not know the question " + what + "."}
}

func (o *operator) space(ctx context.Context) (*api.Space, error) {
	s := &api.Space{MetaBytes: metaBytes(o.n.db.Metrics()), Drives: []api.DriveSpace{}}
	for _, g := range o.n.groups()[1:] {
		c, err := o.n.client.Counters(ctx, g)
		if err != nil {
			return nil, err
		}
		s.Objects += int64(c.GetGroup().GetObjects())
		s.ObjectBytes += int64(c.GetGroup().GetBytes())
		s.Uploads += int64(c.GetGroup().GetUploads())
		s.PendingDrops += int64(c.GetGarbage())
	}
	for i := range o.n.desc.Drives {
		dd := &o.n.desc.Drives[i]
		ds := api.DriveSpace{Path: dd.Path, DriveID: dd.ID.String(), State: "missing"}
		if st := o.n.drives[dd.id()]; st != nil {
			u := st.Usage()
			ds.State, ds.Shards, ds.ShardBytes, ds.SegmentBytes = u.State.String(), int64(u.Shards), u.LiveBytes, u.SegmentBytes
			ds.FreeBytes, ds.TotalBytes = u.FreeBytes, u.TotalBytes
		}
		s.Drives = append(s.Drives, ds)
	}
	return s, nil
}

// metaBytes is what metadata takes on disk, without the few log files that the database keeps, or
// lays out ahead, to write into.
func metaBytes(m *pebble.Metrics) int64 {
	return int64(m.DiskSpaceUsage()) - int64(m.WAL.PhysicalSize) - int64(m.WAL.ObsoletePhysicalSize) + int64(m.WAL.Size)
}

func (o *operator) groups() ([]api.Group, error) {
	var out []api.Group
	for _, g := range o.n.host.Groups() {
		st, err := o.n.host.Status(g)
		if err != nil {
			return nil, err
		}
		row := api.Group{ID: uint32(g), Leader: string(st.LeaderNode), Term: st.Term, Applied: st.Applied}
		for _, v := range st.Voters {
			row.Voters = append(row.Voters, string(v.Node))
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b api.Group) int { return int(a.ID) - int(b.ID) })
	return out, nil
}

func (o *operator) members(ctx context.Context) ([]api.Member, error) {
	a, err := o.n.server.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	out := []api.Member{}
	for _, m := range a.GetMembers().GetMembers() {
		out = append(out, api.Member{PeerID: m.GetPeerId(), Roles: m.GetRoles(), Site: m.GetSite(), Addrs: m.GetAddrs(), Epoch: m.GetEpoch()})
	}
	slices.SortFunc(out, func(a, b api.Member) int { return strings.Compare(a.PeerID, b.PeerID) })
	return out, nil
}
