package consensus

import (
	"testing"

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

// TestStrangerRousesNobody: what a stranger says does not end the rest of a group, after which it would be believed.
func TestStrangerRousesNobody(t *testing.T) {
	w := quietWorld(t, 6)
	f := w.follower()
	f.g.quiet.Store(true)
	f.in.msgs = append(f.in.msgs, forgery(f, f.g.conf.MaxReplica+1))
	f.node().stepGroup(f)
	if !f.g.quiet.Load() {
		t.Error("the group was roused")
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
