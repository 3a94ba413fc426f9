package peer

import (
	"errors"
	"time"

	"shoal/node/consensus"
)

// ReplicaAct is a change of a group's replicas at one node.
type ReplicaAct struct {
	Group consensus.GroupID
	// Create makes an empty replica with this ID here, which may believe Seeds until it has heard
	// the membership from the group itself.
	Create consensus.ReplicaID
	Seeds  []consensus.Member
	// Remove ends the replica with this ID here; the group does not count on it any more.
	Remove consensus.ReplicaID
	// Change changes the membership of the group, which this node must lead.
	Change *consensus.Change
	// Transfer hands the leadership, which this node must have, to a replica.
	Transfer consensus.ReplicaID
	// Found makes the first replica of a group that is bound to a site. The node refuses unless the
	// system group says that it, and nobody else, is to do so.
	Found bool
}

func membersToWire(ms []consensus.Member) []*ReplicaMember {
	var out []*ReplicaMember
	for _, m := range ms {
		out = append(out, &ReplicaMember{Replica: uint64(m.Replica), Node: string(m.Node)})
	}
	return out
}

func membersFromWire(ms []*ReplicaMember) []consensus.Member {
	var out []consensus.Member
	for _, m := range ms {
		out = append(out, consensus.Member{Replica: consensus.ReplicaID(m.GetReplica()), Node: consensus.NodeID(m.GetNode())})
	}
	return out
}

func idsToWire(ids []consensus.ReplicaID) []uint64 {
	var out []uint64
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}

func idsFromWire(ids []uint64) []consensus.ReplicaID {
	var out []consensus.ReplicaID
	for _, id := range ids {
		out = append(out, consensus.ReplicaID(id))
	}
	return out
}

func actToWire(a *ReplicaAct) *ReplicaRequest {
	r := &ReplicaRequest{Group: uint32(a.Group)}
	switch {
	case a.Create != 0:
		r.Act, r.Replica, r.Members = ReplicaRequest_CREATE, uint64(a.Create), membersToWire(a.Seeds)
	case a.Remove != 0:
		r.Act, r.Replica = ReplicaRequest_REMOVE, uint64(a.Remove)
	case a.Transfer != 0:
		r.Act, r.Replica = ReplicaRequest_TRANSFER, uint64(a.Transfer)
	case a.Found:
		r.Act = ReplicaRequest_FOUND
	case a.Change != nil:
		r.Act = ReplicaRequest_CHANGE
		r.AddLearners, r.Promote, r.Remove = membersToWire(a.Change.AddLearners), idsToWire(a.Change.Promote), idsToWire(a.Change.Remove)
		r.Voters = idsToWire(a.Change.Voters)
	}
	return r
}

func actFromWire(r *ReplicaRequest) (*ReplicaAct, error) {
	if len(r.Members)+len(r.AddLearners)+len(r.Promote)+len(r.Remove)+len(r.Voters) > 64 {
		return nil, malformed("change of replicas")
	}
	a, id := &ReplicaAct{Group: consensus.GroupID(r.Group)}, consensus.ReplicaID(r.Replica)
	switch r.Act {
	case ReplicaRequest_FOUND:
		a.Found = true
		return a, nil
	case ReplicaRequest_CREATE:
		a.Create, a.Seeds = id, membersFromWire(r.Members)
	case ReplicaRequest_REMOVE:
		a.Remove = id
	case ReplicaRequest_TRANSFER:
		a.Transfer = id
	case ReplicaRequest_CHANGE:
		a.Change = &consensus.Change{
			AddLearners: membersFromWire(r.AddLearners), Promote: idsFromWire(r.Promote), Remove: idsFromWire(r.Remove), Voters: idsFromWire(r.Voters),
		}
		return a, nil
	}
	if id == 0 {
		return nil, malformed("change of replicas")
	}
	return a, nil
}

func statusToWire(s *consensus.GroupStatus) *GroupStatus {
	w := &GroupStatus{
		Group: uint32(s.Group), Replica: uint64(s.Replica), Leader: uint64(s.Leader), LeaderNode: string(s.LeaderNode), IsLeader: s.IsLeader,
		Term: s.Term, Commit: s.Commit, Applied: s.Applied, FirstIndex: s.FirstIndex, LastIndex: s.LastIndex, Voters: membersToWire(s.Voters),
		Learners: membersToWire(s.Learners), Outgoing: membersToWire(s.Outgoing), Quiet: s.Quiet, Removed: s.Removed, MaxReplica: uint64(s.MaxReplica),
	}
	if s.Recovered != nil {
		w.Recovered = s.Recovered.At.UnixNano()
	}
	for _, c := range s.Callers {
		w.Callers = append(w.Callers, &GroupCaller{Node: string(c.Node), Requests: c.Requests})
	}
	if s.Broken != nil {
		w.Broken = s.Broken.Error()
	}
	for id, p := range s.Progress {
		w.Progress = append(w.Progress, &ReplicaProgress{
			Replica: uint64(id), Match: p.Match, Next: p.Next, State: p.State, Active: p.Active, Lag: p.Lag,
		})
	}
	return w
}

func statusFromWire(w *GroupStatus) consensus.GroupStatus {
	s := consensus.GroupStatus{
		Group: consensus.GroupID(w.GetGroup()), Replica: consensus.ReplicaID(w.Replica), Leader: consensus.ReplicaID(w.Leader),
		LeaderNode: consensus.NodeID(w.LeaderNode), IsLeader: w.IsLeader, Term: w.Term, Commit: w.Commit, Applied: w.Applied,
		FirstIndex: w.FirstIndex, LastIndex: w.LastIndex, Voters: membersFromWire(w.Voters), Learners: membersFromWire(w.Learners),
		Outgoing: membersFromWire(w.Outgoing), Quiet: w.Quiet, Removed: w.Removed, MaxReplica: consensus.ReplicaID(w.MaxReplica),
	}
	if w.Recovered != 0 {
		s.Recovered = &consensus.Recovery{At: time.Unix(0, w.Recovered)}
	}
	if w.Broken != "" {
		s.Broken = errors.New(w.Broken)
	}
	for _, c := range w.Callers {
		s.Callers = append(s.Callers, consensus.Caller{Node: consensus.NodeID(c.GetNode()), Requests: c.GetRequests()})
	}
	if len(w.Progress) > 0 {
		s.Progress = make(map[consensus.ReplicaID]consensus.Progress)
	}
	for _, p := range w.Progress {
		s.Progress[consensus.ReplicaID(p.GetReplica())] = consensus.Progress{Match: p.Match, Next: p.Next, State: p.State, Active: p.Active, Lag: p.Lag}
	}
	return s
}
