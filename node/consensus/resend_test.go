package consensus

import (
	"bytes"
	"math"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestLaggardIsSentOnce: a follower that was out of reach answers a hundred heartbeats and refuses a hundred appends within one tick. It is
// sent the piece that it lacks once then, read once, and again with the next tick, for that may have been lost.
func TestLaggardIsSentOnce(t *testing.T) {
	w := quietWorld(t, 9)
	f, lead := w.follower(), w.mustLead(0)
	for _, id := range w.order {
		w.blocked[link{f.node().id, id}], w.blocked[link{id, f.node().id}] = true, true
	}
	match := f.g.log.last
	value := bytes.Repeat([]byte("v"), 64)
	for range 4 {
		p := newProposal(append([]byte("a"), value...))
		lead.in.props = append(lead.in.props, p)
		for i := 0; len(p.ch) == 0; i++ {
			if i == 20000 {
				w.failf("write without outcome: %s", w.describe())
			}
			w.step()
		}
		if o := <-p.ch; o.err != nil {
			w.failf("write: %v", o.err)
		}
	}
	if w.mustLead(0) != lead {
		t.Fatal("the leader has changed")
	}
	lead.in.signals = append(lead.in.signals, signal{kind: signalUnreachable, replica: f.g.self})
	lead.node().stepGroup(lead)
	lead.g.log.trimCache(math.MaxUint64, 0)

	sends := func(ticks int) (n int) {
		in, out := inbox{ticks: ticks}, outbox{}
		for range 100 {
			for _, m := range []*raftpb.Message{
				{Type: raftpb.MsgHeartbeatResp.Enum()},
				{Type: raftpb.MsgAppResp.Enum(), Reject: new(true), Index: new(match), RejectHint: new(match)},
			} {
				m.From, m.To, m.Term = new(uint64(f.g.self)), new(uint64(lead.g.self)), new(lead.g.hs.Term)
				in.msgs = append(in.msgs, inbound{node: f.node().id, from: f.g.self, kind: itemRaft, m: m})
			}
		}
		lead.node().c.StepGroup(lead.g, w.now, &in, &out)
		for _, s := range out.sends {
			if s.to == f.g.self && s.m.GetType() == raftpb.MsgApp && len(s.m.GetEntries()) > 0 {
				if s.m.GetIndex() != match {
					t.Errorf("entries after %d, the follower has %d", s.m.GetIndex(), match)
				}
				n++
			}
		}
		return n
	}
	for i, ticks := range []int{1, 0, 1} {
		if n, want := sends(ticks), ticks; n != want {
			t.Errorf("step %d: %d appends with entries, want %d", i, n, want)
		}
	}
	read := func() *raftpb.Entry {
		es, err := lead.g.log.Entries(match+1, match+3, math.MaxUint64)
		if err != nil || len(es) != 2 {
			t.Fatalf("%d entries, %v", len(es), err)
		}
		return es[0]
	}
	first := read()
	if read() != first {
		t.Error("the entries were read twice within a tick")
	}
	lead.g.onTicks(1, &outbox{})
	if lead.g.log.fetched != nil || read() == first {
		t.Error("what was read is kept for longer than a tick")
	}
	w.heal()
	w.verify()
}
