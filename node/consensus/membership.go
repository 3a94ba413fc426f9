package consensus

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// promoteLagMax is how many entries a learner may be behind when it becomes a voter.
const promoteLagMax = 1000

// buildChange checks a change against the membership and returns the entry that makes it.
func (g *group) buildChange(c *Change) ([]byte, error) {
	if g.conf.joint() || len(g.changes) > 0 {
		return nil, fmt.Errorf("%w: another change is under way", ErrChangeRefused)
	}
	if err := g.checkChange(c); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrChangeRefused, err)
	}
	cc := &raftpb.ConfChangeV2{}
	add := func(t raftpb.ConfChangeType, id ReplicaID) {
		cc.Changes = append(cc.Changes, &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: new(uint64(id))})
	}
	for _, m := range c.AddLearners {
		add(raftpb.ConfChangeAddLearnerNode, m.Replica)
	}
	for _, id := range c.Promote {
		add(raftpb.ConfChangeAddNode, id)
	}
	for _, id := range c.Remove {
		add(raftpb.ConfChangeRemoveNode, id)
	}
	if len(cc.Changes) > 1 {
		cc.Transition = raftpb.ConfChangeTransitionJointImplicit.Enum()
	}
	cc.Context = appendMembers([]byte{recordFormat}, c.AddLearners)
	return proto.Marshal(cc)
}

func (g *group) checkChange(c *Change) error {
	n := len(c.AddLearners) + len(c.Promote) + len(c.Remove)
	if n == 0 || n > membersMax/2 {
		return fmt.Errorf("%d steps", n)
	}
	if len(c.Voters) > 0 && !slices.Equal(slices.Sorted(slices.Values(c.Voters)), slices.Sorted(slices.Values(g.conf.Voters))) {
		return fmt.Errorf("it was decided on voters %v, and they are %v", c.Voters, g.conf.Voters)
	}
	seen := map[ReplicaID]bool{}
	for _, m := range c.AddLearners {
		taken := slices.ContainsFunc(g.conf.Members, func(o Member) bool { return o.Node == m.Node && !slices.Contains(c.Remove, o.Replica) })
		if m.Replica <= g.conf.MaxReplica || m.Replica >= replicaLimit || m.Node == "" || len(m.Node) > nodeIDMax || taken || seen[m.Replica] {
			return fmt.Errorf("replica %d on node %q cannot be added", m.Replica, m.Node)
		}
		seen[m.Replica] = true
	}
	for _, id := range c.Promote {
		if !slices.Contains(g.conf.Learners, id) || seen[id] {
			return fmt.Errorf("replica %d is no learner", id)
		}
		seen[id] = true
		if err := g.checkCaughtUp(id); err != nil {
			return err
		}
	}
	voters := len(g.conf.Voters) + len(c.Promote)
	for _, id := range c.Remove {
		if !slices.Contains(g.conf.Voters, id) && !slices.Contains(g.conf.Learners, id) || seen[id] {
			return fmt.Errorf("replica %d is no member", id)
		}
		seen[id] = true
		if slices.Contains(g.conf.Voters, id) {
			voters--
		}
	}
	if voters < 1 {
		return fmt.Errorf("no voter would be left")
	}
	return nil
}

// checkCaughtUp keeps a voter from entering a quorum that would have to wait for it.
func (g *group) checkCaughtUp(id ReplicaID) (err error) {
	g.rn.WithProgress(func(rid uint64, _ raft.ProgressType, pr tracker.Progress) {
		if ReplicaID(rid) == id && (pr.State != tracker.StateReplicate || pr.Match+promoteLagMax < g.log.last) {
			err = fmt.Errorf("learner %d has not caught up: at %d of %d", id, pr.Match, g.log.last)
		}
	})
	return err
}

// change returns the configuration after cc, or an error if cc does not fit c. It is a pure function, so that every replica decides alike.
func (c *configuration) change(cc *raftpb.ConfChangeV2, index uint64) (*configuration, error) {
	r := reader{b: cc.GetContext(), what: "members of change"}
	var added []Member
	if len(r.b) > 0 {
		if r.u8() != recordFormat {
			r.fail("unknown format")
		}
		added = r.members()
		if err := r.done(); err != nil {
			return nil, err
		}
	}
	cfg, trk, err := confchange.Restore(confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: index}, c.confState())
	if err != nil {
		return nil, err
	}
	t := tracker.MakeProgressTracker(1, 0)
	t.Config, t.Progress = cfg, trk
	ch := confchange.Changer{Tracker: t, LastIndex: index}
	if cc.LeaveJoint() {
		cfg, trk, err = ch.LeaveJoint()
	} else if autoLeave, ok := cc.EnterJoint(); ok {
		cfg, trk, err = ch.EnterJoint(autoLeave, cc.Changes...)
	} else {
		cfg, trk, err = ch.Simple(cc.Changes...)
	}
	if err != nil {
		return nil, err
	}
	t.Config, t.Progress = cfg, trk
	n := c.withConfState(t.ConfState())
	n.Members = slices.DeleteFunc(n.with(added), func(m Member) bool { return !n.contains(m.Replica) })
	for _, m := range added {
		n.MaxReplica = max(n.MaxReplica, m.Replica)
	}
	return n, nil
}

// onChange makes a change of the state also Raft's.
func (g *group) onChange(ch appliedChange) {
	if ch.refused != nil {
		if ch.prop != nil {
			ch.prop.finish(nil, fmt.Errorf("%w: %v", ErrChangeRefused, ch.refused))
		}
		return
	}
	cs := g.rn.ApplyConfChange(ch.cc)
	if err := ch.conf.confState().Equivalent(cs); err != nil {
		panic(fmt.Sprintf("configuration of the state differs from Raft's: %v", err))
	}
	for _, m := range g.conf.Members {
		if g.conf.votes(m.Replica) && !ch.conf.contains(m.Replica) {
			g.unsettled.left = append(g.unsettled.left, m)
		}
	}
	g.conf, g.unsettled.dirty = ch.conf, true
	g.c.cfg.Logger.Info("group membership changed", "group", g.id, "voters", ch.conf.Voters, "learners", ch.conf.Learners, "outgoing", ch.conf.Outgoing)
	if ch.prop != nil {
		g.changes = append(g.changes, ch.prop)
	}
	if !g.conf.joint() {
		for _, p := range g.changes {
			p.finish(nil, nil)
		}
		g.changes = nil
	}
}

// unsettled is what of the membership could be forgotten by a loss of power. That a change is committed is no more durable than the
// commit index, and the voters that it removed are needed again if nobody remembers: they must not be told before.
type unsettled struct {
	dirty   bool     // it changed, and nothing was written since
	pending int      // writes under way
	left    []Member // voters that are gone by it
}

func (u *unsettled) any() bool { return u.dirty || u.pending > 0 }

// settleConf has a change of the membership made durable: whatever is written after it is applied does so, once it is synced.
func (g *group) settleConf(out *outbox) {
	if !g.unsettled.dirty || g.dead.Load() {
		return
	}
	g.unsettled.dirty = false
	g.unsettled.pending++
	it := &appendItem{g: g, settles: true, sync: true}
	if g.hsDirty {
		it.hs, it.hasHS, g.hsDirty = g.hs, true, false
	}
	g.pushAppend(it, out)
}

// onRemovedClaim hears that this replica was removed. One voice is not enough to give up a vote; a majority of the voters known here is.
func (g *group) onRemovedClaim(in *inbound) {
	if in.next <= g.self || !slices.Contains(g.conf.Voters, in.from) {
		return
	}
	g.removedBy[in.from] = true
	n := 0
	for _, id := range g.conf.Voters {
		if g.removedBy[id] {
			n++
		}
	}
	if n <= len(g.conf.Voters)/2 {
		return
	}
	g.c.cfg.Logger.Warn("replica was removed while it was away", "group", g.id, "replica", g.self)
	g.retire()
}

// retire ends the service of a removed replica.
func (g *group) retire() {
	g.removed = true
	g.solo.Store(false)
	g.dead.Store(true)
	g.quiet.Store(true)
	g.pub.Store(&published{term: g.hs.Term})
	g.failAll(ErrNoReplica)
}

// maybeBury replaces a replica that is no member any more, or that is ordered to go, by its tombstone, once nothing of it is on its way.
// Knowing itself that it was removed is not enough: the others may still need its vote to leave the joint configuration, of whose end they
// have not heard. It goes when a majority of the voters say that it was removed (onRemovedClaim); without a leader it asks them (callOut).
func (g *group) maybeBury(out *outbox) {
	gone := g.removed && len(g.conf.Members) > 0 && g.conf.MaxReplica >= g.self && !g.conf.contains(g.self)
	if !gone && !g.burial.ordered || g.burial.begun || g.appends > 0 || g.applies > 0 || len(g.snapsOut) > 0 {
		return
	}
	g.burial.begun = true
	g.retire()
	g.pushAppend(&appendItem{g: g, bury: &replicaRecord{ID: g.self, Next: max(g.self, g.conf.MaxReplica) + 1}, sync: true}, out)
}

// burial is the end of a replica.
type burial struct {
	ordered, begun bool
	done           []*proposal
}

func (g *group) onRemoveOrder(s *signal) {
	if s.replica != g.self {
		s.done.finish(nil, ErrNoReplica)
		return
	}
	g.burial.ordered = true
	g.burial.done = append(g.burial.done, s.done)
}

// onBuried tells those who ordered it.
func (g *group) onBuried() {
	for _, p := range g.burial.done {
		p.finish(nil, nil)
	}
	g.burial.done = nil
}
