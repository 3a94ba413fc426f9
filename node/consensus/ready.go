package consensus

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// onReady distributes one Ready of Raft's core.
func (g *group) onReady(rd raft.Ready, out *outbox) {
	if !raft.IsEmptyHardState(rd.HardState) {
		if v := rd.HardState.GetVote(); v != g.hs.Vote && v != 0 && v != uint64(g.self) {
			g.election.granted = true // the answer waits for a sync
		}
		g.hs = hardState{Term: rd.HardState.GetTerm(), Vote: rd.HardState.GetVote(), Commit: rd.HardState.GetCommit()}
		g.hsDirty = true
	}
	if rd.SoftState != nil {
		g.onSoftState(rd.SoftState, rd.Entries)
	}
	g.proposals.place(g, rd.Entries)
	for _, m := range rd.Messages {
		switch {
		case m.GetType() == raftpb.MsgStorageAppend:
			g.onStorageAppend(m, rd, out)
		case m.GetType() == raftpb.MsgStorageApply:
			g.onStorageApply(m, out)
		case m.GetType() == raftpb.MsgSnap:
			g.sendSnapshot(m, out)
		default:
			g.send(m, out)
		}
	}
	for _, rs := range rd.ReadStates {
		g.reads.confirm(rs, g.applied)
	}
}

// onSoftState follows leadership. What was proposed under a lost leadership has an unknown outcome from here on.
func (g *group) onSoftState(ss *raft.SoftState, es []*raftpb.Entry) {
	was, lead := g.state, g.lead
	g.state, g.lead = ss.RaftState, ReplicaID(ss.Lead)
	if g.state == raft.StateLeader && was != raft.StateLeader {
		g.termStart = 0
		for _, e := range es {
			if e.GetTerm() == g.hs.Term {
				g.termStart = e.GetIndex()
				break
			}
		}
		g.c.cfg.Logger.Info("replica leads", "group", g.id, "replica", g.self, "term", g.hs.Term)
		g.c.met.elections.Inc()
	}
	if was == raft.StateLeader && g.state != raft.StateLeader {
		g.termStart = 0
		g.proposals.failPlaced()
		for _, p := range g.changes {
			p.fail(ErrOutcomeUnknown)
		}
		g.changes = nil
	}
	if g.lead != lead {
		g.heard = g.tick
		g.reads.requeue()
		g.onLeaderKnown()
	}
}

// onStorageAppend makes an append of what Raft wants written. A commit index alone is not worth a write: it goes along with the next one,
// and the state proves it too. Responses that wait for no write are delivered at once.
func (g *group) onStorageAppend(m *raftpb.Message, rd raft.Ready, out *outbox) {
	snap := !raft.IsEmptySnap(rd.Snapshot)
	it := &appendItem{g: g, entries: m.GetEntries(), responses: m.GetResponses(), sync: rd.MustSync || snap}
	if snap {
		g.acceptSnapshot(it, rd.Snapshot)
	}
	if n := len(it.entries); n > 0 {
		first, last := it.entries[0].GetIndex(), it.entries[n-1].GetIndex()
		if first <= g.handed && g.handed > last {
			it.deleteTo = g.handed
		}
		g.handed = last
	}
	if it.sync {
		if g.hsDirty || snap {
			it.hs, it.hasHS, g.hsDirty = g.hs, true, false
		}
	} else if g.appends == 0 {
		g.deliver = append(g.deliver, it.responses...)
		return
	} else if len(it.responses) == 0 {
		return
	}
	g.pushAppend(it, out)
}

// pushAppend hands work to the append step, behind whatever waits already.
func (g *group) pushAppend(it *appendItem, out *outbox) {
	g.appends++
	if len(g.held) > 0 || it.snapshot != nil {
		g.held = append(g.held, it)
		return
	}
	out.appends = append(out.appends, it)
}

func (g *group) onStorageApply(m *raftpb.Message, out *outbox) {
	es := m.GetEntries()
	it := &applyItem{g: g, entries: es, response: m.GetResponses()[0]}
	it.props = g.proposals.take(es[len(es)-1].GetIndex())
	g.applies++
	out.applies = append(out.applies, it)
}

// send hands a message to the node of its receiver. One that nobody is known for is lost, as any message may be.
func (g *group) send(m *raftpb.Message, out *outbox) {
	to := ReplicaID(m.GetTo())
	node, ok := g.nodeOf(to)
	if !ok || node == g.c.cfg.Self {
		return
	}
	if g.keepsQuestion(to, m) {
		return
	}
	g.onVote(m)
	class := Control
	if m.GetType() == raftpb.MsgApp && len(m.GetEntries()) > 0 {
		if g.sentBefore(to, m) {
			g.c.met.dropped.WithLabelValues("again").Inc()
			return
		}
		class = Bulk
	}
	out.sends = append(out.sends, outbound{node: node, class: class, group: g.id, to: to, from: g.self, kind: itemRaft, m: m})
}

// sentAppend is where an append began in the log, and how many entries it had.
type sentAppend struct {
	term, index uint64
	entries     int
}

// sentBefore tells whether an append carries nothing that one of this tick to the same replica did not, and notes it if not. Raft's core
// sends a replica that it probes the same entries for every answer to a heartbeat, of which each read makes one, and for every rejection,
// so that a replica that cannot follow would be sent more the less it can. What was lost on its way is sent again with the next tick.
func (g *group) sentBefore(to ReplicaID, m *raftpb.Message) bool {
	now := sentAppend{m.GetTerm(), m.GetIndex(), len(m.GetEntries())}
	last := g.sent[to]
	if last.term == now.term && last.index == now.index && last.entries >= now.entries {
		return true
	}
	g.sent[to] = now
	return false
}

// sendItem hands an item of our own to a replica's node.
func (g *group) sendItem(to ReplicaID, node NodeID, kind itemKind, payload []byte, out *outbox) {
	out.sends = append(out.sends, outbound{node: node, group: g.id, to: to, from: g.self, kind: kind, payload: payload})
}

// nodeOf returns the node of a replica, as far as it is known here.
func (g *group) nodeOf(id ReplicaID) (NodeID, bool) {
	if id == 0 {
		return "", false
	}
	if n, ok := g.conf.node(id); ok {
		return n, true
	}
	for _, m := range g.seeds {
		if m.Replica == id {
			return m.Node, true
		}
	}
	n, ok := g.learned[id]
	return n, ok
}

// learnedMax bounds what a group remembers of replicas it does not know.
const learnedMax = 16

// stranger says whether a replica is one that this one has not heard of: it may have been added since, or somebody makes it up.
func (g *group) stranger(id ReplicaID) bool { return len(g.conf.Members) > 0 && id > g.conf.MaxReplica }

// led says whether this replica leads, or hears from who does, or rests under it. Then it needs no stranger: who was added comes to
// its knowledge by the log. A stranger that was believed could claim to lead, in a later term, and put into the log what it likes.
func (g *group) led() bool {
	return g.lead != 0 && (g.lead == g.self || g.quiet.Load() || g.tick-g.heard <= uint64(g.c.cfg.ElectionTicks))
}

// doubt ends the rest of a replica that hears a stranger, and rouses its leader. One that still leads is heard then. If none is, the
// stranger may be right: the group may have replaced the leader while this replica stood still.
func (g *group) doubt(out *outbox) {
	if !g.quiet.Load() {
		return
	}
	g.wake()
	g.rest.idle, g.heard = 0, g.tick
	if node, ok := g.conf.node(g.lead); ok && g.lead != g.self {
		g.sendItem(g.lead, node, itemWake, nil, out)
	}
}

// trusts says whether a message that claims to come from replica id may come from node. A replica that was removed is told so. One that is
// not known here is believed only by a replica that hears from no leader, which may have missed that it was added.
func (g *group) trusts(id ReplicaID, node NodeID, out *outbox) bool {
	if n, ok := g.conf.node(id); ok {
		return n == node
	}
	if g.conf.MaxReplica >= id && len(g.conf.Members) > 0 {
		if !g.unsettled.any() {
			g.sendItem(id, node, itemRemoved, appendRemoved(nil, g.conf.MaxReplica+1), out)
		}
		return false
	}
	if g.stranger(id) && id != g.lead && g.led() {
		g.doubt(out)
		return false
	}
	if len(g.seeds) > 0 && len(g.conf.Members) == 0 {
		for _, m := range g.seeds {
			if m.Replica == id {
				return m.Node == node
			}
		}
	}
	if r := g.c.cfg.Resolve; r != nil {
		n, ok := r(g.id, id)
		if !ok || n != node {
			return false
		}
	}
	if known, ok := g.learned[id]; ok {
		return known == node
	}
	if len(g.learned) >= learnedMax {
		clear(g.learned)
	}
	g.learned[id] = node
	return true
}

func (g *group) onMessage(in *inbound, out *outbox) {
	if !g.trusts(in.from, in.node, out) {
		g.c.met.dropped.WithLabelValues("sender").Inc()
		return
	}
	if in.from == g.lead {
		g.heard = g.tick
	}
	switch in.kind {
	case itemRaft:
		if g.foreignReadTooEarly(in.m) {
			return
		}
		// A leader that asks while all others rest does not know of one that has been started since.
		if in.m.GetType() == raftpb.MsgHeartbeat && in.from != g.lead {
			g.sendItem(in.from, in.node, itemWake, nil, out)
		}
		g.onAnswer(in.from, in.m)
		if err := g.rn.Step(in.m); err != nil {
			g.c.met.dropped.WithLabelValues("raft").Inc()
		}
	case itemQuiesce:
		g.onQuiesce(in, out)
	case itemWake:
		g.wake()
		g.rest.idle = min(g.rest.idle, max(0, g.c.cfg.QuiesceTicks-1-g.c.cfg.HeartbeatTicks)) // who asks wants to hear from the leader
	case itemRemoved:
		g.onRemovedClaim(in)
	}
}

func (g *group) onSignal(now time.Time, s *signal, out *outbox) {
	switch s.kind {
	case signalPeerDown:
		g.onPeerDown(now, s.node)
		g.pollDown(s.node, out)
	case signalPeerUp:
		delete(g.down, s.node)
	case signalUnreachable:
		g.rn.ReportUnreachable(uint64(s.replica))
	case signalTimer:
		g.election.armed = false
	case signalSnapshotDone:
		g.onSnapshotSent(s)
	case signalSnapshotIn:
		g.onSnapshotReceived(s, out)
	case signalTransfer:
		g.startTransfer(s)
	case signalTrim:
		g.log.trimCache(g.applied, s.keep)
	case signalTruncate:
		g.truncateSoon = true
	case signalRemove:
		g.onRemoveOrder(s)
	default:
		panic(fmt.Sprintf("unknown signal %d", s.kind))
	}
}
