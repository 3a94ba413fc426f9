package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/placement"
)

// world is the cluster as the controller of this node sees and changes it.
type world struct{ n *Node }

var _ controller.World = (*world)(nil)

// Leads implements controller.View.
func (w *world) Leads() bool {
	_, _, here := w.n.host.Leader(consensus.SystemGroup)
	return here
}

// StepDown implements controller.World. Whom it asks is drawn, since the log of one that is asked may be full as well.
func (w *world) StepDown(ctx context.Context) error {
	st, err := w.n.host.Status(consensus.SystemGroup)
	if err != nil {
		return err
	}
	var able []consensus.ReplicaID
	for _, v := range st.Voters {
		if v.Replica != st.Replica && w.n.net.Alive(p2p.NodeID(v.Node)) {
			able = append(able, v.Replica)
		}
	}
	if len(able) == 0 {
		return errors.New("no other voter of the system group is alive")
	}
	return w.n.host.TransferLeader(ctx, consensus.SystemGroup, able[rand.IntN(len(able))])
}

// local asks this node's own replica of the system group, which must lead.
func (w *world) local(ctx context.Context, q *meta.Query) (*meta.Answer, error) {
	return w.n.server.Query(ctx, consensus.SystemGroup, q)
}

// propose runs a command on the system group, which this node must lead: what a controller has
// decided that leads no more is not carried out.
func (w *world) propose(ctx context.Context, cmd *meta.Command) error {
	res, err := w.n.server.Propose(ctx, consensus.SystemGroup, cmd)
	if err != nil {
		return err
	}
	return res.Err("node.world")
}

// Snapshot implements controller.View.
func (w *world) Snapshot(ctx context.Context) (*controller.Snapshot, error) {
	s := new(controller.Snapshot)
	members, err := w.local(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return nil, err
	}
	for _, m := range members.GetMembers().GetMembers() {
		row, err := w.member(m)
		if err != nil {
			return nil, err
		}
		s.Members = append(s.Members, row)
	}
	if s.Settings, err = w.settings(ctx); err != nil {
		return nil, err
	}
	if s.Placement, err = w.placement(ctx); err != nil {
		return nil, err
	}
	places, err := w.local(ctx, &meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}})
	if err != nil {
		return nil, err
	}
	s.Groups = w.groups(ctx, s.Members, places.GetGroups().GetPlaces())
	return s, nil
}

func (w *world) member(m *meta.Member) (controller.Member, error) {
	row, err := network.Row(m)
	if err != nil {
		return controller.Member{}, err
	}
	out := controller.Member{
		Node: consensus.NodeID(m.GetPeerId()), Site: m.GetSite(), Roles: row.Roles, State: controller.Active, WeightPercent: m.GetWeight(),
		Joined: time.Unix(0, m.GetJoined()),
	}
	switch m.GetState() {
	case meta.MemberState_MEMBER_LEAVING:
		out.State = controller.Draining
	case meta.MemberState_MEMBER_LOST:
		out.State = controller.Lost
	}
	out.Liveness, out.Since = w.n.liveness(row.Peer)
	for _, d := range m.GetDrives() {
		out.Drives = append(out.Drives, controller.Drive{ID: placement.DriveID(d.GetId()), Weight: d.GetWeight(), State: controller.Active})
	}
	return out, nil
}

func (w *world) settings(ctx context.Context) (controller.Settings, error) {
	a, err := w.local(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return controller.Settings{}, err
	}
	return controllerSettings(a.GetDynamic().GetValues())
}

// controllerSettings reads the settings that the controller follows.
func controllerSettings(v map[string]string) (s controller.Settings, err error) {
	s.Survives = v[api.SettingSurvives]
	if text := v[api.SettingErasure]; text != "" {
		if s.Erasure, err = erasure.ParseProfile(text); err != nil {
			return s, fmt.Errorf("setting %s: %w", api.SettingErasure, err)
		}
	}
	if text := v[api.SettingReplaceAfter]; text != "" {
		if s.ReplaceAfter, err = time.ParseDuration(text); err != nil {
			return s, fmt.Errorf("setting %s: %w", api.SettingReplaceAfter, err)
		}
	}
	if text := v[api.SettingVoters]; text != "" {
		if _, err := fmt.Sscanf(text, "%d", &s.Voters); err != nil {
			return s, fmt.Errorf("setting %s: %w", api.SettingVoters, err)
		}
	}
	return s, nil
}

func (w *world) placement(ctx context.Context) (controller.Placement, error) {
	l, err := w.n.server.Layout(ctx, nil)
	if err != nil {
		return controller.Placement{}, err
	}
	p := controller.Placement{Epoch: l.Epoch, Current: controller.Coding{Profile: l.Profile, Table: l.Table}}
	for _, t := range l.Others {
		if !w.n.inUse(l.Epoch, t) {
			continue
		}
		p.Others = append(p.Others, controller.Coding{Table: t})
	}
	for i := range l.Sites {
		s := &l.Sites[i]
		out := controller.SitePlacement{Site: s.Site, Current: controller.Coding{Profile: s.Profile, Table: s.Table}}
		for _, t := range s.Others {
			if !w.n.inUse(l.Epoch, t) {
				continue
			}
			out.Others = append(out.Others, controller.Coding{Table: t})
		}
		p.Sites = append(p.Sites, out)
	}
	return p, nil
}

// groups asks every node that may answer for its replicas.
func (w *world) groups(ctx context.Context, members []controller.Member, places []*meta.GroupPlace) []controller.Group {
	out, at := groupRows(w.n.desc.Partitions, places)
	living := lineages{}
	var mu sync.Mutex // guards out and living
	var wg sync.WaitGroup
	for i := range members {
		m := &members[i]
		if !m.Roles.Has(p2p.RoleNode) || m.Liveness == controller.Dead {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, statusTimeout)
			defer cancel()
			list, err := w.n.net.Dir.Node(p2p.NodeID(m.Node)).GroupStatuses(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for j := range list {
				if k, ok := at[list[j].Group]; ok {
					takeStatus(&out[k], m.Node, &list[j])
					living.take(&list[j])
				}
			}
		})
	}
	wg.Wait()
	if twice := living.hide(out); len(twice) > 0 {
		w.n.cfg.Logger.Error("groups were recovered or restored while a majority of their old voters lives: stop the nodes of the half that is to go and run shoal admin recover --discard there", "groups", twice)
	}
	return out
}

// statusTimeout bounds the question to one node: a node that hangs must not hold up all others.
const statusTimeout = 2 * time.Second

// takeStatus adds what a node says of its replica of a group.
func takeStatus(g *controller.Group, node consensus.NodeID, st *consensus.GroupStatus) {
	g.Held = append(g.Held, controller.Held{Replica: controller.Replica{Replica: st.Replica, Node: node}, Broken: st.Broken != nil})
	if !st.IsLeader || g.Status != nil && g.Status.Term >= st.Term {
		return
	}
	g.Status = &controller.Status{
		Leader: controller.Replica{Replica: st.Replica, Node: node}, Term: st.Term, Voters: st.Voters, Learners: st.Learners,
		Outgoing: st.Outgoing, Progress: st.Progress, MaxReplica: st.MaxReplica, Callers: st.Callers,
	}
}

func nodeIDs(names []string) []consensus.NodeID {
	var out []consensus.NodeID
	for _, n := range names {
		out = append(out, consensus.NodeID(n))
	}
	return out
}

func nodeNames(ids []consensus.NodeID) []string {
	var out []string
	for _, n := range ids {
		out = append(out, string(n))
	}
	return out
}

func (w *world) act(ctx context.Context, at consensus.NodeID, a *peer.ReplicaAct) error {
	return w.n.net.Dir.Node(p2p.NodeID(at)).ActOnReplica(ctx, a)
}

// CreateReplica implements controller.Hands.
func (w *world) CreateReplica(ctx context.Context, a controller.CreateReplica) error {
	return w.act(ctx, a.Replica.Node, &peer.ReplicaAct{Group: a.Group, Create: a.Replica.Replica, Seeds: a.Members})
}

// ChangeMembers implements controller.Hands.
func (w *world) ChangeMembers(ctx context.Context, a controller.ChangeMembers) error {
	return w.act(ctx, a.Leader.Node, &peer.ReplicaAct{Group: a.Group, Change: &a.Change})
}

// RemoveReplica implements controller.Hands.
func (w *world) RemoveReplica(ctx context.Context, a controller.RemoveReplica) error {
	return w.act(ctx, a.Replica.Node, &peer.ReplicaAct{Group: a.Group, Remove: a.Replica.Replica})
}

// TransferLeader implements controller.Hands.
func (w *world) TransferLeader(ctx context.Context, a controller.TransferLeader) error {
	return w.act(ctx, a.Leader.Node, &peer.ReplicaAct{Group: a.Group, Transfer: a.To.Replica})
}

// PutPlacement implements controller.Hands.
func (w *world) PutPlacement(ctx context.Context, a controller.PutPlacement) error {
	p := &a.Placement
	out := &meta.Placement{
		Epoch: p.Epoch, Table: p.Current.Table.Append(nil), DataShards: uint32(p.Current.Profile.K), ParityShards: uint32(p.Current.Profile.M),
	}
	for _, c := range p.Others {
		out.Others = append(out.Others, c.Table.Append(nil))
	}
	for i := range p.Sites {
		out.Sites = append(out.Sites, sitePlacement(&p.Sites[i]))
	}
	if err := w.propose(ctx, &meta.Command{Op: &meta.Command_PutPlacement{PutPlacement: &meta.PutPlacement{Placement: out}}}); err != nil {
		return err
	}
	w.n.layoutChanged(p.Epoch)
	return nil
}

func (w *world) setState(ctx context.Context, node consensus.NodeID, state meta.MemberState) error {
	defer w.n.net.Poke()
	return w.propose(ctx, &meta.Command{Op: &meta.Command_SetMember{SetMember: &meta.SetMember{PeerId: string(node), State: &state}}})
}

// MarkLost implements controller.Hands.
func (w *world) MarkLost(ctx context.Context, a controller.MarkLost) error {
	return w.setState(ctx, a.Node, meta.MemberState_MEMBER_LOST)
}

// MarkActive implements controller.Hands.
func (w *world) MarkActive(ctx context.Context, a controller.MarkActive) error {
	return w.setState(ctx, a.Node, meta.MemberState_MEMBER_ACTIVE)
}

// PublishGroup implements controller.Hands.
func (w *world) PublishGroup(ctx context.Context, a controller.PublishGroup) error {
	return w.propose(ctx, &meta.Command{Op: &meta.Command_PutGroup{PutGroup: &meta.PutGroup{Place: &meta.GroupPlace{
		Group: uint32(a.Group), Voters: nodeNames(a.Place.Voters), Learners: nodeNames(a.Place.Learners), Site: a.Place.Site,
	}}}})
}

// liveness is what is thought of a member, and since when.
func (n *Node) liveness(id p2p.NodeID) (controller.Liveness, time.Time) {
	status, since := n.net.Liveness(id)
	switch status {
	case gossip.Alive:
		return controller.Alive, since
	case gossip.Dead, gossip.Left:
		return controller.Dead, since
	}
	return controller.Suspect, since
}
