package sim

import (
	"slices"
	"time"

	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/meta"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// The real controller's core, fed and obeyed as node's driver and world do it.

// reignOfController is a node's time as leader of the system group.
type reignOfController struct {
	term uint64
	core *controller.Core
}

// settings of the simulated clusters: everything that takes minutes takes half a minute.
var (
	controllerConfig = controller.Config{Quiet: 2 * time.Second, QuietMax: 8 * time.Second, ReadmitAfter: 10 * time.Second, BackoffMax: 8 * time.Second}
	replaceAfter     = time.Minute
)

// controlCycle runs the controller while this node leads the system group.
func (n *node) controlCycle(p *proc) {
	_, term, here := n.st.Leader(consensus.SystemGroup)
	if !here {
		delete(n.w.control, n.id)
		return
	}
	r := n.w.control[n.id]
	if r == nil || r.term != term {
		r = &reignOfController{term, controller.NewCore(controllerConfig)}
		n.w.control[n.id] = r
	}
	s, err := n.snapshot(p)
	if err != nil {
		return
	}
	for _, a := range r.core.Step(n.clock(), s).Actions {
		n.w.spawn(n, "action", func(p *proc) {
			err := n.carryOut(p, a)
			if _, minor := a.(controller.PublishGroup); !minor {
				n.w.logf("controller on %s: %v: %v", n.id, a, err)
			}
			r.core.Done(n.clock(), a, err)
		})
	}
}

func (n *node) snapshot(p *proc) (*controller.Snapshot, error) {
	s := &controller.Snapshot{Settings: controller.Settings{ReplaceAfter: replaceAfter}}
	a, err := n.query(p, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	for _, m := range a.GetMembers().GetMembers() {
		s.Members = append(s.Members, n.member(m))
	}
	l, err := n.makeLayout(p)
	if err != nil {
		return nil, err
	}
	s.Placement = controller.Placement{Epoch: l.Epoch, Current: controller.Coding{Profile: l.Profile, Table: l.Table}}
	for _, t := range l.Others {
		if n.widths != nil && n.widthsOf == l.Epoch && !n.widths[t.Width()] {
			continue
		}
		s.Placement.Others = append(s.Placement.Others, controller.Coding{Table: t})
	}
	places, err := n.query(p, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}})
	if err != nil {
		return nil, err
	}
	s.Groups = n.groups(p, s.Members, places.GetGroups().GetPlaces())
	return s, nil
}

func (n *node) member(m *meta.Member) controller.Member {
	out := controller.Member{
		Node: consensus.NodeID(m.GetPeerId()), Site: m.GetSite(), Roles: p2p.RoleNode, State: controller.Active, Joined: time.Unix(0, m.GetJoined()),
	}
	switch m.GetState() {
	case meta.MemberState_MEMBER_LEAVING:
		out.State = controller.Draining
	case meta.MemberState_MEMBER_LOST:
		out.State = controller.Lost
	}
	l := link{n.id, out.Node}
	out.Liveness, out.Since = controller.Alive, n.w.views.since[l].Add(n.skew)
	switch n.w.views.state[l] {
	case suspect:
		out.Liveness = controller.Suspect
	case dead:
		out.Liveness = controller.Dead
	}
	for _, d := range m.GetDrives() {
		out.Drives = append(out.Drives, controller.Drive{ID: placement.DriveID(d.GetId()), Weight: d.GetWeight(), State: controller.Active})
	}
	return out
}

func (n *node) groups(p *proc, members []controller.Member, places []*meta.GroupPlace) []controller.Group {
	out := make([]controller.Group, partitions+1)
	for i := range out {
		out[i].ID = consensus.GroupID(i)
	}
	for _, pl := range places {
		out[pl.GetGroup()].Published = &controller.Place{Voters: nodeIDs(pl.GetVoters()), Learners: nodeIDs(pl.GetLearners())}
	}
	answers := make([][]consensus.GroupStatus, len(members))
	var asks []func(*proc)
	for i := range members {
		if members[i].Liveness == controller.Dead {
			continue
		}
		asks = append(asks, func(p *proc) {
			v, err := p.call(members[i].Node, attemptTime, func(_ *proc, n *node) (any, error) { return n.statuses(), nil })
			if err == nil {
				answers[i] = v.([]consensus.GroupStatus)
			}
		})
	}
	p.all(asks)
	for i, list := range answers {
		for j := range list {
			takeStatus(&out[list[j].Group], members[i].Node, &list[j])
		}
	}
	return out
}

func (n *node) statuses() (out []consensus.GroupStatus) {
	for _, g := range n.st.Groups() {
		if st, err := n.st.Status(g); err == nil {
			out = append(out, st)
		}
	}
	return out
}

func takeStatus(g *controller.Group, node consensus.NodeID, st *consensus.GroupStatus) {
	g.Held = append(g.Held, controller.Held{Replica: controller.Replica{Replica: st.Replica, Node: node}, Broken: st.Broken != nil})
	if !st.IsLeader || g.Status != nil && g.Status.Term >= st.Term {
		return
	}
	g.Status = &controller.Status{
		Leader: controller.Replica{Replica: st.Replica, Node: node}, Term: st.Term, Voters: st.Voters, Learners: st.Learners,
		Outgoing: st.Outgoing, Progress: st.Progress, MaxReplica: st.MaxReplica,
	}
}

func nodeIDs(names []string) (out []consensus.NodeID) {
	for _, n := range names {
		out = append(out, consensus.NodeID(n))
	}
	return out
}

func names(ids []consensus.NodeID) (out []string) {
	for _, n := range ids {
		out = append(out, string(n))
	}
	return out
}

const actionTime = 30 * time.Second

// carryOut does an action of the controller.
func (n *node) carryOut(p *proc, a controller.Action) error {
	n.w.counts["action"]++
	at := func(to consensus.NodeID, f func(n *node, done func(any, error))) error {
		_, err := p.call(to, actionTime, func(p *proc, n *node) (any, error) {
			fu := n.w.future()
			f(n, fu.resolve)
			return p.await(fu, actionTime)
		})
		return err
	}
	switch a := a.(type) {
	case controller.CreateReplica:
		return at(a.Replica.Node, func(n *node, done func(any, error)) {
			done(nil, n.st.CreateReplica(a.Group, a.Replica.Replica, a.Members))
		})
	case controller.ChangeMembers:
		n.w.counts["change"]++
		return at(a.Leader.Node, func(n *node, done func(any, error)) { n.st.ChangeMembers(a.Group, a.Change, done) })
	case controller.RemoveReplica:
		return at(a.Replica.Node, func(n *node, done func(any, error)) { n.st.RemoveReplica(a.Group, a.Replica.Replica, done) })
	case controller.TransferLeader:
		return at(a.Leader.Node, func(n *node, done func(any, error)) { n.st.TransferLeader(a.Group, a.To.Replica, done) })
	case controller.PutPlacement:
		n.w.counts["epoch"]++
		pl := &meta.Placement{
			Epoch: a.Placement.Epoch, Table: n.w.encoded(a.Placement.Current.Table),
			DataShards: uint32(a.Placement.Current.Profile.K), ParityShards: uint32(a.Placement.Current.Profile.M),
		}
		for _, c := range a.Placement.Others {
			pl.Others = append(pl.Others, n.w.encoded(c.Table))
		}
		return n.system(p, &meta.Command{Op: &meta.Command_PutPlacement{PutPlacement: &meta.PutPlacement{Placement: pl}}})
	case controller.MarkLost:
		n.w.counts["lost"]++
		return n.setState(p, a.Node, meta.MemberState_MEMBER_LOST)
	case controller.MarkActive:
		return n.setState(p, a.Node, meta.MemberState_MEMBER_ACTIVE)
	case controller.PublishGroup:
		return n.system(p, &meta.Command{Op: &meta.Command_PutGroup{PutGroup: &meta.PutGroup{Place: &meta.GroupPlace{
			Group: uint32(a.Group), Voters: names(a.Place.Voters), Learners: names(a.Place.Learners),
		}}}})
	}
	panic("unknown action")
}

// system runs a command on the system group, which this node must lead.
func (n *node) system(p *proc, cmd *meta.Command) error {
	res, err := n.propose(p, consensus.SystemGroup, cmd)
	if err != nil {
		return err
	}
	return res.Err("sim")
}

func setState(id consensus.NodeID, s meta.MemberState) *meta.Command {
	return &meta.Command{Op: &meta.Command_SetMember{SetMember: &meta.SetMember{PeerId: string(id), State: &s}}}
}

func (n *node) setState(p *proc, id consensus.NodeID, s meta.MemberState) error {
	return n.system(p, setState(id, s))
}

// announceSelf writes a node's row of the member table when it starts, unless it is as it should be.
func (n *node) announceSelf(p *proc) {
	for {
		a, err := p.query(consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
		if err == nil {
			i := slices.IndexFunc(a.GetMembers().GetMembers(), func(m *meta.Member) bool { return m.GetPeerId() == string(n.id) })
			if i >= 0 && a.GetMembers().GetMembers()[i].GetState() != meta.MemberState_MEMBER_LOST {
				return
			}
			if _, err = p.propose(consensus.SystemGroup, n.row()); err == nil {
				return
			}
		}
		p.sleep(2 * time.Second)
	}
}

// mendRow is node's: it writes the row anew when the placement counts on a drive that the node has lost.
func (n *node) mendRow(p *proc) {
	if n.layout == nil {
		return
	}
	for _, t := range n.layout.Drives() {
		if consensus.NodeID(t.Node) == n.id && n.drive(t.Drive) == nil {
			a, err := p.query(consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
			own := n.row()
			if err == nil && slices.ContainsFunc(a.GetMembers().GetMembers(), func(m *meta.Member) bool {
				return m.GetPeerId() == string(n.id) && len(m.GetDrives()) != len(own.GetPutMember().GetMember().GetDrives())
			}) {
				_, _ = p.propose(consensus.SystemGroup, own)
			}
			return
		}
	}
}

func (n *node) row() *meta.Command {
	m := &meta.Member{PeerId: string(n.id), Roles: []string{"node"}, Site: n.site}
	for _, d := range n.drives {
		if !d.gone {
			m.Drives = append(m.Drives, &meta.Drive{Id: d.id[:], Node: m.PeerId, Site: n.site, Weight: 100})
		}
	}
	return &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: m}}}
}
