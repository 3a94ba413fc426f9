package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// The tests of this file each show one trap that Raft's core or the database sets for those who drive them, and that we stay out of it.

// quietWorld is a cluster without faults whose group 0 has a voter on each of its three nodes.
func quietWorld(t *testing.T, seed uint64) *simWorld {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	w := newWorld(t, seed, 3, 1)
	w.rest()
	for _, id := range w.order[1:] {
		rid := w.nextReplica[0]
		w.nextReplica[0]++
		lead := w.mustLead(0)
		w.nodes[id].create(newJoining(0, rid), lead.g.conf.Members)
		w.propose(lead, 0, &Change{AddLearners: []Member{{rid, id}}})
		w.rest()
	}
	lead := w.mustLead(0)
	w.propose(lead, 0, &Change{Promote: append([]ReplicaID(nil), lead.g.conf.Learners...)})
	w.rest()
	if n := len(w.mustLead(0).g.conf.Voters); n != 3 {
		t.Fatalf("%d voters after growth", n)
	}
	t.Cleanup(func() {
		for _, id := range w.order {
			if n := w.nodes[id]; n.up {
				n.crash(nil, 100)
			}
		}
	})
	return w
}

func (w *simWorld) mustLead(g GroupID) *simGroup {
	w.t.Helper()
	sg := w.leaderOf(g)
	if sg == nil {
		w.failf("group %d has no leader", g)
	}
	return sg
}

// rest runs until nothing is left to do and the cluster has settled.
func (w *simWorld) rest() {
	w.t.Helper()
	for i := range 20000 {
		w.step()
		if i%50 == 0 && w.settled() && len(w.ops) == 0 {
			return
		}
	}
	w.failf("no rest: %s", w.describe())
}

func (w *simWorld) writes(n int) {
	for range n {
		lead := w.mustLead(0)
		p := newProposal(fmt.Appendf(nil, "av%d", w.unique()))
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
	w.rest()
}

func (w *simWorld) follower() *simGroup {
	for _, id := range w.order {
		if sg := w.nodes[id].group(0); sg != nil && !sg.g.pub.Load().leads {
			return sg
		}
	}
	return nil
}

func (sg *simGroup) node() *simNode { return sg.g.c.cfg.Machine.(*simMachine).n }

// The database finds damage in its log only behind the offset it noted as synced, and notes too little. The side file is the proof.
func TestTrapDamagedLogIsNotOpened(t *testing.T) {
	mem := vfs.NewCrashableMem()
	n := startNode(t, mem, "data", nil)
	if err := n.Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("x"), 4096)
	for i := range 100 {
		if _, err := n.Propose(t.Context(), 0, append([]byte{byte(i)}, value...)); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for at := int64(1); at < 10; at++ {
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rngOf(uint64(at))})
		zeroLog(t, clone, "data/meta", at)
		db, err := pebble.Open("data/meta", PebbleOptions(PebbleConfig{FS: clone}))
		if err != nil {
			refused++
			continue
		}
		h, err := Open(Config{DB: db, FS: clone, Dir: "data", Self: "n1", Machine: &testMachine{}})
		if err == nil {
			t.Fatalf("a log with a hole at %d/10 was opened: store %x", at, h.StoreID())
		}
		if !errors.Is(err, ErrLogLost) {
			t.Fatalf("open: %v", err)
		}
		refused++
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 9 damaged logs refused", refused)
}

// zeroLog overwrites 4 KiB of the newest log file with zeros, at tenths of its length.
func zeroLog(t *testing.T, fs vfs.FS, dir string, tenths int64) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > newest {
			newest = n
		}
	}
	f, err := fs.Open(fs.PathJoin(dir, newest))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	used := int64(len(bytes.TrimRight(data, "\x00")))
	copy(data[used*tenths/10:], make([]byte, 4096))
	out, err := fs.Create(fs.PathJoin(dir, newest), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// Raft's core panics when it finds that its log lost something. One group's panic must not take the others along.
func TestTrapPanicTakesOutOneReplica(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	w := newWorld(t, 1, 1, 2)
	w.rest()
	n := w.nodes["n0"]
	defer n.crash(nil, 100)
	bad := n.gs[0]
	bad.g.lead = 0 // who hears from no leader believes who comes
	p := newProposal([]byte("av"))
	in := inbox{props: []*proposal{p}, msgs: []inbound{{node: "nx", from: 9, kind: itemRaft, m: &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(1)), From: new(uint64(9)), Term: new(uint64(99)), Commit: new(uint64(1e6))}}}}
	var out outbox
	n.c.StepGroup(bad.g, w.now, &in, &out)
	if bad.g.broken == nil || !bad.g.dead.Load() || len(out.appends)+len(out.sends) > 0 {
		t.Fatalf("broken=%v, %d appends, %d sends", bad.g.broken, len(out.appends), len(out.sends))
	}
	if o := <-p.ch; !errors.Is(o.err, ErrReplicaBroken) {
		t.Fatalf("proposal to the broken replica: %v", o.err)
	}
	delete(n.gs, 0)
	p = newProposal([]byte("av"))
	n.gs[1].in.props = append(n.gs[1].in.props, p)
	for range 100 {
		w.step()
	}
	if o := <-p.ch; o.err != nil {
		t.Fatalf("the other group stopped, too: %v", o.err)
	}
}

// Raft does not wait for entries being applied before it hands out a snapshot to store. The old entries must not land on the new state.
func TestTrapSnapshotWaitsForApplies(t *testing.T) {
	w := quietWorld(t, 2)
	f := w.follower()
	g := f.g
	g.applies++
	it := &appendItem{g: g, snapshot: &incomingSnapshot{}}
	later := &appendItem{g: g}
	var out outbox
	g.pushAppend(it, &out)
	g.pushAppend(later, &out)
	g.releaseHeld(&out)
	if len(out.appends) != 0 || len(g.held) != 2 {
		t.Fatalf("%d appends left while entries are being applied", len(out.appends))
	}
	g.applies--
	g.releaseHeld(&out)
	if len(out.appends) != 2 || out.appends[0] != it || out.appends[1] != later {
		t.Fatalf("%d appends left after the drain, want both in order", len(out.appends))
	}
	g.appends -= 2
}

// Raft's core hands a wish for another leader on to whom it follows, in a message that does not travel. A leader may learn that it leads no
// more in the very step in which it hears of the wish.
func TestTrapTransferByWhoWasDeposed(t *testing.T) {
	w := quietWorld(t, 3)
	f, lead := w.follower(), w.mustLead(0)
	p := newProposal(nil)
	in := inbox{
		msgs: []inbound{{node: f.node().id, from: f.g.self, kind: itemRaft, m: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(lead.g.self)), From: new(uint64(f.g.self)), Term: new(lead.g.hs.Term + 1)}}},
		signals: []signal{{kind: signalTransfer, replica: f.g.self, done: p}},
	}
	var out outbox
	lead.node().c.StepGroup(lead.g, w.now, &in, &out)
	for _, s := range out.sends {
		if s.kind == itemRaft && !travels(s.m.GetType()) {
			t.Errorf("sends a message that no peer takes: %v", s.m)
		}
	}
	var notLeader *NotLeaderError
	select {
	case o := <-p.ch:
		if !errors.As(o.err, &notLeader) {
			t.Errorf("transfer: %v", o.err)
		}
	default:
		t.Error("the transfer was not refused")
	}
}

// Raft's core makes a snapshot's membership its own when it hears of the snapshot. A change of members that is just being applied must have
// been made before, or it is made to the snapshot's membership.
func TestTrapSnapshotWaitsForChanges(t *testing.T) {
	w := quietWorld(t, 4)
	f, lead := w.follower(), w.mustLead(0)
	third := slices.DeleteFunc(slices.Clone(lead.g.conf.Voters), func(id ReplicaID) bool { return id == lead.g.self || id == f.g.self })[0]
	w.propose(lead, 0, &Change{AddLearners: []Member{{9, "n9"}}})
	for len(f.node().apls) == 0 || len(f.node().apls[len(f.node().apls)-1].entries) == 0 {
		w.step()
		if f.g.conf.contains(9) {
			t.Fatal("the change was applied unnoticed")
		}
	}
	// Meanwhile the learner has become a voter, and the third replica has gone.
	later := *lead.g.conf
	later.Voters, later.Learners, later.Outgoing = []ReplicaID{lead.g.self, f.g.self, 9}, nil, nil
	later.Members = append(slices.DeleteFunc(slices.Clone(later.Members), func(m Member) bool { return m.Replica == third || m.Replica == 9 }), Member{9, "n9"})
	later.MaxReplica = 9
	in := &incomingSnapshot{node: lead.node().id, done: make(chan error, 1), snapshotHeader: snapshotHeader{
		to: f.g.self, from: lead.g.self, term: lead.g.hs.Term, pos: logPos{Index: lead.g.log.last + 10, Term: lead.g.hs.Term}, conf: &later}}
	f.in.signals = append(f.in.signals, signal{kind: signalSnapshotIn, snap: in})
	f.node().stepGroup(f)
	if f.g.receiving != nil {
		t.Fatal("the snapshot did not wait for the change")
	}
	for len(f.node().apls) > 0 {
		f.node().stepApply()
	}
	f.node().stepGroup(f)
	if f.g.broken != nil || f.g.receiving != in {
		t.Fatalf("broken: %v, receiving %v", f.g.broken, f.g.receiving)
	}
}

// Answers that depend on no write, and commit indexes alone, must not force one.
func TestTrapCommitIndexCostsNoSync(t *testing.T) {
	w := quietWorld(t, 3)
	w.writes(1)
	f := w.follower()
	before := f.node().c.store.seq
	lead := w.mustLead(0)
	in := inbox{msgs: []inbound{{node: lead.node().id, from: lead.g.self, kind: itemRaft, m: &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), To: new(uint64(f.g.self)), From: new(uint64(lead.g.self)), Term: new(lead.g.hs.Term),
		Index: new(f.g.log.last), LogTerm: new(f.g.log.lastTerm), Commit: new(f.g.log.last)}}}}
	var out outbox
	f.g.c.StepGroup(f.g, w.now, &in, &out)
	if len(out.appends) != 0 || f.node().c.store.seq != before {
		t.Fatalf("an append without entries made %d writes", len(out.appends))
	}
	if len(out.sends) != 1 || out.sends[0].m.GetType() != raftpb.MsgAppResp {
		t.Fatalf("%d answers, want one at once", len(out.sends))
	}
}

// A late answer to an earlier question must not pass for the answer to a later one, nor one to a process that has ended since: that
// counted from 1 as well.
func TestTrapReadContextIsNeverReused(t *testing.T) {
	w := quietWorld(t, 4)
	g := w.mustLead(0).g
	r := newReadWait()
	g.reads.queued = []*readWait{r}
	g.askRead()
	answer := func(boot, count uint64) bool {
		t.Helper()
		g.reads.confirm(raft.ReadState{Index: 0, RequestCtx: append(word(boot), word(count)...)}, 1<<60)
		select {
		case <-r.ch:
			return true
		default:
			return false
		}
	}
	given := g.reads.count
	g.reads.requeue()
	g.askRead()
	if answer(g.c.store.boot, given) {
		t.Fatal("a reader was released by the answer to a question that was given up")
	}
	if answer(g.c.store.boot+1, g.reads.count) {
		t.Fatal("a reader was released by the answer to a question of an earlier process")
	}
	if !answer(g.c.store.boot, g.reads.count) {
		t.Fatal("a reader was not released by the answer to its question")
	}
}

// A loop that stalled must not make up for all its ticks: after a pause everybody would hold an election.
func TestTrapStalledTicksAreCapped(t *testing.T) {
	w := quietWorld(t, 5)
	f := w.follower()
	f.g.quiet.Store(false)
	term := f.g.hs.Term
	var out outbox
	w.nodes[f.node().id].c.StepGroup(f.g, w.now, &inbox{ticks: 1000}, &out)
	if f.g.hs.Term != term || f.g.state != raft.StateFollower || f.g.lead == 0 {
		t.Fatalf("state %v in term %d after one late step", f.g.state, f.g.hs.Term)
	}
}

// A voter that is removed while it is down would campaign for ever: nobody who knows better talks to it.
func TestTrapRemovedWhileDown(t *testing.T) {
	w := quietWorld(t, 6)
	f := w.follower()
	n, id := f.node(), f.g.self
	n.crash(nil, 100)
	lead := w.mustLead(0)
	w.propose(lead, 0, &Change{Remove: []ReplicaID{id}})
	w.rest()
	w.check(n.open(), "reopen")
	for range 4000 {
		w.step()
	}
	sg := n.gs[0]
	if sg == nil || !sg.g.removed || !sg.g.dead.Load() {
		t.Fatalf("the removed voter goes on: %+v", sg.g.status())
	}
	if got := w.mustLead(0).g.hs.Term; got != lead.g.hs.Term {
		t.Errorf("it disturbed the others: term %d became %d", lead.g.hs.Term, got)
	}
}

// One node's word is not enough to make a voter give up.
func TestTrapOneClaimDoesNotRemove(t *testing.T) {
	w := quietWorld(t, 7)
	lead, f := w.mustLead(0), w.follower()
	for range 3 {
		f.in.msgs = append(f.in.msgs, inbound{node: lead.node().id, from: lead.g.self, kind: itemRemoved, next: 100})
	}
	w.rest()
	if f.g.removed {
		t.Fatal("removed on the word of one voter")
	}
}

// Log is removed in large steps, never entry by entry.
func TestTrapTruncationInSteps(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 8)
	w := newWorld(t, 8, 1, 1)
	w.rest()
	n := w.nodes["n0"]
	defer n.crash(nil, 100)
	sg := n.gs[0]
	const step = 20
	last := sg.g.log.truncated.Index
	for range 200 {
		w.writes(1)
		if at := sg.g.log.truncated.Index; at != last {
			if at-last < step {
				t.Fatalf("truncated from %d to %d, want steps of %d", last, at, step)
			}
			last = at
		}
	}
	if sg.g.log.last-last > 2*step {
		t.Fatalf("log reaches from %d to %d", last, sg.g.log.last)
	}
}

// Nobody can make this node hold a group by talking about it.
func TestTrapNoReplicaFromAMessage(t *testing.T) {
	n := startNode(t, vfs.NewMem(), "data", nil)
	f := appendFrameHeader(nil, frameHeader{Store: 5, Boot: 6})
	f = appendFrameItem(f, item{Group: 7, To: 1, From: 2, Kind: itemRaft, Payload: appendMessage(nil, &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(5))})})
	if err := n.Receive("n2", f); err != nil {
		t.Fatal(err)
	}
	h := snapshotHeader{group: 7, to: 1, from: 2, term: 5, pos: logPos{5, 5}, conf: &configuration{}}
	if err := n.ReceiveSnapshot(t.Context(), "n2", h.encode(), bytes.NewReader(nil)); !errors.Is(err, ErrNoReplica) {
		t.Fatalf("snapshot: %v", err)
	}
	if gs := n.Groups(); len(gs) != 0 {
		t.Fatalf("groups %v", gs)
	}
}

// A message in another replica's name must not count, whoever authenticated its sender.
func TestTrapSenderIsChecked(t *testing.T) {
	w := quietWorld(t, 9)
	f, lead := w.follower(), w.mustLead(0)
	liar := NodeID("n9")
	f.in.msgs = append(f.in.msgs, inbound{node: liar, from: lead.g.self, kind: itemRaft, m: &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(f.g.self)), From: new(uint64(lead.g.self)), Term: new(lead.g.hs.Term + 10)}})
	w.rest()
	if f.g.hs.Term != lead.g.hs.Term {
		t.Fatalf("a stranger moved the term to %d", f.g.hs.Term)
	}
}

// A group begins as if after a snapshot: no entry says who its first voter is, and what joins later starts empty.
func TestTrapFirstVoterWithoutEntries(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 10)
	w := newWorld(t, 10, 1, 1)
	n := w.nodes["n0"]
	defer n.crash(nil, 100)
	g := n.gs[0].g
	if g.log.truncated != firstPos || g.log.last != 1 || g.applied != 1 || !g.conf.alone(firstReplica) {
		t.Fatalf("log %v to %d, applied %d, %+v", g.log.truncated, g.log.last, g.applied, g.conf)
	}
	j, err := n.c.newGroup(newJoining(5, 7), nil)
	if err != nil {
		t.Fatal(err)
	}
	if cs := j.conf.confState(); len(cs.Voters)+len(cs.Learners) != 0 || j.log.last != 0 {
		t.Fatalf("a joining replica starts with %v and a log to %d", cs, j.log.last)
	}
}

// A follower that restarts while its group rests has to find its leader again.
func TestTrapRestartIntoRestingGroup(t *testing.T) {
	w := quietWorld(t, 11)
	w.writes(3)
	w.restartInto(w.mustLead(0), w.follower())
}

// A learner does too, whose leader only knows that it has been told all there is, and would have it rest at once.
func TestTrapLearnerRestartsIntoRestingGroup(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 12)
	w := newWorld(t, 12, 2, 1)
	w.rest()
	n := w.nodes[w.order[1]]
	n.create(newJoining(0, 2), w.mustLead(0).g.conf.Members)
	w.propose(w.mustLead(0), 0, &Change{AddLearners: []Member{{2, n.id}}})
	w.rest()
	w.restartInto(w.mustLead(0), n.group(0))
}

// restartInto has a replica lose power while its group rests.
func (w *simWorld) restartInto(lead, f *simGroup) {
	w.t.Helper()
	for range 3000 {
		w.step()
	}
	if !lead.g.quiet.Load() || !f.g.quiet.Load() {
		w.t.Fatalf("the group does not rest: %+v", lead.g.status())
	}
	n := f.node()
	n.crash(nil, 0)
	w.check(n.open(), "reopen")
	for range 3000 {
		w.step()
	}
	if n.gs[0].g.lead == 0 {
		w.t.Fatal("the replica that was restarted knows no leader")
	}
	if !lead.g.quiet.Load() || !n.gs[0].g.quiet.Load() {
		w.t.Errorf("the group does not rest again: %+v", lead.g.status())
	}
	w.verify()
}

// A leader may tell the others to rest before they have answered its last heartbeats. The answers must not end its rest, or it would do so
// again at every tick; what is more than an answer must.
func TestTrapAnswersToTheLastHeartbeat(t *testing.T) {
	w := quietWorld(t, 11)
	w.writes(3)
	for range 3000 {
		w.step()
	}
	lead, f := w.mustLead(0).g, w.follower().g
	message := func(kind raftpb.MessageType) *inbox {
		from, to, term := uint64(f.self), uint64(lead.self), lead.hs.Term
		node, _ := lead.nodeOf(f.self)
		m := &raftpb.Message{Type: &kind, From: &from, To: &to, Term: &term}
		return &inbox{msgs: []inbound{{kind: itemRaft, from: f.self, node: node, m: m}}}
	}
	c := w.nodes[w.mustLead(0).node().id].c
	var out outbox
	for _, tc := range []struct {
		kind  raftpb.MessageType
		quiet bool
	}{{raftpb.MsgHeartbeatResp, true}, {raftpb.MsgAppResp, false}} {
		lead.quiet.Store(true)
		c.StepGroup(lead, w.now, message(tc.kind), &out)
		if lead.quiet.Load() != tc.quiet {
			t.Errorf("the leader rests after %v: %t, want %t", tc.kind, !tc.quiet, tc.quiet)
		}
	}
}

// drain does all there is to do while no time passes.
func (w *simWorld) drain() {
	for {
		var acts []func()
		for _, id := range w.order {
			acts = append(acts, w.nodes[id].work()...)
		}
		if len(w.packets) > 0 {
			acts = append(acts, w.deliver)
		}
		if len(acts) == 0 {
			w.pollOps()
			return
		}
		acts[0]()
	}
}

// What a leader asks the others for a read ends nobody's rest, unless one of them was started since: that one would go on ticking.
func TestTrapReadWhileAllRest(t *testing.T) {
	w := quietWorld(t, 11)
	w.writes(3)
	lead, f := w.mustLead(0), w.follower()
	rest := func() {
		for !lead.g.quiet.Load() || !f.g.quiet.Load() {
			w.passTime()
			w.drain()
		}
	}
	rest()
	for range 3 {
		w.readAt(lead.node(), lead)
		lead.node().stepGroup(lead)
		if lead.g.quiet.Load() {
			t.Fatal("the leader rests before it has an answer: nothing would be asked again")
		}
		w.drain()
		if len(w.ops) > 0 || !lead.g.quiet.Load() || !f.g.quiet.Load() {
			t.Fatalf("%d reads wait; the leader rests %v, a follower %v", len(w.ops), lead.g.quiet.Load(), f.g.quiet.Load())
		}
	}

	n := f.node()
	n.crash(nil, 100)
	w.check(n.open(), "reopen")
	f = n.gs[0]
	w.readAt(lead.node(), lead)
	w.drain()
	if len(w.ops) > 0 || f.g.lead != lead.g.self || lead.g.quiet.Load() {
		t.Fatalf("%d reads wait; started anew, a follower knows %d as leader, which rests: %v", len(w.ops), f.g.lead, lead.g.quiet.Load())
	}
	term := lead.g.hs.Term
	rest()
	if lead.g.hs.Term != term {
		t.Error("there was an election")
	}

	w.readAt(n, f) // a follower's own question wakes the leader, and both rest again
	w.drain()
	rest()
}
