package consensus

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// orphans is a group of three whose leader is gone, which both followers have been told.
func orphans(t *testing.T) (w *simWorld, a, b *simGroup) {
	t.Helper()
	w = quietWorld(t, 5)
	w.writes(2)
	lead := w.mustLead(0)
	for _, id := range w.order {
		if sg := w.nodes[id].group(0); sg != lead {
			a, b = b, sg
		}
	}
	for _, sg := range []*simGroup{a, b} {
		in := inbox{signals: []signal{{kind: signalPeerDown, node: lead.node().id}}}
		var out outbox
		sg.node().c.StepGroup(sg.g, w.now, &in, &out)
		if at := sg.g.election.at; sg.g.lead != 0 || !at.After(w.now) || len(out.timers) != 1 || !out.timers[0].at.Equal(at) {
			t.Fatalf("replica %d follows %d, and campaigns at %v", sg.g.self, sg.g.lead, at)
		}
	}
	return w, a, b
}

// asks is a campaign of one replica for the vote of another, which knows the log up to an index.
func asks(from, to *simGroup, kind raftpb.MessageType, term, index uint64) inbound {
	logTerm := from.g.hs.Term
	return inbound{kind: itemRaft, from: from.g.self, node: from.node().id, m: &raftpb.Message{Type: &kind, From: new(uint64(from.g.self)), To: new(uint64(to.g.self)),
		Term: &term, LogTerm: &logTerm, Index: &index}}
}

// campaigns says whether a step asked others for votes, and answers whether it granted one.
func campaigns(out *outbox) (asked, granted bool) {
	for _, s := range out.sends {
		if s.kind != itemRaft {
			continue
		}
		switch s.m.GetType() {
		case raftpb.MsgPreVote, raftpb.MsgVote:
			asked = true
		case raftpb.MsgPreVoteResp, raftpb.MsgVoteResp:
			granted = granted || !s.m.GetReject()
		}
	}
	return asked, granted
}

// TestVoterGivesTime: a replica that votes for another, or says that it would, does not campaign itself in the same moment, although its own
// time has come: who won would be deposed at once.
func TestVoterGivesTime(t *testing.T) {
	for _, kind := range []raftpb.MessageType{raftpb.MsgPreVote, raftpb.MsgVote} {
		_, a, b := orphans(t)
		now := b.g.election.at
		in := inbox{msgs: []inbound{asks(a, b, kind, b.g.hs.Term+1, b.g.log.last)}, signals: []signal{{kind: signalTimer}}}
		var out outbox
		b.node().c.StepGroup(b.g, now, &in, &out)
		asked, granted := campaigns(&out)
		if granted = granted || b.g.hs.Vote == uint64(a.g.self); !granted || asked {
			t.Errorf("%v: granted %v, campaigns itself %v", kind, granted, asked)
		}
		if !b.g.election.at.After(now) {
			t.Errorf("%v: the campaign is at %v", kind, b.g.election.at.Sub(now))
		}
	}
}

// TestRefuserStands: a replica that refuses a vote to one that knows less than itself, and does not campaign, begins to: nobody else can win.
func TestRefuserStands(t *testing.T) {
	w, a, b := orphans(t)
	b.g.election = election{}
	in := inbox{msgs: []inbound{asks(a, b, raftpb.MsgPreVote, b.g.hs.Term+1, b.g.log.last-1)}}
	var out outbox
	b.node().c.StepGroup(b.g, w.now, &in, &out)
	if asked, granted := campaigns(&out); asked || granted {
		t.Fatalf("granted %v, campaigns %v", granted, asked)
	}
	at := b.g.election.at
	if !at.After(w.now) || at.After(w.now.Add(campaignDelayMax)) || len(out.timers) != 1 {
		t.Fatalf("campaigns at %v, with %d timers", at.Sub(w.now), len(out.timers))
	}
	var tries []time.Duration
	for now := at; !now.IsZero(); now = b.g.election.at {
		out = outbox{}
		b.node().c.StepGroup(b.g, now, &inbox{signals: []signal{{kind: signalTimer}}}, &out)
		if asked, _ := campaigns(&out); !asked {
			t.Fatalf("no campaign after %v", now.Sub(at))
		}
		tries = append(tries, now.Sub(at))
	}
	if len(tries) != campaignTriesMax {
		t.Errorf("campaigns at %v", tries)
	}
}
