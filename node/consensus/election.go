package consensus

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// election is a campaign that the transport's verdict on the leader's node calls for, ahead of Raft's own timeout.
type election struct {
	// now asks for a campaign in this step: the only voter starts with one.
	now bool
	// at is when to campaign next; zero when there is no reason to.
	at    time.Time
	armed bool
	tries int // so far
	// granted says that this step voted for another replica, or would if it was asked to.
	granted bool
	// refused says that this step refused one to a replica that knows less of the log.
	refused bool
}

const (
	// The jitter keeps two followers from campaigning at once; a lost pre-vote is tried again soon instead of after a whole timeout, and
	// then after twice as long each time: between sites a campaign takes two round trips.
	campaignDelayMin = 5 * time.Millisecond
	campaignDelayMax = 65 * time.Millisecond
	campaignTriesMax = 5
)

func (g *group) campaignDelay() time.Duration {
	return campaignDelayMin + time.Duration(g.rng.Int64N(int64(campaignDelayMax-campaignDelayMin)))
}

// onPeerDown takes the transport's word that a node is gone. If it led, its followers forget it at once, or the vote would be refused for
// as long as they believe in their leader.
func (g *group) onPeerDown(now time.Time, node NodeID) {
	g.down[node] = true
	for _, m := range g.conf.Members {
		if m.Node == node && m.Replica != g.self {
			g.wake()
			if g.state == raft.StateLeader {
				g.rn.ReportUnreachable(uint64(m.Replica))
			}
		}
	}
	if lead, ok := g.nodeOf(g.lead); ok && lead == node && g.lead != g.self {
		_ = g.rn.ForgetLeader()
		g.stand(now)
	}
}

// stand begins to campaign.
func (g *group) stand(now time.Time) { g.election.at, g.election.tries = now.Add(g.campaignDelay()), 0 }

// onVote notes what an answer to another replica's campaign means for one of our own.
func (g *group) onVote(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgPreVoteResp {
		g.election.granted = g.election.granted || !m.GetReject()
		g.election.refused = g.election.refused || m.GetReject()
	}
}

// campaign campaigns if it is time and still needed. It comes after everything else of a step: who has just voted for another replica
// gives it time to lead, or both would depose each other. Who has refused a vote while nobody leads stands itself, for the other one, which
// knows less of the log, would try in vain; a leader that was deposed in its first moment knows more than who deposed it.
func (g *group) campaign(now time.Time) {
	e := &g.election
	granted, refused := e.granted, e.refused
	e.granted, e.refused = false, false
	switch {
	case g.lead != 0 || g.removed || !slices.Contains(g.conf.Voters, g.self):
		e.at = time.Time{}
	case e.at.IsZero():
		if refused && !granted {
			g.stand(now)
		}
	case granted:
		e.at = now.Add(campaignDelayMax + g.campaignDelay())
	case !now.Before(e.at):
		_ = g.rn.Campaign()
		e.at = now.Add((campaignDelayMax + g.campaignDelay()) << e.tries)
		if e.tries++; e.tries == campaignTriesMax {
			e.at = time.Time{}
		}
	}
}

// armElection asks for a timer if one is needed and none is running.
func (g *group) armElection(now time.Time, out *outbox) {
	e := &g.election
	if e.at.IsZero() || e.armed {
		return
	}
	e.armed = true
	out.timers = append(out.timers, timer{g: g, at: e.at})
}

// transfer is a change of leader that somebody asked for.
type transfer struct {
	to       ReplicaID
	deadline uint64
	done     *proposal
}

func (t *transfer) finish(err error) {
	if t.done != nil {
		t.done.finish(nil, err)
	}
	*t = transfer{}
}

func (g *group) startTransfer(s *signal) {
	switch {
	case g.state != raft.StateLeader || g.rn.BasicStatus().RaftState != raft.StateLeader: // the core may have been deposed in this very step
		g.refuseProposals([]*proposal{s.done})
	case s.replica == g.self:
		s.done.finish(nil, nil)
	case !slices.Contains(g.conf.Voters, s.replica) || g.transfer.to != 0:
		s.done.finish(nil, ErrTransferFailed)
	default:
		g.transfer = transfer{to: s.replica, done: s.done, deadline: g.tick + uint64(g.c.cfg.ElectionTicks)}
		g.rn.TransferLeader(uint64(s.replica))
	}
}

// onLeaderKnown ends what waited for a change of leader.
func (g *group) onLeaderKnown() {
	if g.lead == 0 {
		return
	}
	g.election.at = time.Time{}
	if g.transfer.to != 0 && g.lead != g.self {
		if g.lead == g.transfer.to {
			g.transfer.finish(nil)
		} else {
			g.transfer.finish(ErrTransferFailed)
		}
	}
}

func (g *group) expireTransfer() {
	if g.transfer.to != 0 && g.tick > g.transfer.deadline {
		g.transfer.finish(ErrTransferFailed)
	}
}
