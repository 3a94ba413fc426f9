package consensus

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// published is what callers outside the step may know of a group at any time.
type published struct {
	lead  ReplicaID
	node  NodeID
	term  uint64
	leads bool
}

// group is the core of one replica: Raft's own core, and everything that has to happen around it. Only StepGroup touches it, but for the
// atomic fields.
type group struct {
	c    *core
	id   GroupID
	self ReplicaID
	rn   *raft.RawNode
	log  *logView
	// sm is the replica's part of the state machine. It belongs to the apply step while applies is not zero.
	sm  *machineState
	rng *rand.Rand

	conf *configuration
	// seeds are the members that CreateReplica named, for a replica that has no configuration yet.
	seeds []Member
	// learned are nodes of replicas that are not in conf, from their own messages.
	learned map[ReplicaID]NodeID

	lead    ReplicaID
	state   raft.StateType
	applied uint64
	// termStart is the index of the first entry of the term in which this replica leads.
	termStart uint64
	// hs is Raft's hard state; hsDirty says that it differs from what was handed to the append step.
	hs      hardState
	hsDirty bool
	// handed is the index of the last entry handed to the append step.
	handed uint64

	appends, applies int
	// held are appends that wait: their first ingests a snapshot, and applies or outgoing snapshots are still on their way.
	held    []*appendItem
	deliver []*raftpb.Message

	proposals proposalQueue
	reads     readQueue
	poll      poll
	election  election
	transfer  transfer
	rest      rest
	changes   []*proposal

	snapIn *incomingSnapshot
	// snapWaits arrived while entries were being applied.
	snapWaits *incomingSnapshot
	// receiving is the snapshot that was accepted and is not ingested yet.
	receiving *incomingSnapshot
	pinned    []*pinnedState
	snapsOut  map[ReplicaID]uint64

	// sent are the appends of this tick to each replica.
	sent map[ReplicaID]sentAppend

	// down are nodes that the transport reports as unreachable.
	down map[NodeID]bool
	tick uint64
	// heard is the tick at which the leader was last heard of.
	heard uint64
	// removedBy are voters that say this replica was removed.
	removedBy map[ReplicaID]bool
	removed   bool
	burial    burial
	unsettled unsettled
	broken    error

	pub atomic.Pointer[published]
	// solo says that this replica is the only voter, leads, and has applied an entry of its term: its state is the truth.
	solo atomic.Bool
	// truncateSoon says that this step shall remove also a short piece of the log.
	truncateSoon bool
	// quiet says that the group needs no ticks.
	quiet atomic.Bool
	// dead says that the replica is removed or broken.
	dead atomic.Bool
}

func (c *core) newGroup(r *recovered, seeds []Member) (*group, error) {
	seed := [2]uint64{c.seed.Uint64(), uint64(r.group)}
	g := &group{
		c: c, id: r.group, self: r.replica.ID, conf: r.conf, seeds: seeds, applied: r.applied.Index, hs: r.hs, handed: r.last,
		rng: rand.New(rand.NewPCG(seed[0], seed[1])), learned: map[ReplicaID]NodeID{}, snapsOut: map[ReplicaID]uint64{},
		sent: map[ReplicaID]sentAppend{}, down: map[NodeID]bool{}, removedBy: map[ReplicaID]bool{}, sm: &machineState{applied: r.applied, conf: r.conf},
	}
	g.log = newLogView(c.db, c.budget, r)
	g.log.conf = func() *configuration { return g.conf }
	g.log.snapshot = g.pinSnapshot
	g.pub.Store(&published{term: r.hs.Term})
	if r.broken != nil {
		g.takeOut(r.broken)
		return g, nil
	}
	return g, g.start()
}

// start makes Raft's core. It panics on contradictions in the storage, which become errors here.
func (g *group) start() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("start replica %d of group %d: %v", g.self, g.id, p)
		}
	}()
	cfg := &g.c.cfg
	g.rn, err = raft.NewRawNode(&raft.Config{
		ID: uint64(g.self), ElectionTick: cfg.ElectionTicks, HeartbeatTick: cfg.HeartbeatTicks, Storage: g.log, Applied: g.applied,
		AsyncStorageWrites: true, MaxSizePerMsg: uint64(cfg.MaxMessageBytes), MaxCommittedSizePerReady: 4 << 20,
		MaxUncommittedEntriesSize: uint64(cfg.MaxUncommittedBytes), MaxInflightMsgs: cfg.MaxInflightMessages,
		MaxInflightBytes: uint64(cfg.MaxInflightBytes), CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe,
		Logger: g.c.raftLogger(g), DisableProposalForwarding: true, StepDownOnRemoval: true,
	})
	// The only voter has nobody to wait for.
	g.election.now = len(g.conf.Voters) == 1 && g.conf.Voters[0] == g.self && !g.conf.joint()
	return err
}

// step looks at everything in the inbox once and leaves what has to be done in the outbox.
func (g *group) step(now time.Time, in *inbox, out *outbox) {
	g.noteActivity(in)
	g.reads.now = now
	for _, it := range in.applied {
		g.onApplied(it)
	}
	for _, it := range in.appended {
		g.onAppended(it, out)
	}
	for i := range in.msgs {
		g.onMessage(&in.msgs[i], out)
	}
	g.offerWaiting(out)
	for i := range in.signals {
		g.onSignal(now, &in.signals[i], out)
	}
	g.onTicks(in.ticks, out)
	if g.election.now {
		g.election.now = false
		_ = g.rn.Campaign()
	}
	g.reads.add(in, g.c.cfg.MaxQueued)
	g.askRead()
	g.propose(in)
	g.drainReady(out)
	g.askRead() // for whom the answer was waited for that has come
	g.drainReady(out)
	g.campaign(now)
	g.drainReady(out)
	g.releaseHeld(out)
	g.maybeTruncate(out)
	g.settleConf(out)
	g.maybeBury(out)
	g.settle(now, out)
}

// drainReady takes work out of Raft's core until it has none. Answers that need no write go straight back in.
func (g *group) drainReady(out *outbox) {
	for {
		for len(g.deliver) > 0 {
			ms := g.deliver
			g.deliver = nil
			g.respond(ms, out)
		}
		if !g.rn.HasReady() {
			return
		}
		g.onReady(g.rn.Ready(), out)
	}
}

// respond delivers the responses of the storage: to Raft's core here, or to other replicas.
func (g *group) respond(ms []*raftpb.Message, out *outbox) {
	for _, m := range ms {
		if m.GetTo() == uint64(g.self) {
			_ = g.rn.Step(m)
		} else {
			g.send(m, out)
		}
	}
}

// onTicks lets time pass for Raft. A step loop that stalled must not make up for all of it at once: peers would be found dead that
// only waited in the same queue.
func (g *group) onTicks(n int, out *outbox) {
	for range min(n, ticksMax) {
		g.tick++
		if g.rest.idle++; g.maybeQuiesce(out) {
			break // Nobody needs another heartbeat.
		}
		g.rest.shared = false
		g.rn.Tick()
	}
	if n == 0 {
		return
	}
	clear(g.sent)
	g.log.fetched = nil
	if (g.lead == 0 || !g.conf.contains(g.self)) && g.tick%uint64(g.c.cfg.ElectionTicks) == 0 {
		g.callOut(out)
	}
	g.expireReads()
	g.pollOverdue(out)
	g.proposals.expire(g)
	g.expireTransfer()
}

// ticksMax is how many ticks one step makes up for.
const ticksMax = 3

// settle publishes what changed and decides whether the group still needs ticks.
func (g *group) settle(now time.Time, out *outbox) {
	leads := g.state == raft.StateLeader
	alone := g.conf.alone(g.self)
	ready := leads && g.termStart > 0 && g.applied >= g.termStart
	g.solo.Store(ready && alone && !g.removed)
	if g.dead.Load() {
		return
	}
	node, _ := g.nodeOf(g.lead)
	if p := g.pub.Load(); p.lead != g.lead || p.node != node || p.term != g.hs.Term || p.leads != ready {
		g.pub.Store(&published{lead: g.lead, node: node, term: g.hs.Term, leads: ready})
	}
	if (alone || g.rest.shared) && leads && g.rest.enabled(g) && !g.busy() {
		g.quiet.Store(true)
		g.log.fetched = nil // No tick comes to forget it.
	}
	g.armElection(now, out)
}

// busy says that something is on its way which needs another step.
func (g *group) busy() bool {
	return g.appends > 0 || g.applies > 0 || len(g.held) > 0 || len(g.snapsOut) > 0 || g.receiving != nil || g.snapWaits != nil || g.proposals.waiting() ||
		g.reads.waiting() || len(g.poll.open) > 0 || g.transfer.to != 0 || len(g.changes) > 0
}

func (g *group) onApplied(it *applyItem) {
	g.applies--
	for _, ch := range it.changes {
		g.onChange(ch)
	}
	if it.response != nil {
		_ = g.rn.Step(it.response)
	}
	if it.restored {
		g.applied = max(g.applied, g.log.truncated.Index)
	} else {
		g.applied = it.entries[len(it.entries)-1].GetIndex()
	}
	g.reads.release(g.applied)
	switch {
	case g.conf.alone(g.self):
		g.log.trimCache(g.applied, 0)
	case g.c.budget.over():
		g.log.trimCache(g.applied, g.log.cacheBytes/2)
	}
}

func (g *group) onAppended(it *appendItem, out *outbox) {
	g.appends--
	if s := it.snapshot; s != nil {
		g.onIngested(s, out)
	}
	if it.settles {
		if g.unsettled.pending--; !g.unsettled.any() {
			g.unsettled.left = nil
		}
	}
	g.log.appended(it.entries)
	g.respond(it.responses, out)
}

// releaseHeld hands appends on that waited for the state to come to rest.
func (g *group) releaseHeld(out *outbox) {
	for len(g.held) > 0 && (g.held[0].snapshot == nil || g.applies == 0 && len(g.snapsOut) == 0) {
		out.appends = append(out.appends, g.held[0])
		g.held = g.held[1:]
	}
	if len(g.held) == 0 {
		g.held = nil
	}
}

// takeOut ends the service of the replica for good: nothing it holds is touched again until it is removed.
func (g *group) takeOut(err error) {
	if g.broken == nil {
		g.broken = err
	}
	g.solo.Store(false)
	g.dead.Store(true)
	g.quiet.Store(true)
	g.pub.Store(&published{term: g.hs.Term})
	g.failAll(fmt.Errorf("%w: %v", ErrReplicaBroken, g.broken))
}

// failAll ends everything that waits for this replica.
func (g *group) failAll(err error) {
	g.proposals.failAll(err)
	for _, p := range g.changes {
		p.fail(err)
	}
	g.changes = nil
	g.reads.failAll(err)
	g.transfer.finish(err)
	for _, s := range []*incomingSnapshot{g.snapIn, g.snapWaits, g.receiving} {
		if s != nil {
			s.finish(err)
		}
	}
	g.snapIn, g.snapWaits, g.receiving = nil, nil, nil
	for _, p := range g.pinned {
		p.release()
	}
	g.pinned = nil
}

// refuse answers an inbox that a dead replica cannot look at.
func (g *group) refuse(in *inbox) {
	err := ErrNoReplica
	if g.broken != nil {
		err = fmt.Errorf("%w: %v", ErrReplicaBroken, g.broken)
	}
	for _, p := range in.props {
		p.fail(err)
	}
	for _, w := range in.reads {
		w.finish(err)
	}
	for i := range in.signals {
		s := &in.signals[i]
		switch {
		case s.kind == signalRemove:
			g.onRemoveOrder(s)
		case s.kind == signalSnapshotDone:
			delete(g.snapsOut, s.replica)
		case s.snap != nil:
			s.snap.finish(err)
		case s.done != nil:
			s.done.fail(err)
		}
	}
	for _, it := range in.appended {
		g.appends--
		if it.snapshot != nil {
			it.snapshot.finish(nil)
		}
		if it.bury != nil {
			g.onBuried()
		}
	}
	g.applies -= len(in.applied)
}
