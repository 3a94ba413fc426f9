package consensus

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// proposeBytesMax bounds one MsgProp; what is left over goes into the next.
const proposeBytesMax = 4 << 20

// proposalQueue holds a group's proposals between their arrival and their application.
type proposalQueue struct {
	// queued wait for a leader to be known, since the tick queuedSince.
	queued      []*proposal
	queuedSince uint64
	// turn was handed to Raft in this step and is found at the end of the entries of the next Ready.
	turn []*proposal
	// placed are in the log, by rising index.
	placed []placedProposal
}

func (q *proposalQueue) waiting() bool {
	return len(q.queued) > 0 || len(q.turn) > 0 || len(q.placed) > 0
}

// propose hands all proposals that wait to Raft, together. They wait while an election goes on.
func (g *group) propose(in *inbox) {
	q := &g.proposals
	if len(in.props) == 0 && len(q.queued) == 0 {
		return
	}
	if len(q.queued) == 0 {
		q.queuedSince = g.tick
	}
	// From here on the queue owns them, whatever happens in this step.
	q.queued = append(q.queued, in.props...)
	in.props = recycle(in.props)
	if g.lead == 0 {
		q.shed(g.c.cfg.MaxQueued)
		return
	}
	if g.state != raft.StateLeader {
		ps := q.queued
		q.queued = nil
		g.refuseProposals(ps)
		return
	}
	for len(q.queued) > 0 {
		g.proposeSome()
	}
	q.queued = recycle(q.queued)
}

// shed refuses what waits beyond a limit.
func (q *proposalQueue) shed(limit int) {
	for len(q.queued) > limit {
		last := len(q.queued) - 1
		p := q.queued[last]
		q.queued = q.queued[:last]
		p.finish(nil, ErrBusy)
	}
}

// proposeSome moves the first proposals of the queue to Raft as one message.
func (g *group) proposeSome() {
	q := &g.proposals
	size := 0
	bufs := make([]entryBuf, 0, len(q.queued))
	es := make([]*raftpb.Entry, 0, len(q.queued))
	for len(q.queued) > 0 && size < proposeBytesMax {
		p := q.queued[0]
		q.queued = q.queued[1:]
		if !p.hand() {
			continue
		}
		if p.change != nil {
			data, err := g.buildChange(p.change)
			if err != nil {
				p.finish(nil, err)
				continue
			}
			p.data = data
		}
		size += len(p.data)
		bufs = bufs[:len(bufs)+1]
		b := &bufs[len(bufs)-1]
		b.typ, b.e.Data = p.typ, p.data
		b.e.Type = &b.typ
		es = append(es, &b.e)
		q.turn = append(q.turn, p)
	}
	if len(es) > 0 {
		g.stepProposals(es)
	}
}

// stepProposals gives Raft the entries of the last proposals of the turn. It takes all of them or none.
func (g *group) stepProposals(es []*raftpb.Entry) {
	q := &g.proposals
	err := g.rn.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(g.self)), Entries: es})
	if err == nil {
		g.c.met.proposals.Add(float64(len(es)))
		return
	}
	refused := q.turn[len(q.turn)-len(es):]
	q.turn = q.turn[:len(q.turn)-len(es)]
	if errors.Is(err, raft.ErrProposalDropped) && g.transfer.to == 0 && g.rn.BasicStatus().RaftState == raft.StateLeader {
		for _, p := range refused {
			p.finish(nil, ErrBusy)
		}
		return
	}
	g.refuseProposals(refused)
}

// refuseProposals answers proposals that are certainly not in the log.
func (g *group) refuseProposals(ps []*proposal) {
	node, _ := g.nodeOf(g.lead)
	if g.lead == g.self {
		node = ""
	}
	for _, p := range ps {
		p.finish(nil, &NotLeaderError{Group: g.id, Leader: node})
	}
}

// place finds the proposals of this turn among the entries that Raft wants written: they are the last.
func (q *proposalQueue) place(g *group, es []*raftpb.Entry) {
	if len(q.turn) == 0 {
		return
	}
	es = es[len(es)-len(q.turn):]
	for i, p := range q.turn {
		if p.change != nil && es[i].GetType() != raftpb.EntryConfChangeV2 {
			// Raft put an empty entry in its place: another change is not applied yet.
			p.finish(nil, ErrChangeRefused)
			continue
		}
		q.placed = append(q.placed, placedProposal{index: es[i].GetIndex(), term: es[i].GetTerm(), p: p})
	}
	clear(q.turn)
	q.turn = q.turn[:0]
}

// take removes and returns the placed proposals up to an index.
func (q *proposalQueue) take(index uint64) []placedProposal {
	n := 0
	for n < len(q.placed) && q.placed[n].index <= index {
		n++
	}
	if n == 0 {
		return nil
	}
	out := q.placed[:n:n]
	if q.placed = q.placed[n:]; len(q.placed) == 0 {
		q.placed = nil
	}
	return out
}

// failPlaced ends the wait for proposals whose fate another leader decides.
func (q *proposalQueue) failPlaced() {
	for _, pp := range q.placed {
		pp.p.fail(ErrOutcomeUnknown)
	}
	q.placed = nil
}

// expire answers proposals that waited too long for a leader.
func (q *proposalQueue) expire(g *group) {
	if len(q.queued) > 0 && g.tick-q.queuedSince > uint64(2*g.c.cfg.ElectionTicks) {
		ps := q.queued
		q.queued = nil
		g.refuseProposals(ps)
	}
}

func (q *proposalQueue) failAll(err error) {
	for _, p := range append(q.queued, q.turn...) {
		p.fail(err)
	}
	q.queued, q.turn = nil, nil
	q.failPlaced()
}
