package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// Stepper is the core of a node's replication for simulations of whole clusters: what Host does with goroutines it does in single steps,
// in an order that its caller's randomness chooses, so that a run can be repeated from a seed. It is for one goroutine. Calls tell their
// outcomes by functions, which are called from within Do.
type Stepper struct {
	c      *core
	cfg    StepperConfig
	groups map[GroupID]*stepped
	order  []GroupID
	sorted []*stepped // in that order
	apps   []*appendItem
	apls   []*applyItem
	timers []timer
	snaps  []*outgoingSnapshot
	waits  []stepWait
	peers  peerTable
	files  int
	busy   int // replicas whose inbox is not empty
	out    outbox
}

// StepperConfig is what a Stepper is made of, beside the Config of a Host.
type StepperConfig struct {
	Config
	// Order chooses what is done next, and how much of it.
	Order *rand.Rand
	// Send takes a frame for a node.
	Send func(to NodeID, frame []byte)
	// SendSnapshot takes a snapshot for a node. done is to be called once it is known whether it arrived.
	SendSnapshot func(to NodeID, header, body []byte, done func(ok bool))
	// BeforeAppend is called before logs are written, and may arrange for the power to fail. May be nil.
	BeforeAppend func()
	// AfterAppend is called with the error of the write, and says whether the node still lives. May be nil.
	AfterAppend func(error) bool
}

// stepped is a replica with its inbox, and an empty one that takes its place while it looks at that.
type stepped struct {
	g         *group
	in, spare *inbox
	busy      bool // in is not empty
}

// inbox returns the inbox of a replica for something to be put into it.
func (s *Stepper) inbox(sg *stepped) *inbox {
	if !sg.busy {
		sg.busy = true
		s.busy++
	}
	return sg.in
}

// stepWait is a call that has not returned.
type stepWait struct {
	p    *proposal
	r    *readWait
	done func(any, error)
}

// OpenStepper reads every group that the database holds.
func OpenStepper(cfg StepperConfig) (*Stepper, error) {
	c, err := openCore(cfg.Config)
	if err != nil {
		return nil, err
	}
	s := &Stepper{c: c, cfg: cfg, groups: make(map[GroupID]*stepped)}
	for _, g := range slices.Sorted(maps.Keys(c.groups)) {
		s.add(c.groups[g])
	}
	if err := s.peers.load(c.db); err != nil {
		return nil, closeAfter(err, c.store)
	}
	return s, nil
}

func (s *Stepper) add(g *group) {
	sg := &stepped{g: g, in: &inbox{}, spare: &inbox{}}
	s.inbox(sg).ticks = 1
	s.groups[g.id] = sg
	s.sort()
}

func (s *Stepper) remove(sg *stepped) {
	if sg.busy {
		s.busy--
	}
	delete(s.groups, sg.g.id)
	s.sort()
}

func (s *Stepper) sort() {
	s.order = slices.Sorted(maps.Keys(s.groups))
	s.sorted = s.sorted[:0]
	for _, g := range s.order {
		s.sorted = append(s.sorted, s.groups[g])
	}
}

// Abandon lets go of what the Stepper holds, as when the power fails. Calls under way get no outcome. The database may be closed then.
func (s *Stepper) Abandon() error {
	for _, sn := range s.snaps {
		sn.pinned.release()
	}
	for _, sg := range s.groups {
		for _, p := range sg.g.pinned {
			p.release()
		}
	}
	return s.c.store.close()
}

// Groups returns the groups that have a replica here, in order.
func (s *Stepper) Groups() []GroupID { return s.order }

// Leader returns the node that leads g as far as is known here, the term, and whether this replica does.
func (s *Stepper) Leader(g GroupID) (node NodeID, term uint64, here bool) {
	sg := s.groups[g]
	if sg == nil {
		return "", 0, false
	}
	p := sg.g.pub.Load()
	return p.node, p.term, p.leads
}

// Status describes the replica of g here.
func (s *Stepper) Status(g GroupID) (GroupStatus, error) {
	sg := s.groups[g]
	if sg == nil {
		return GroupStatus{}, ErrNoReplica
	}
	return sg.g.status(), nil
}

// Bootstrap creates groups whose only voter is this node.
func (s *Stepper) Bootstrap(groups []GroupID) error {
	var rs []*recovered
	for _, g := range groups {
		rs = append(rs, newFirst(g, s.c.cfg.Self))
	}
	return s.create(rs, nil)
}

func (s *Stepper) create(rs []*recovered, seeds []Member) error {
	gs, err := s.c.create(rs, seeds)
	for _, g := range gs {
		s.add(g)
	}
	return err
}

// CreateReplica is Host.CreateReplica.
func (s *Stepper) CreateReplica(g GroupID, id ReplicaID, members []Member) error {
	if sg := s.groups[g]; sg != nil {
		if sg.g.self == id {
			return nil
		}
		return fmt.Errorf("create replica %d of group %d: replica %d is here", id, g, sg.g.self)
	}
	if t, ok := s.c.tombstones[g]; ok && id < t.Next {
		return fmt.Errorf("create replica %d of group %d: IDs below %d were used before", id, g, t.Next)
	}
	return s.create([]*recovered{newJoining(g, id)}, members)
}

// Propose is Host.Propose.
func (s *Stepper) Propose(g GroupID, data []byte, done func(any, error)) {
	p := newProposal(data)
	p.typ = raftpb.EntryNormal
	s.propose(g, p, done)
}

// ChangeMembers is Host.ChangeMembers.
func (s *Stepper) ChangeMembers(g GroupID, c Change, done func(any, error)) {
	p := newProposal(nil)
	p.typ, p.change = raftpb.EntryConfChangeV2, &c
	s.propose(g, p, done)
}

func (s *Stepper) propose(g GroupID, p *proposal, done func(any, error)) {
	sg := s.groups[g]
	if sg == nil {
		done(nil, ErrNoReplica)
		return
	}
	in := s.inbox(sg)
	in.props = append(in.props, p)
	s.waits = append(s.waits, stepWait{p: p, done: done})
}

// RemoveReplica is Host.RemoveReplica.
func (s *Stepper) RemoveReplica(g GroupID, id ReplicaID, done func(any, error)) {
	s.ask(g, signal{kind: signalRemove, replica: id}, done)
}

// TransferLeader is Host.TransferLeader.
func (s *Stepper) TransferLeader(g GroupID, to ReplicaID, done func(any, error)) {
	s.ask(g, signal{kind: signalTransfer, replica: to}, done)
}

func (s *Stepper) ask(g GroupID, sig signal, done func(any, error)) {
	sg := s.groups[g]
	if sg == nil {
		done(nil, ErrNoReplica)
		return
	}
	sig.done = newProposal(nil)
	in := s.inbox(sg)
	in.signals = append(in.signals, sig)
	s.waits = append(s.waits, stepWait{p: sig.done, done: done})
}

// Replica returns the replica of g that is here.
func (s *Stepper) Replica(g GroupID) (ReplicaID, bool) {
	sg := s.groups[g]
	if sg == nil {
		return 0, false
	}
	return sg.g.self, true
}

// Holds is Host.Holds.
func (s *Stepper) Holds(g GroupID, id ReplicaID) bool {
	sg := s.groups[g]
	return sg != nil && sg.g.holds(id)
}

// ReadBarrier is Host.ReadBarrier.
func (s *Stepper) ReadBarrier(g GroupID, done func(any, error)) {
	sg := s.groups[g]
	switch {
	case sg == nil:
		done(nil, ErrNoReplica)
	case sg.g.solo.Load():
		done(nil, nil)
	default:
		r := newReadWait()
		in := s.inbox(sg)
		in.reads = append(in.reads, r)
		s.waits = append(s.waits, stepWait{r: r, done: done})
	}
}

// Peer tells that a node can or cannot be reached.
func (s *Stepper) Peer(n NodeID, up bool) {
	kind := signalPeerDown
	if up {
		kind = signalPeerUp
	}
	for _, g := range s.order {
		in := s.inbox(s.groups[g])
		in.signals = append(in.signals, signal{kind: kind, node: n})
	}
}

// Receive takes a frame of another node.
func (s *Stepper) Receive(from NodeID, frame []byte) error {
	return s.c.receive(frame, func(h frameHeader) error { return s.peers.check(from, h) }, func(g GroupID, to ReplicaID, m inbound) {
		if sg := s.groups[g]; sg != nil && sg.g.self == to {
			m.node = from
			in := s.inbox(sg)
			in.msgs = append(in.msgs, m)
		}
	})
}

// LostPeers is Host.LostPeers.
func (s *Stepper) LostPeers() []NodeID { return s.peers.lost() }

// ReceiveSnapshot takes a snapshot that another node sends.
func (s *Stepper) ReceiveSnapshot(from NodeID, header, body []byte) error {
	h, err := decodeSnapshotHeader(header)
	if err != nil {
		return err
	}
	sg := s.groups[h.group]
	if sg == nil || sg.g.self != h.to || sg.g.dead.Load() {
		return ErrNoReplica
	}
	s.files++
	prefix := s.c.cfg.FS.PathJoin(s.c.cfg.Dir, fmt.Sprintf("%s%d-%d", snapshotFilePrefix, h.group, s.files))
	files, err := importState(noContext{}, s.c.db, s.c.cfg.FS, prefix, h, bytes.NewReader(body))
	if err != nil {
		return err
	}
	snap := &incomingSnapshot{snapshotHeader: *h, node: from, files: files, done: make(chan error, 1)}
	in := s.inbox(sg)
	in.signals = append(in.signals, signal{kind: signalSnapshotIn, snap: snap})
	return nil
}

// Tick lets ticks of time pass for groups that are not at rest.
func (s *Stepper) Tick(ticks int) {
	for _, sg := range s.sorted {
		if !sg.g.quiet.Load() && ticks > 0 {
			s.inbox(sg).ticks += ticks
		}
	}
	now := s.c.cfg.Now()
	kept := s.timers[:0]
	for _, t := range s.timers {
		if t.at.After(now) {
			kept = append(kept, t)
		} else if sg := s.groups[t.g.id]; sg != nil && sg.g == t.g {
			in := s.inbox(sg)
			in.signals = append(in.signals, signal{kind: signalTimer})
		}
	}
	s.timers = kept
}

// Work tells in how many ways Do could go on; zero when there is nothing to do.
func (s *Stepper) Work() int {
	n := s.busy
	for _, queue := range [...]int{len(s.apps), len(s.apls), len(s.snaps)} {
		n += min(queue, 1)
	}
	return n
}

// Do does the i-th of the things that Work has counted. An error ends the node.
func (s *Stepper) Do(i int) error {
	if err := s.do(i); err != nil {
		return err
	}
	s.poll()
	return nil
}

func (s *Stepper) do(i int) error {
	for _, sg := range s.sorted {
		if !sg.busy {
			continue
		}
		if i == 0 {
			return s.stepGroup(sg)
		}
		i--
	}
	if len(s.apps) > 0 {
		if i == 0 {
			return s.stepAppend()
		}
		i--
	}
	if len(s.apls) > 0 {
		if i == 0 {
			return s.stepApply()
		}
	}
	return s.stream()
}

func (s *Stepper) stepGroup(sg *stepped) error {
	in, out := sg.in, &s.out
	sg.in, sg.spare, sg.busy = sg.spare, in, false
	s.busy--
	s.c.StepGroup(sg.g, s.c.cfg.Now(), in, out)
	in.reset()
	s.apps = append(s.apps, out.appends...)
	s.apls = append(s.apls, out.applies...)
	s.timers = append(s.timers, out.timers...)
	s.snaps = append(s.snaps, out.snaps...)
	if len(out.sends) > 0 {
		s.c.frames(out.sends, func(to NodeID, _ Class, frame []byte, _ []outbound) { s.cfg.Send(to, frame) })
	}
	out.reset()
	return sg.g.broken
}

// ErrPowerLost is what Do returns when AfterAppend says that the node lives no more.
var ErrPowerLost = errors.New("the power failed during a write")

func (s *Stepper) stepAppend() error {
	k := 1 + s.cfg.Order.IntN(len(s.apps))
	items := s.apps[:k]
	s.apps = s.apps[k:]
	if s.cfg.BeforeAppend != nil {
		s.cfg.BeforeAppend()
	}
	err := s.c.StepAppend(items)
	if s.cfg.AfterAppend != nil && !s.cfg.AfterAppend(err) {
		return ErrPowerLost
	}
	if err != nil {
		return err
	}
	for _, it := range items {
		sg := s.groups[it.g.id]
		switch {
		case it.bury != nil:
			it.g.onBuried()
			if sg != nil {
				s.remove(sg)
			}
			s.c.tombstones[it.g.id] = *it.bury
		case sg != nil && sg.g == it.g:
			in := s.inbox(sg)
			in.appended = append(in.appended, it)
		}
	}
	return nil
}

func (s *Stepper) stepApply() error {
	k := 1 + s.cfg.Order.IntN(len(s.apls))
	items := s.apls[:k]
	s.apls = s.apls[k:]
	if err := s.c.StepApply(items); err != nil {
		return err
	}
	for _, it := range items {
		if sg := s.groups[it.g.id]; sg != nil && sg.g == it.g {
			in := s.inbox(sg)
			in.applied = append(in.applied, it)
		}
	}
	return nil
}

// stream hands a pinned state over.
func (s *Stepper) stream() error {
	sn := s.snaps[0]
	s.snaps = slices.Delete(s.snaps, 0, 1)
	var body bytes.Buffer
	err := exportState(sn.pinned.sn, sn.g.id, &body)
	sn.pinned.release()
	if err != nil {
		return err
	}
	s.cfg.SendSnapshot(sn.to.Node, sn.header, body.Bytes(), func(ok bool) {
		if sg := s.groups[sn.g.id]; sg != nil && sg.g == sn.g {
			in := s.inbox(sg)
			in.signals = append(in.signals, signal{kind: signalSnapshotDone, replica: sn.to.Replica, ok: ok})
		}
	})
	return nil
}

// poll tells the outcomes of calls that have returned. What is told may make new calls.
func (s *Stepper) poll() {
	var ended []func()
	kept := s.waits[:0]
	for i := range s.waits {
		if tell := s.waits[i].outcome(); tell != nil {
			ended = append(ended, tell)
		} else {
			kept = append(kept, s.waits[i])
		}
	}
	clear(s.waits[len(kept):])
	s.waits = kept
	for _, tell := range ended {
		tell()
	}
}

// outcome gives what tells the outcome of a call, nil while there is none.
func (w *stepWait) outcome() func() {
	done := w.done
	switch {
	case w.r != nil && len(w.r.ch) > 0:
		err := <-w.r.ch
		return func() { done(nil, err) }
	case w.p != nil && len(w.p.ch) > 0:
		o := <-w.p.ch
		return func() { done(o.result, o.err) }
	}
	return nil
}
