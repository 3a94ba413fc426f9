package consensus

import (
	"testing"
	"testing/cryptotest"

	"go.etcd.io/raft/v3/raftpb"
)

// forgery is an append of somebody who claims to lead in a later term, with an entry that it says is committed.
func forgery(to *simGroup, from ReplicaID) inbound {
	term, last := to.g.hs.Term+100, to.g.log.last
	entry := &raftpb.Entry{Type: raftpb.EntryNormal.Enum(), Term: new(term), Index: new(last + 1), Data: []byte("forged")}
	return inbound{node: "mallory", from: from, kind: itemRaft, m: &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), To: new(uint64(to.g.self)), From: new(uint64(from)), Term: new(term),
		Index: new(last), LogTerm: new(to.g.log.lastTerm), Commit: new(last + 1), Entries: []*raftpb.Entry{entry},
	}}
}

// TestForgedByStrangers: a node that has no replica of a group claims to lead it. Leader and followers take nothing from it, be it under
// the ID of a replica or under one that no replica has yet, and neither in the group's rest nor out of it; a snapshot neither.
func TestForgedByStrangers(t *testing.T) {
	for _, resting := range []bool{false, true} {
		w := quietWorld(t, 5)
		f, lead := w.follower(), w.mustLead(0)
		for _, to := range []*simGroup{f, lead} {
			to.g.quiet.Store(resting)
			term, last, applied := to.g.hs.Term, to.g.log.last, to.g.applied
			for _, from := range []ReplicaID{to.g.self, lead.g.self, f.g.self, to.g.conf.MaxReplica, to.g.conf.MaxReplica + 1, replicaLimit - 1} {
				conf := *to.g.conf
				in := &incomingSnapshot{node: "mallory", done: make(chan error, 1), snapshotHeader: snapshotHeader{
					to: to.g.self, from: from, term: term + 100, pos: logPos{Index: last + 10, Term: term + 100}, conf: &conf}}
				to.in.msgs = append(to.in.msgs, forgery(to, from))
				to.in.signals = append(to.in.signals, signal{kind: signalSnapshotIn, snap: in})
				to.node().stepGroup(to)
				select {
				case err := <-in.done:
					if err == nil {
						t.Errorf("the snapshot of replica %d was taken", from)
					}
				default:
					t.Errorf("the snapshot of replica %d was not refused", from)
				}
			}
			if g := to.g; g.hs.Term != term || g.log.last != last || g.applied != applied || g.receiving != nil || len(g.learned) > 0 {
				t.Errorf("term %d, log to %d, applied %d; were %d, %d, %d", g.hs.Term, g.log.last, g.applied, term, last, applied)
			}
		}
		w.writes(1)
	}
}

// TestStrangerRaisesDoubt: what a stranger says is not believed by a replica that rests, but has it find out whether its leader still leads.
func TestStrangerRaisesDoubt(t *testing.T) {
	w := quietWorld(t, 6)
	f, lead := w.follower(), w.mustLead(0)
	for _, to := range []*simGroup{f, lead} {
		term := to.g.hs.Term
		f.g.quiet.Store(true)
		lead.g.quiet.Store(true)
		to.in.msgs = append(to.in.msgs, forgery(to, f.g.conf.MaxReplica+1))
		to.node().stepGroup(to)
		if to.g.quiet.Load() {
			t.Error("the replica goes on resting")
		}
		w.rest()
		if to.g.hs.Term != term || w.mustLead(0) != lead {
			t.Errorf("term %d, was %d", to.g.hs.Term, term)
		}
	}
	w.writes(1)
}

// TestStrangerLeads: a follower rests, and stands still while the others take a new replica into the group, which comes to lead it, and the
// leader that it rests under is taken out. It hears of that from nobody that it knows.
func TestStrangerLeads(t *testing.T) {
	for seed := range uint64(20) {
		cryptotest.SetGlobalRandom(t, seed)
		w := &pair{simWorld: newWorld(t, seed, 4, 1)}
		conf := func(voters, learners int) func() bool {
			return func() bool {
				lead := w.leaderOf(0)
				return lead != nil && !lead.g.conf.joint() && len(lead.g.conf.Voters) == voters && len(lead.g.conf.Learners) == learners
			}
		}
		w.rest()
		for i, id := range w.order[1:3] {
			m := Member{ReplicaID(i + 2), id}
			w.nodes[id].create(newJoining(0, m.Replica), w.mustLead(0).g.conf.Members)
			w.until("a learner", conf(i+1, 1), Change{AddLearners: []Member{m}})
			w.rest()
			w.until("a voter", conf(i+2, 0), Change{Promote: []ReplicaID{m.Replica}})
			w.rest()
		}
		old, f := w.mustLead(0), w.follower()
		w.until("rest", func() bool { return old.g.quiet.Load() && f.g.quiet.Load() && f.g.lead == old.g.self }, Change{})
		still := f.node().id
		for _, id := range w.order {
			w.blocked[link{still, id}], w.blocked[link{id, still}] = true, true
		}
		m := Member{4, w.order[3]}
		w.nodes[m.Node].create(newJoining(0, m.Replica), old.g.conf.Members)
		w.until("a new learner", conf(3, 1), Change{AddLearners: []Member{m}})
		stranger := w.nodes[m.Node].group(0)
		w.until("it has the log", func() bool { return stranger.g.applied == w.mustLead(0).g.log.last }, Change{})
		w.until("it is a voter", conf(4, 0), Change{Promote: []ReplicaID{4}})
		w.until("it leads", func() bool {
			if lead := w.leaderOf(0); lead != nil && lead != stranger {
				lead.in.signals = append(lead.in.signals, signal{kind: signalTransfer, replica: 4, done: newProposal(nil)})
			}
			return stranger.g.pub.Load().leads
		}, Change{})
		gone := old.node()
		w.propose(stranger, 0, &Change{Remove: []ReplicaID{old.g.self}})
		w.until("the old leader is gone", func() bool { return gone.gs[0] == nil }, Change{})
		if !f.g.quiet.Load() || f.g.lead != old.g.self {
			t.Fatalf("the follower has noticed: it rests %v, under %d", f.g.quiet.Load(), f.g.lead)
		}
		w.heal()
		w.verify()
	}
}

// TestStrangerWhileNobodyLeads: a replica that hears from no leader believes one that it does not know, which may have been added behind its back.
func TestStrangerWhileNobodyLeads(t *testing.T) {
	w := quietWorld(t, 7)
	f := w.follower()
	var out outbox
	id := f.g.conf.MaxReplica + 1
	if f.g.trusts(id, "new", &out) {
		t.Fatal("believed while there is a leader")
	}
	f.g.heard, f.g.tick = 0, uint64(f.g.c.cfg.ElectionTicks)+1
	if !f.g.trusts(id, "new", &out) {
		t.Error("not believed though the leader is not heard of")
	}
	if f.g.trusts(id, "another", &out) {
		t.Error("two nodes were believed to have one replica")
	}
}
