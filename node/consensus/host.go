package consensus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3/raftpb"

	"shoal/node/trouble"
)

// Host is a node's replication: every group with a replica here, and the goroutines that drive them.
type Host struct {
	c       *core
	trouble *trouble.Log // of snapshots
	workers []*worker
	appends *queue[*appendItem]
	applies *queue[*applyItem]

	// appendMu serialises StepAppend with the creation of replicas.
	appendMu sync.Mutex
	// appendBusy says that a batch is being written.
	appendBusy atomic.Bool
	// applyMu is held while entries are taken and applied.
	applyMu sync.Mutex
	snaps   *queue[*outgoingSnapshot]
	// tableMu guards changes of the table and tombstones; readers of the table load it.
	tableMu    sync.Mutex
	table      atomic.Pointer[map[GroupID]*handle]
	tombstones map[GroupID]replicaRecord

	peers peerTable
	// receiving bounds the snapshots being received.
	receiving chan struct{}

	// resting says that nothing ticks because all groups are at rest. A group that needs ticks then says so on roused.
	resting atomic.Bool
	roused  chan struct{}

	gate gate
	// done is closed when nothing is waited for any more; failure is set before.
	done     chan struct{}
	stopOnce sync.Once
	failure  atomic.Pointer[error]
	running  atomic.Bool
	stopped  atomic.Bool
}

// Open reads every group that the database holds. It starts nothing; Run does. It returns ErrLogLost if the database lost writes that
// were durable, unless cfg.AcceptLoss says to go on.
func Open(cfg Config) (*Host, error) {
	c, err := openCore(cfg)
	if err != nil {
		return nil, err
	}
	h := &Host{c: c, trouble: trouble.New(c.cfg.Logger, nil), appends: newQueue[*appendItem](), applies: newQueue[*applyItem](), snaps: newQueue[*outgoingSnapshot](), tombstones: c.tombstones,
		receiving: make(chan struct{}, c.cfg.MaxSnapshots), done: make(chan struct{}), roused: make(chan struct{}, 1)}
	h.gate.init()
	for range c.cfg.StepWorkers {
		h.workers = append(h.workers, newWorker(h))
	}
	h.table.Store(&map[GroupID]*handle{})
	if err := errors.Join(h.peers.load(c.db), h.removeStaleFiles()); err != nil {
		return nil, closeAfter(err, c.store)
	}
	h.register(slices.Collect(maps.Values(c.groups))...)
	return h, nil
}

// removeStaleFiles removes what receptions of snapshots left when the process ended.
func (h *Host) removeStaleFiles() error {
	fs, dir := h.c.cfg.FS, h.c.cfg.Dir
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, snapshotFilePrefix) {
			if err := fs.Remove(fs.PathJoin(dir, n)); err != nil {
				return fmt.Errorf("remove stale snapshot file: %w", err)
			}
		}
	}
	return nil
}

// register adds groups to the table and lets them look around once.
func (h *Host) register(gs ...*group) {
	h.tableMu.Lock()
	t := maps.Clone(*h.table.Load())
	for _, g := range gs {
		t[g.id] = &handle{g: g, w: h.workers[int(g.id)%len(h.workers)], in: &inbox{}, spare: &inbox{}}
	}
	h.table.Store(&t)
	h.tableMu.Unlock()
	for _, g := range gs {
		t[g.id].wake()
	}
}

// forget removes a buried replica's group from the table.
func (h *Host) forget(g *group, tomb replicaRecord) {
	h.tableMu.Lock()
	defer h.tableMu.Unlock()
	h.tombstones[g.id] = tomb
	t := maps.Clone(*h.table.Load())
	if hd := t[g.id]; hd != nil && hd.g == g {
		delete(t, g.id)
		h.table.Store(&t)
	}
}

func (h *Host) handle(g GroupID) *handle { return (*h.table.Load())[g] }

// Groups returns the groups that have a replica here, in order.
func (h *Host) Groups() []GroupID { return slices.Sorted(maps.Keys(*h.table.Load())) }

// StoreID returns the random identity of this node's database.
func (h *Host) StoreID() uint64 { return h.c.store.id }

// LogLoss returns why the log was found to have lost writes when AcceptLoss let it be opened, or nil.
func (h *Host) LogLoss() error { return h.c.store.lost }

// Bootstrap creates groups whose only voter is this node, all with one fsync. Groups that exist are left as they are.
func (h *Host) Bootstrap(ctx context.Context, groups []GroupID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.appendMu.Lock()
	defer h.appendMu.Unlock()
	var rs []*recovered
	for _, g := range groups {
		if h.handle(g) != nil || slices.ContainsFunc(rs, func(r *recovered) bool { return r.group == g }) {
			continue
		}
		if t, ok := h.tombstone(g); ok {
			return fmt.Errorf("bootstrap group %d: a replica with ID %d was removed from this node before", g, t.ID)
		}
		rs = append(rs, newFirst(g, h.c.cfg.Self))
	}
	return h.create(rs, nil)
}

// CreateReplica creates an empty replica that the leader of g may then add as a learner. members are the replicas whose messages it
// may believe until it has heard the membership from the group itself; without any, it believes whoever Resolve names, or else the first to speak.
// The same call again does nothing. An ID that was used on this node before is refused.
func (h *Host) CreateReplica(ctx context.Context, g GroupID, id ReplicaID, members ...Member) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if id == 0 || id >= replicaLimit {
		return fmt.Errorf("create replica %d of group %d: ID is out of range", id, g)
	}
	h.appendMu.Lock()
	defer h.appendMu.Unlock()
	if hd := h.handle(g); hd != nil {
		if hd.g.self == id {
			return nil
		}
		return fmt.Errorf("create replica %d of group %d: replica %d is here", id, g, hd.g.self)
	}
	if t, ok := h.tombstone(g); ok && id < t.Next {
		return fmt.Errorf("create replica %d of group %d: IDs below %d were used before", id, g, t.Next)
	}
	return h.create([]*recovered{newJoining(g, id)}, members)
}

// create needs appendMu.
func (h *Host) create(rs []*recovered, seeds []Member) error {
	if len(rs) == 0 {
		return nil
	}
	if h.stopping() {
		return ErrStopped
	}
	gs, err := h.c.create(rs, seeds)
	if err != nil {
		if errors.Is(err, ErrFatal) {
			h.fail(err)
		}
		return err
	}
	h.register(gs...)
	return nil
}

func (h *Host) tombstone(g GroupID) (replicaRecord, bool) {
	h.tableMu.Lock()
	defer h.tableMu.Unlock()
	t, ok := h.tombstones[g]
	return t, ok
}

// RemoveReplica ends the replica of g here and removes its log and state. It leaves a tombstone, so that the ID is not used again. The
// caller makes sure that the group does not count on the replica any more.
func (h *Host) RemoveReplica(ctx context.Context, g GroupID, id ReplicaID) error {
	hd := h.handle(g)
	if hd == nil {
		if t, ok := h.tombstone(g); ok && t.ID == id {
			return nil
		}
		return ErrNoReplica
	}
	p := newProposal(nil)
	_, err := h.ask(ctx, hd, p, signal{kind: signalRemove, replica: id, done: p})
	return err
}

// Propose appends a command to the log of g and returns what the state machine made of it here. Only the leader's node accepts proposals. data
// must not be changed from the call on, not even after it returned early. The call may do the node's writing, also that of others, and so
// outlast ctx by one write to the disk.
//
// On *NotLeaderError, ErrBusy, ErrTooLarge, ErrEmpty, ErrNoReplica and ErrStopped the command had and will have no effect. On
// ErrOutcomeUnknown it may have been applied, or may be later.
func (h *Host) Propose(ctx context.Context, g GroupID, data []byte) (any, error) {
	switch {
	case len(data) == 0:
		return nil, ErrEmpty
	case len(data) > MaxProposalBytes:
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(data))
	}
	hd := h.handle(g)
	if hd == nil {
		return nil, ErrNoReplica
	}
	if !h.gate.enter() {
		return nil, ErrStopped
	}
	defer h.gate.leave()
	p := proposalPool.Get().(*proposal)
	p.data, p.typ = data, raftpb.EntryNormal
	if !h.enqueue(hd, p) {
		releaseProposal(p)
		return nil, ErrBusy
	}
	o, received := h.await(ctx, p)
	if received {
		releaseProposal(p)
	}
	return o.result, o.err
}

// enqueue adds a proposal to its group's inbox; false says that there is no room. If nothing is being written, the caller steps the group and writes
// the log itself, because every hand-over to another goroutine costs more than either; otherwise proposals come together until the worker gets to them.
func (h *Host) enqueue(hd *handle, p *proposal) bool {
	ok, mine := hd.propose(p, h.c.cfg.MaxQueued, h.c.cfg.MaxUncommittedBytes)
	if !mine {
		return ok
	}
	if !h.running.Load() || h.appendBusy.Load() || !hd.w.tryStep(hd) {
		hd.w.ready.push(hd)
		return true
	}
	h.tryAppend()
	return true
}

// ChangeMembers changes the membership of g and returns when the change is complete, the joint phase included. It must be called on the leader.
func (h *Host) ChangeMembers(ctx context.Context, g GroupID, c Change) error {
	hd := h.handle(g)
	if hd == nil {
		return ErrNoReplica
	}
	if !h.gate.enter() {
		return ErrStopped
	}
	defer h.gate.leave()
	p := newProposal(nil)
	p.typ, p.change = raftpb.EntryConfChangeV2, &c
	if !h.enqueue(hd, p) {
		return ErrBusy
	}
	o, _ := h.await(ctx, p)
	return o.err
}

// TransferLeader hands leadership of g to another voter and returns when it leads. It must be called on the leader.
func (h *Host) TransferLeader(ctx context.Context, g GroupID, to ReplicaID) error {
	hd := h.handle(g)
	if hd == nil {
		return ErrNoReplica
	}
	p := newProposal(nil)
	_, err := h.ask(ctx, hd, p, signal{kind: signalTransfer, replica: to, done: p})
	return err
}

// ask posts a signal and waits for its answer.
func (h *Host) ask(ctx context.Context, hd *handle, p *proposal, s signal) (any, error) {
	if !h.gate.enter() {
		return nil, ErrStopped
	}
	defer h.gate.leave()
	hd.signal(s)
	o, _ := h.await(ctx, p)
	return o.result, o.err
}

// await waits for the outcome of a proposal; received tells that nobody else will touch it again.
func (h *Host) await(ctx context.Context, p *proposal) (o outcome, received bool) {
	select {
	case o = <-p.ch:
		return o, true
	case <-ctx.Done():
		return abandon(p, ctx.Err())
	case <-h.done:
		return abandon(p, ErrStopped)
	}
}

// abandon gives a proposal up: cleanly if it was not handed to Raft, otherwise with an unknown outcome.
func abandon(p *proposal, cause error) (outcome, bool) {
	select {
	case o := <-p.ch:
		return o, true
	default:
	}
	if p.state.CompareAndSwap(proposalQueued, proposalCancelled) {
		return outcome{err: cause}, false
	}
	select {
	case o := <-p.ch:
		return o, true
	default:
	}
	return outcome{err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)}, false
}

// ReadBarrier returns when the state here holds every write to g that was acknowledged, anywhere, before the call. What is read from the
// database afterwards is linearizable, as long as the replica Holds. It costs a round to a quorum, shared by all readers of a moment, and nothing on the only voter.
func (h *Host) ReadBarrier(ctx context.Context, g GroupID) error {
	hd := h.handle(g)
	if hd == nil {
		return ErrNoReplica
	}
	if hd.g.solo.Load() && !h.stopping() {
		return nil
	}
	if !h.gate.enter() {
		return ErrStopped
	}
	defer h.gate.leave()
	w := newReadWait()
	if !hd.read(w, h.c.cfg.MaxQueued) {
		return ErrBusy
	}
	select {
	case err := <-w.ch:
		return err
	case <-ctx.Done():
		w.gone.Store(true)
		return ctx.Err()
	case <-h.done:
		return ErrStopped
	}
}

// Holds tells whether replica id of g is here with all that it holds. A replica that the group has removed is taken away at any time,
// also between a ReadBarrier and what is read after it: a reader who finds nothing must not believe it unless the replica still was here
// after the reading.
func (h *Host) Holds(g GroupID, id ReplicaID) bool {
	hd := h.handle(g)
	return hd != nil && hd.g.holds(id)
}

// holds is true until what the replica holds may be touched: it is dead before it is buried.
func (g *group) holds(id ReplicaID) bool { return g.self == id && !g.dead.Load() }

// Leader returns the replica that leads g as far as it is known here, its node, and whether that is this replica, ready to serve.
func (h *Host) Leader(g GroupID) (id ReplicaID, node NodeID, here bool) {
	hd := h.handle(g)
	if hd == nil {
		return 0, "", false
	}
	p := hd.g.pub.Load()
	return p.lead, p.node, p.leads
}

// Status describes the replica of g here.
func (h *Host) Status(g GroupID) (GroupStatus, error) {
	hd := h.handle(g)
	if hd == nil {
		return GroupStatus{}, ErrNoReplica
	}
	hd.w.turn.Lock()
	defer hd.w.turn.Unlock()
	s := hd.g.status()
	s.Applied = max(s.Applied, hd.lastApplied.Load())
	return s, nil
}

// Applied gives how far the replica of a group here has come; 0 where there is none.
func (h *Host) Applied(g GroupID) uint64 {
	hd := h.handle(g)
	if hd == nil {
		return 0
	}
	hd.w.turn.Lock()
	defer hd.w.turn.Unlock()
	return max(hd.g.applied, hd.lastApplied.Load())
}

// PeerDown tells that a node cannot be reached: groups that it led hold elections at once. PeerUp takes it back. Both are hints:
// a wrong one costs an election, never an acknowledged write.
func (h *Host) PeerDown(n NodeID) { h.broadcast(signal{kind: signalPeerDown, node: n}) }

// PeerUp tells that a node can be reached again.
func (h *Host) PeerUp(n NodeID) { h.broadcast(signal{kind: signalPeerUp, node: n}) }

// TruncateLogs has every group remove what nobody needs of its log, though it be less than is removed as the log grows. It is for a
// store that has come to rest.
func (h *Host) TruncateLogs() { h.broadcast(signal{kind: signalTruncate}) }

func (h *Host) broadcast(s signal) {
	for _, hd := range *h.table.Load() {
		hd.signal(s)
	}
}

// Receive takes a frame that node from sent over its Link. It does not retain the frame. A frame that does not decode is ErrBadFrame, and its
// connection should be closed; other errors say why the frame was dropped.
func (h *Host) Receive(from NodeID, frame []byte) error {
	if h.stopping() {
		return ErrStopped
	}
	err := h.c.receive(frame, func(fh frameHeader) error { return h.peers.check(from, fh) }, func(g GroupID, to ReplicaID, in inbound) {
		hd := h.handle(g)
		if hd == nil || hd.g.self != to {
			h.c.met.dropped.WithLabelValues("replica").Inc()
			return
		}
		in.node = from
		if !hd.message(in, h.c.cfg.MaxInboxBytes) {
			h.c.met.dropped.WithLabelValues("full").Inc()
		}
	})
	if err != nil {
		h.c.met.dropped.WithLabelValues("frame").Inc()
	}
	return err
}
