package consensus

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// polled is a leader of three voters that is stepped by hand: what it sends goes nowhere.
type polled struct {
	*simWorld
	lead *simGroup
	// others are the voters that it may ask.
	others []ReplicaID
	// newest is the last question that was sent.
	newest uint64
}

func newPolled(t *testing.T) *polled {
	w := quietWorld(t, 11)
	p := &polled{simWorld: w, lead: w.mustLead(0)}
	p.newest = p.lead.g.poll.asked
	for _, id := range p.lead.g.conf.Voters {
		if id != p.lead.g.self {
			p.others = append(p.others, id)
		}
	}
	return p
}

// step gives the leader an inbox and returns who is asked the newest question.
func (p *polled) step(in inbox) (asked []ReplicaID) {
	var out outbox
	p.lead.node().c.StepGroup(p.lead.g, p.now, &in, &out)
	for _, s := range out.sends {
		if s.m == nil || s.m.GetType() != raftpb.MsgHeartbeat {
			continue
		}
		if q := question(s.m); q > 0 {
			p.newest = max(p.newest, q)
			asked = append(asked, s.to)
		}
	}
	slices.Sort(asked)
	return asked
}

// read has somebody read who does not wait for earlier answers, and returns who is asked.
func (p *polled) read() (*readWait, []ReplicaID) {
	p.lead.g.reads.least = [2]time.Duration{}
	return p.readNext()
}

// readNext has somebody read and returns who is asked.
func (p *polled) readNext() (*readWait, []ReplicaID) {
	w := newReadWait()
	return w, p.step(inbox{reads: []*readWait{w}})
}

// answers lets a voter answer the newest question.
func (p *polled) answers(from ReplicaID) {
	node, _ := p.lead.g.conf.node(from)
	p.step(inbox{msgs: []inbound{{node: node, from: from, kind: itemRaft, m: p.answer(from)}}})
}

// answer is a replica's answer to the newest question.
func (p *polled) answer(from ReplicaID) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgHeartbeatResp.Enum(), From: new(uint64(from)), To: new(uint64(p.lead.g.self)), Term: new(p.lead.g.hs.Term),
		Context: binary.LittleEndian.AppendUint64(nil, p.newest),
	}
}

// done tells whether a reader may read.
func (p *polled) done(w *readWait) bool {
	select {
	case err := <-w.ch:
		if err != nil {
			p.t.Errorf("read: %v", err)
		}
		return true
	default:
		return false
	}
}

// choose has all voters asked until they answer, one first.
func (p *polled) choose(first ReplicaID) {
	p.lead.g.poll.askAll()
	w, asked := p.read()
	if !slices.Equal(asked, p.others) || p.done(w) {
		p.t.Fatalf("%v asked, want %v, before anybody answers", asked, p.others)
	}
	p.answers(first)
	if !p.done(w) {
		p.t.Fatal("a majority has answered, and the reader waits")
	}
	for _, id := range p.others {
		p.answers(id)
	}
}

// TestPollAsksFirst: the voter that answers first is asked alone, until it is time to see who is faster now.
func TestPollAsksFirst(t *testing.T) {
	p := newPolled(t)
	for _, first := range p.others {
		p.choose(first)
		alone := 0
		for range 3 * pollAgain {
			w, asked := p.read()
			if !slices.Contains(asked, first) {
				t.Fatalf("%v asked, not %d", asked, first)
			}
			if len(asked) == 1 {
				alone++
			}
			p.answers(first)
			if !p.done(w) {
				t.Fatal("the reader waits for an answer that is not needed")
			}
		}
		if alone < 3*pollAgain-4 || alone > 3*pollAgain-2 {
			t.Errorf("%d of %d questions went to one voter", alone, 3*pollAgain)
		}
	}
	p.rest()
	p.verify()
}

// TestPollWithoutAnswer: a voter that is asked alone does not answer. With the next tick all are asked, and soon it is not asked first any
// more; when its node is gone, all are asked at once.
func TestPollWithoutAnswer(t *testing.T) {
	p := newPolled(t)
	silent, other := p.others[0], p.others[1]
	p.choose(silent)
	w, asked := p.read()
	if !slices.Equal(asked, []ReplicaID{silent}) {
		t.Fatalf("%v asked, want %d alone", asked, silent)
	}
	if !p.lead.g.busy() || p.lead.g.quiet.Load() {
		t.Error("the group rests while a question is open")
	}
	if asked := p.step(inbox{ticks: 1}); !slices.Equal(asked, p.others) {
		t.Errorf("a tick later %v are asked, want %v", asked, p.others)
	}
	p.answers(other)
	if !p.done(w) {
		t.Error("the other one has answered, and the reader waits")
	}
	p.step(inbox{ticks: 1})
	if w, asked := p.read(); !slices.Equal(asked, p.others) {
		t.Errorf("%v asked after two ticks, want %v", asked, p.others)
	} else if p.answers(other); !p.done(w) {
		t.Error("the other one has answered the next question, and the reader waits")
	}
	if _, asked := p.read(); !slices.Equal(asked, []ReplicaID{other}) {
		t.Errorf("%v asked, want the one that answers", asked)
	}
	node, _ := p.lead.g.conf.node(other)
	if asked := p.step(inbox{signals: []signal{{kind: signalPeerDown, node: node}}}); !slices.Equal(asked, []ReplicaID{silent}) {
		t.Errorf("%v asked when a node is gone, want the one that was not", asked)
	}
	if _, asked := p.read(); !slices.Equal(asked, p.others) {
		t.Errorf("%v asked next, want all", asked)
	}
	p.lead.in.signals = append(p.lead.in.signals, signal{kind: signalPeerUp, node: node})
	p.rest()
	p.verify()
}

// TestPollForAnother: a replica has its leader ask, which rests and has no reader of its own. It does not rest on before it has an answer.
func TestPollForAnother(t *testing.T) {
	p := newPolled(t)
	silent, other := p.others[0], p.others[1]
	p.choose(silent)
	g := p.lead.g
	g.quiet.Store(true)
	g.rest.shared, g.rest.idle = true, g.c.cfg.QuiesceTicks
	node, _ := g.conf.node(other)
	asked := p.step(inbox{msgs: []inbound{{node: node, from: other, kind: itemRaft, m: &raftpb.Message{
		Type: raftpb.MsgReadIndex.Enum(), From: new(uint64(other)), To: new(uint64(g.self)), Entries: []*raftpb.Entry{{Data: []byte("another's")}},
	}}}})
	if !slices.Equal(asked, []ReplicaID{silent}) {
		t.Fatalf("%v asked, want %d alone", asked, silent)
	}
	if g.quiet.Load() {
		t.Fatal("the leader rests, so that no tick comes")
	}
	if asked := p.step(inbox{ticks: 1}); !slices.Equal(asked, p.others) {
		t.Errorf("a tick later %v are asked, want %v", asked, p.others)
	}
	p.answers(silent)
	p.rest()
	p.verify()
}

// TestPollTakesNoOlderAnswer: neither an answer to an earlier question nor one of a replica without a vote makes a choice, and an answer of an
// earlier term none either.
func TestPollTakesNoOlderAnswer(t *testing.T) {
	p := newPolled(t)
	p.choose(p.others[0])
	old := p.newest
	p.lead.g.poll.askAll()
	w, _ := p.read()
	newest := p.newest
	p.newest = old
	p.answers(p.others[1])
	if p.done(w) {
		t.Error("an answer to an earlier question let a reader read")
	}
	if _, asked := p.read(); !slices.Equal(asked, p.others) {
		t.Errorf("%v asked, want %v", asked, p.others)
	}
	if p.newest <= newest {
		t.Fatalf("question %d after %d", p.newest, newest)
	}
	g, learner, earlier := p.lead.g, p.answer(99), p.answer(p.others[0])
	earlier.Term = new(g.hs.Term - 1)
	g.onAnswer(99, learner)
	g.onAnswer(p.others[0], earlier)
	if len(g.poll.first)+len(g.poll.chosen) > 0 {
		t.Errorf("%v and %v were chosen: neither has answered with a vote in this term", g.poll.first, g.poll.chosen)
	}
	p.answers(p.others[1])
	if _, asked := p.read(); !slices.Equal(asked, p.others[1:]) {
		t.Errorf("%v asked, want %v", asked, p.others[1:])
	}
	p.newest--
	p.answers(p.others[1])
	p.newest++
	if !slices.Equal(p.lead.g.poll.open, p.others[1:]) {
		t.Errorf("%v have not answered, want %v: the answer was to an earlier question", p.lead.g.poll.open, p.others[1:])
	}
	p.lead.g.poll.term--
	if _, asked := p.read(); !slices.Equal(asked, p.others) {
		t.Errorf("%v asked first in a term, want %v", asked, p.others)
	}
	p.rest()
	p.verify()
}

// TestReadersShareQuestions: while answers come soon, who reads meanwhile waits for the one that is under way and shares the next question,
// which is asked at once then. It is not waited for longer than until the next tick, nor where answers come from afar.
func TestReadersShareQuestions(t *testing.T) {
	p := newPolled(t)
	near := p.others[0]
	p.choose(near)
	ask := func(took time.Duration) {
		t.Helper()
		w, asked := p.readNext()
		if len(asked) == 0 {
			t.Fatal("the first reader asks nobody")
		}
		p.now = p.now.Add(took)
		if p.answers(near); !p.done(w) {
			t.Fatal("the first reader waits")
		}
	}
	ask(time.Millisecond)
	first, _ := p.readNext()
	question := p.newest
	var meanwhile []*readWait
	for range 3 {
		w, asked := p.readNext()
		if len(asked) > 0 {
			t.Errorf("%v are asked while an answer is to come soon", asked)
		}
		meanwhile = append(meanwhile, w)
	}
	p.answers(near)
	if !p.done(first) || p.done(meanwhile[0]) || p.newest != question+1 {
		t.Fatalf("the first reads: %v, the others: %v, %d questions more", p.done(first), p.done(meanwhile[0]), p.newest-question)
	}
	p.answers(near)
	for i, w := range meanwhile {
		if !p.done(w) {
			t.Errorf("reader %d of three waits", i)
		}
	}

	first, _ = p.readNext()
	second, _ := p.readNext()
	question = p.newest
	if p.step(inbox{ticks: 1}); p.newest == question {
		t.Error("nobody is asked with the next tick")
	}
	if p.answers(near); !p.done(first) || !p.done(second) {
		t.Error("an answer came, and they wait")
	}

	for range 2 * nearWindow { // they have moved
		ask(nearRead + time.Millisecond)
	}
	p.readNext()
	if _, asked := p.readNext(); len(asked) == 0 {
		t.Error("nobody is asked though answers come from afar")
	}
	p.answers(near)
	p.rest()
	p.verify()
}
