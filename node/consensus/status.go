package consensus

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// status describes the replica. Its step must not run at the same time.
func (g *group) status() GroupStatus {
	s := GroupStatus{
		Group: g.id, Replica: g.self, Term: g.hs.Term, Commit: g.hs.Commit, Applied: g.applied, FirstIndex: g.log.truncated.Index + 1,
		LastIndex: g.log.last, Voters: g.conf.membersOf(g.conf.Voters), Learners: g.conf.membersOf(g.conf.Learners), Outgoing: append(g.conf.membersOf(g.conf.Outgoing), g.unsettled.left...),
		Quiet: g.quiet.Load(), Removed: g.removed, Broken: g.broken,
		MaxReplica: max(g.conf.MaxReplica, g.self), Recovered: g.conf.Recovered,
	}
	if g.dead.Load() {
		return s
	}
	s.Leader = g.lead
	s.LeaderNode, _ = g.nodeOf(g.lead)
	if g.state != raft.StateLeader {
		return s
	}
	s.IsLeader = g.termStart > 0 && g.applied >= g.termStart
	s.Progress = map[ReplicaID]Progress{}
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		p := Progress{Match: pr.Match, Next: pr.Next, Active: pr.RecentActive, Lag: g.log.last - min(g.log.last, pr.Match)}
		switch pr.State {
		case tracker.StateReplicate:
			p.State = "replicate"
		case tracker.StateSnapshot:
			p.State = "snapshot"
		default:
			p.State = "probe"
		}
		s.Progress[ReplicaID(id)] = p
	})
	return s
}
