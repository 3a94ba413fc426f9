package consensus

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// rest lets idle groups do without ticks. A group whose replicas all hold the same log needs no heartbeats while nothing happens, as long
// as somebody else watches the nodes: PeerDown wakes it, and so does every message, proposal and read.
type rest struct {
	// idle counts the ticks without activity.
	idle int
	// shared says that this replica leads and all others rest as well: nothing has woken them since it told them to.
	shared bool
}

func (r *rest) enabled(g *group) bool { return g.c.cfg.QuiesceTicks >= 0 }

// readRestTicks is how long a group without reads must be idle that is not written to. Nothing has to be brought to the others then.
const readRestTicks = 1

// wake ends this replica's rest, and perhaps the others'.
func (g *group) wake() {
	g.rest.shared = false
	g.quiet.Store(false)
}

// asksOnly tells whether a message is no more than its leader's question, for a read, whether this replica still follows. To answer it need
// not wake. A heartbeat without a question is one of a leader that ticks, which may have reason to.
func (g *group) asksOnly(in *inbound) bool {
	return in.m.GetType() == raftpb.MsgHeartbeat && len(in.m.GetContext()) > 0 && g.state == raft.StateFollower && in.from == g.lead &&
		in.m.GetTerm() == g.hs.Term && in.m.GetCommit() <= g.hs.Commit
}

// noteActivity wakes a resting group for anything but the passing of time.
func (g *group) noteActivity(in *inbox) {
	active := len(in.props)+len(in.appended)+len(in.applied) > 0
	reads := len(in.reads) > 0
	for i := range in.signals {
		if k := in.signals[i].kind; k != signalTrim && k != signalTruncate && k != signalPeerDown && k != signalPeerUp {
			active = true
		}
	}
	for i := range in.msgs {
		m := &in.msgs[i]
		if m.kind != itemRaft || g.stranger(m.from) && m.from != g.lead && g.led() {
			continue
		}
		t := m.m.GetType()
		// Answers to a leader's last heartbeat may come after its word to rest. They must not end the rest that they come into.
		if (t != raftpb.MsgHeartbeatResp || g.state != raft.StateLeader || m.m.GetTerm() != g.hs.Term) && !g.asksOnly(m) {
			g.wake()
		}
		switch t {
		case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp:
		case raftpb.MsgReadIndex, raftpb.MsgReadIndexResp:
			reads = true
		default:
			active = true
		}
	}
	if active {
		g.rest.idle = 0
	} else if reads {
		g.rest.idle = min(g.rest.idle, max(0, g.c.cfg.QuiesceTicks-readRestTicks-in.ticks)) // ticks that came with it were before it
	}
	switch {
	case active:
		g.wake()
	case reads: // The others need not wake for those of a leader.
		g.quiet.Store(false)
	}
}

// maybeQuiesce puts the group to rest if this replica leads it and every other replica is known to be where it is, and tells whether it did.
func (g *group) maybeQuiesce(out *outbox) bool {
	if g.state != raft.StateLeader || !g.rest.enabled(g) || g.rest.idle < g.c.cfg.QuiesceTicks || g.busy() || g.conf.alone(g.self) ||
		g.conf.joint() || g.hs.Commit != g.log.last || g.applied != g.log.last {
		return false
	}
	for _, m := range g.conf.Members {
		if g.down[m.Node] {
			return false
		}
	}
	same := true
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if ReplicaID(id) != g.self && (pr.Match != g.log.last || pr.State != tracker.StateReplicate || !pr.RecentActive) {
			same = false
		}
	})
	if !same {
		return false
	}
	payload := appendQuiesce(nil, g.hs.Term, g.hs.Commit)
	for _, m := range g.conf.Members {
		if m.Replica != g.self {
			g.sendItem(m.Replica, m.Node, itemQuiesce, payload, out)
		}
	}
	g.rest.shared = true
	g.quiet.Store(true)
	return true
}

// onQuiesce rests together with the leader, or tells it that there is no reason to.
func (g *group) onQuiesce(in *inbound, out *outbox) {
	if g.lead == in.from && g.hs.Term == in.term && g.hs.Commit == in.commit && g.applied == in.commit && g.log.last == in.commit &&
		!g.busy() && !g.down[in.node] {
		g.quiet.Store(true)
		return
	}
	g.sendItem(in.from, in.node, itemWake, nil, out)
}

// callOut wakes the others when nobody leads as far as this replica knows. A learner that was restarted while its group rests would hear of
// its leader in no other way: it does not campaign. One that was removed is told so in answer.
func (g *group) callOut(out *outbox) {
	for _, m := range g.conf.Members {
		if m.Replica != g.self {
			g.sendItem(m.Replica, m.Node, itemWake, nil, out)
		}
	}
}
