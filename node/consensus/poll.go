package consensus

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// poll has a leader ask no more voters than a majority needs whether it still leads. Raft's core asks all of them for every read, and goes
// on with the first answers that make a majority: the others cost as much and are of no use. So the voters that were the first to answer
// when all were asked are asked alone for a while. Nothing is believed that was not before: to the core, a question that is not sent is one
// that is lost. It asks all voters again with its next heartbeat.
type poll struct {
	// term is the one in which all of this holds.
	term uint64
	// chosen are the voters that are asked; nil for all. first are those that have answered since all are asked, which is since question since.
	chosen, first []ReplicaID
	since         uint64
	// asked is the newest question, at is the tick at which it was asked, and left how many will be asked until all voters are again.
	// Raft's core counts its questions in each term.
	asked, at uint64
	left      int
	// open are the chosen voters that have not answered it.
	open []ReplicaID
	// kept are its messages to all others.
	kept []*raftpb.Message
}

// pollAgain is after how many questions all voters are asked, since another may be faster now.
const pollAgain = 256

// question returns the number of a leader's question in a heartbeat or in an answer to it; 0 for none.
func question(m *raftpb.Message) uint64 {
	if b := m.GetContext(); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// askAll forgets who is asked alone.
func (p *poll) askAll() {
	p.chosen, p.first, p.open, p.since = nil, p.first[:0], p.open[:0], p.asked
}

// majority returns how many other voters a leader needs for a majority, 0 when they cannot be counted in this way.
func (g *group) majority() int {
	if g.conf.joint() {
		return 0
	}
	n := len(g.conf.Voters)/2 + 1
	if g.conf.votes(g.self) {
		n--
	}
	return n
}

// keepsQuestion tells whether a heartbeat is a question that its receiver is not asked, and keeps it. What was asked at an earlier tick and is
// sent again goes to all.
func (g *group) keepsQuestion(to ReplicaID, m *raftpb.Message) bool {
	p, q := &g.poll, question(m)
	if m.GetType() != raftpb.MsgHeartbeat || q == 0 {
		return false
	}
	if m.GetTerm() != p.term {
		*p = poll{term: m.GetTerm()}
	}
	switch {
	case q > p.asked:
		p.asked, p.at, p.kept = q, g.tick, p.kept[:0]
		if p.left--; p.left < 0 {
			p.left = pollAgain
			p.askAll()
		}
		if len(p.chosen) != g.majority() || slices.ContainsFunc(p.chosen, func(id ReplicaID) bool { return !g.conf.votes(id) }) {
			p.askAll()
		}
		p.open = append(p.open[:0], p.chosen...)
	case q < p.asked || g.tick != p.at:
		return false
	}
	if len(p.chosen) == 0 || slices.Contains(p.chosen, to) {
		return false
	}
	p.kept = append(p.kept, m)
	return true
}

// onAnswer notes who answers a question.
func (g *group) onAnswer(from ReplicaID, m *raftpb.Message) {
	p, q := &g.poll, question(m)
	if m.GetType() != raftpb.MsgHeartbeatResp || q == 0 || m.GetTerm() != p.term {
		return
	}
	if i := slices.Index(p.open, from); i >= 0 && q >= p.asked {
		p.open = slices.Delete(p.open, i, i+1)
	}
	need := g.majority()
	if len(p.chosen) > 0 || need == 0 || q < p.since || slices.Contains(p.first, from) || !g.conf.votes(from) {
		return
	}
	if p.first = append(p.first, from); len(p.first) == need {
		p.chosen = slices.Clone(p.first)
	}
}

// pollDown asks all voters when one that was chosen is gone.
func (g *group) pollDown(node NodeID, out *outbox) {
	for _, id := range g.poll.chosen {
		if n, ok := g.conf.node(id); !ok || n == node {
			g.pollAll(out)
			return
		}
	}
}

// pollOverdue asks all voters when one that was chosen has let a tick pass without an answer.
func (g *group) pollOverdue(out *outbox) {
	if len(g.poll.open) > 0 && g.tick-g.poll.at > 1 {
		g.pollAll(out)
	}
}

// pollAll has the newest question go to all voters, and the next ones.
func (g *group) pollAll(out *outbox) {
	p := &g.poll
	kept := p.kept
	if len(p.open) == 0 {
		kept = nil
	}
	p.kept = nil
	p.askAll()
	for _, m := range kept {
		g.send(m, out)
	}
}
