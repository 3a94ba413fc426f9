package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/gossip"
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
		return append(o.n.repair.Workers(), o.n.control.Show().Worker), nil
	case "groups":
		return o.groups(ctx)
	case "pending":
		return o.pending(), nil
	case "members":
		return o.members(ctx)
	case "scrub":
		return o.n.repair.Scrub(ctx)
	case "invite":
		return with(arg, func(req api.Invite) (string, error) { return o.n.invite(ctx, req) })
	case "allow":
		return with(arg, func(req api.Allow) (api.Allowed, error) { return o.n.allow(ctx, req) })
	case "set-member":
		return with(arg, func(req api.MemberChange) (struct{}, error) { return struct{}{}, o.n.setMember(ctx, req) })
	case "revoke":
		return with(arg, func(peerID string) (api.Revoked, error) { return o.n.revoke(ctx, peerID) })
	case "remove-drive":
		return with(arg, func(id string) (struct{}, error) { return struct{}{}, o.n.removeDrive(ctx, id) })
	case "settings":
		a, err := o.n.query(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
		return a.GetDynamic().GetValues(), err
	case "durability":
		return with(arg, func(q api.DurabilityQuery) (api.Durability, error) { return o.n.repair.Durability(ctx, q.LostSite) })
	case "collect":
		return o.n.repair.Collect(), nil
	case "collection":
		return o.n.repair.Collection(), nil
	case "leftovers":
		return with(arg, func(b api.BucketOwner) (api.NodeLeftovers, error) { return o.leftovers(ctx, b) })
	case peer.Recount:
		o.n.repair.Recount()
		return struct{}{}, nil
	case peer.RecountSoon:
		o.n.repair.RecountSoon()
		return struct{}{}, nil
	case "moving":
		return o.n.repair.Moving(ctx)
	case "create-key":
		return with(arg, func(req api.NewKey) (api.IssuedKey, error) { return o.n.createKey(ctx, req) })
	case "write-root":
		return with(arg, func(req api.NewRootFile) (string, error) { return o.n.writeRoot(ctx, req) })
	case "switch-root":
		return with(arg, func(disabled bool) (struct{}, error) { return struct{}{}, o.n.switchRoot(ctx, disabled) })
	case "issue-session", "issue-user-session": // a node of an earlier release does not know the second, nor that a session ends early
		return with(arg, func(req api.NewSession) (api.IssuedSession, error) { return o.n.issueSession(ctx, req) })
	case "open-session":
		return with(arg, o.n.openSession)
	case "acme-item":
		return with(arg, func(name string) (api.ACMEItem, error) { return o.n.acmeItem(ctx, name) })
	case "put-acme-item":
		return with(arg, func(put api.PutACMEItem) (uint64, error) { return o.n.putACMEItem(ctx, put) })
	case "delete-acme-item":
		return with(arg, func(name string) (struct{}, error) { return struct{}{}, o.n.deleteACMEItem(ctx, name) })
	case "set-setting", "set-peer-rule": // the second is for nodes alone
		return with(arg, func(s api.SettingChange) (struct{}, error) {
			if api.IsPeerRule(s.Name) != (what == "set-peer-rule") {
				return struct{}{}, api.Invalid("node.operator", "Rules for addresses of peers, and they alone, are set by set-peer-rule.")
			}
			return struct{}{}, o.n.setSetting(ctx, s)
		})
	}
	return nil, &api.Error{Kind: api.NotImplemented, Op: "node.operator", Detail: "This node does not know the question " + what + "."}
}

// with decodes a question's argument for f.
func with[A, R any](arg []byte, f func(A) (R, error)) (any, error) {
	var a A
	if err := json.Unmarshal(arg, &a); err != nil {
		return nil, api.Invalid("node.operator", "What was asked for is malformed.")
	}
	return f(a)
}

func (o *operator) space(ctx context.Context) (*api.Space, error) {
	s := &api.Space{MetaBytes: metaBytes(o.n.db.Metrics()), Drives: []api.DriveSpace{}}
	groups, err := o.n.bucketGroups(ctx)
	if err != nil {
		return nil, err
	}
	o.count(ctx, s, groups)
	for _, dd := range o.n.describedDrives() {
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

// leftovers looks for shards of a bucket that nobody owns, on the drives that are here.
func (o *operator) leftovers(ctx context.Context, b api.BucketOwner) (api.NodeLeftovers, error) {
	found, err := o.n.repair.Leftovers(ctx, b)
	for _, dd := range o.n.describedDrives() {
		if o.n.drives[dd.id()] == nil {
			found.MissingDrives = append(found.MissingDrives, dd.ID.String())
		}
	}
	return found, err
}

// countTimeout bounds the questions to groups: one that has no leader is left out, and named.
const countTimeout = 2 * time.Second

// count asks all groups at once what is in them.
func (o *operator) count(ctx context.Context, s *api.Space, groups []consensus.GroupID) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	answers := make([]*meta.CountersAnswer, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() {
			if c, err := o.n.client.Counters(ctx, g); err == nil {
				answers[i] = c
			}
		})
	}
	wg.Wait()
	for i, c := range answers {
		if c == nil {
			s.Uncounted = append(s.Uncounted, uint32(groups[i]))
			continue
		}
		s.Objects += int64(c.GetGroup().GetObjects())
		s.ObjectBytes += int64(c.GetGroup().GetBytes())
		s.Uploads += int64(c.GetGroup().GetUploads())
		s.PendingDrops += int64(c.GetGarbage())
	}
}

// metaBytes is what metadata takes on disk, without the few log files that the database keeps, or
// lays out ahead, to write into.
func metaBytes(m *pebble.Metrics) int64 {
	return int64(m.DiskSpaceUsage()) - int64(m.WAL.PhysicalSize) - int64(m.WAL.ObsoletePhysicalSize) + int64(m.WAL.Size)
}

func (o *operator) groups(ctx context.Context) ([]api.Group, error) {
	list, err := o.n.server.GroupStatuses(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.Group, 0, len(list))
	lost := o.n.host.LostPeers()
	for i := range list {
		row := groupRow(&list[i])
		row.Refused = refused(&row, lost)
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b api.Group) int { return int(a.ID) - int(b.ID) })
	return out, nil
}

// refused lists the members of a group that are among those whose log lost writes.
func refused(g *api.Group, lost []consensus.NodeID) (ids []string) {
	for _, id := range lost {
		if slices.Contains(g.Voters, string(id)) || slices.Contains(g.Learners, string(id)) {
			ids = append(ids, string(id))
		}
	}
	return ids
}

// pending says what the controller does to groups, or waits for, if the one of this node acts.
func (o *operator) pending() map[uint32]string {
	out := make(map[uint32]string)
	for _, g := range o.n.control.Show().Groups {
		if g.Note != "" {
			out[uint32(g.ID)] = g.Note
		}
	}
	return out
}

func groupRow(st *consensus.GroupStatus) api.Group {
	row := api.Group{ID: uint32(st.Group), Leader: string(st.LeaderNode), Term: st.Term, Applied: st.Applied, Quiet: st.Quiet}
	if st.Recovered != nil {
		row.Recovered = st.Recovered.At
	}
	nodes := make(map[consensus.ReplicaID]string)
	for _, v := range st.Voters {
		row.Voters = append(row.Voters, string(v.Node))
		nodes[v.Replica] = string(v.Node)
	}
	for _, l := range st.Learners {
		row.Learners = append(row.Learners, string(l.Node))
		nodes[l.Replica] = string(l.Node)
	}
	if len(st.Outgoing) > 0 {
		row.Pending = "voters are being replaced"
	}
	for id, p := range st.Progress {
		if p.Lag > row.Lag || row.Slowest == "" && p.Lag > 0 {
			row.Lag, row.Slowest = p.Lag, nodes[id]
		}
	}
	switch {
	case st.Broken != nil:
		row.Broken = st.Broken.Error()
	case st.Removed:
		row.Broken = "this replica was removed from its group"
	}
	return row
}

// members lists the member table with what gossip and failure detection say.
func (o *operator) members(ctx context.Context) ([]api.Member, error) {
	a, err := o.n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	out := []api.Member{}
	here := make(map[string]bool)
	for _, m := range a.GetMembers().GetMembers() {
		here[m.GetPeerId()] = true
		out = append(out, o.memberRow(m))
	}
	for _, r := range a.GetMembers().GetRevocations() {
		if !here[r.GetPeerId()] {
			out = append(out, api.Member{PeerID: r.GetPeerId(), State: api.MemberLeft, Epoch: r.GetEpoch(), LastSeen: time.Unix(0, r.GetTime())})
		}
	}
	slices.SortFunc(out, func(a, b api.Member) int { return strings.Compare(a.PeerID, b.PeerID) })
	return out, nil
}

func (o *operator) memberRow(m *meta.Member) api.Member {
	row := api.Member{
		PeerID: m.GetPeerId(), Roles: m.GetRoles(), Site: m.GetSite(), Addrs: m.GetAddrs(), Epoch: m.GetEpoch(), State: api.MemberActive,
		Weight: m.GetWeight(), Drives: len(m.GetDrives()),
	}
	switch m.GetState() {
	case meta.MemberState_MEMBER_LEAVING:
		row.State = api.MemberDraining
	case meta.MemberState_MEMBER_LOST:
		row.State = api.MemberLost
	}
	live, since := o.n.liveness(p2p.NodeID(row.PeerID))
	row.LastSeen = o.n.cfg.Now()
	switch live {
	case controller.Alive:
		row.Liveness = api.LivenessAlive
	case controller.Suspect:
		row.Liveness = api.LivenessSuspect
	default:
		row.Liveness, row.LastSeen = api.LivenessDead, since
	}
	if r, ok := o.n.net.Gossip.Get(p2p.NodeID(row.PeerID)); ok {
		row.Release = r.Release
		present := 0
		for _, d := range r.Drives {
			if d.State != gossip.DriveGone {
				present++
			}
			if d.State == gossip.DriveReadOnly {
				row.DrivesReadOnly++
			}
			row.CapacityBytes += int64(d.Capacity)
			row.UsedBytes += int64(d.Used)
		}
		row.DrivesMissing = max(row.Drives-present, 0)
	}
	return row
}
