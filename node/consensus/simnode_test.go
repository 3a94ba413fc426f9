package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// simNode is a core with its queues, on a disk that can lose power.
type simNode struct {
	w    *simWorld
	id   NodeID
	mem  *vfs.MemFS
	fs   *crashFS
	db   *pebble.DB
	c    *core
	up   bool
	gs   map[GroupID]*simGroup
	apps []*appendItem
	apls []*applyItem
	// timers run on the world's clock.
	timers []timer
	// snaps wait to be streamed, received wait for their verdict.
	snaps []*outgoingSnapshot
	peers peerTable
	// stalled nodes get no ticks; the ticks they missed come at once.
	stalled int
	missed  int
	// halfMade says that the power was lost while the database itself was being opened.
	halfMade bool
	// plan, if set, may arm the disk before it is used.
	plan func(*crashFS)
}

type simGroup struct {
	g  *group
	in inbox
}

func (n *simNode) open() error {
	n.fs = newCrashFS(n.mem)
	if n.plan != nil {
		n.plan(n.fs)
	}
	db, err := pebble.Open("meta", PebbleOptions(PebbleConfig{FS: n.fs, CacheBytes: 1 << 20, MemTableBytes: 256 << 10}))
	if err != nil {
		return err
	}
	n.halfMade = n.fs.crashed() != nil
	cfg := n.w.config(n)
	cfg.DB, cfg.FS, cfg.Dir = db, n.fs, "side"
	c, err := openCore(cfg)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	n.db, n.c, n.up = db, c, true
	n.gs, n.apps, n.apls, n.timers, n.snaps = map[GroupID]*simGroup{}, nil, nil, nil, nil
	for _, g := range c.groups {
		n.gs[g.id] = &simGroup{g: g}
	}
	return n.peers.load(db)
}

// crash loses power. keep is the disk as it is found later; nil makes one now.
func (n *simNode) crash(keep *vfs.MemFS, percent int) {
	if keep == nil {
		keep = n.fs.cut(percent, n.w.rngOld())
	}
	n.w.abandonOps(n)
	n.up = false
	for _, s := range n.snaps {
		s.pinned.release()
	}
	for _, sg := range n.sorted() {
		for _, p := range sg.g.pinned {
			p.release()
		}
	}
	_ = n.c.store.close()
	n.w.check(n.db.Close(), "close crashed database")
	n.mem = keep
}

func (n *simNode) sorted() []*simGroup {
	var gs []*simGroup
	for g := range n.w.groups {
		if sg := n.gs[GroupID(g)]; sg != nil {
			gs = append(gs, sg)
		}
	}
	return gs
}

func (n *simNode) group(g GroupID) *simGroup {
	if !n.up {
		return nil
	}
	return n.gs[g]
}

// stepGroup lets one group look at its inbox.
func (n *simNode) stepGroup(sg *simGroup) {
	var out outbox
	in := sg.in
	sg.in = inbox{}
	n.c.StepGroup(sg.g, n.w.now, &in, &out)
	if sg.g.broken != nil {
		n.w.failf("node %s: group %d broke: %v", n.id, sg.g.id, sg.g.broken)
	}
	n.apps = append(n.apps, out.appends...)
	n.apls = append(n.apls, out.applies...)
	n.timers = append(n.timers, out.timers...)
	n.snaps = append(n.snaps, out.snaps...)
	if len(out.sends) > 0 {
		n.c.frames(out.sends, func(to NodeID, class Class, frame []byte, items []outbound) {
			n.w.packets = append(n.w.packets, packet{from: n.id, to: to, frame: frame, items: items})
		})
	}
	n.w.noteLeader(sg.g)
}

// stepAppend writes some of what waits, at times through a power loss.
func (n *simNode) stepAppend(crash bool) {
	k := 1 + n.w.rng.IntN(len(n.apps))
	items := n.apps[:k]
	n.apps = n.apps[k:]
	if crash {
		n.fs.arm(n.w.rng.IntN(2), n.w.rng.IntN(2) == 0, n.w.percent(), n.w.rngOld())
	}
	err := n.c.StepAppend(items)
	if clone := n.fs.crashed(); clone != nil {
		n.w.logf("node %s lost power at a sync", n.id)
		n.crash(clone, 0)
		return
	}
	n.w.check(err, "append")
	if crash {
		n.fs.arm(-1, false, 0, nil)
	}
	for _, it := range items {
		if it.bury != nil {
			it.g.onBuried()
			delete(n.gs, it.g.id)
			n.c.tombstones[it.g.id] = *it.bury
			continue
		}
		if sg := n.gs[it.g.id]; sg != nil && sg.g == it.g {
			sg.in.appended = append(sg.in.appended, it)
		}
	}
}

func (n *simNode) stepApply() {
	k := 1 + n.w.rng.IntN(len(n.apls))
	items := n.apls[:k]
	n.apls = n.apls[k:]
	n.w.check(n.c.StepApply(items), "apply")
	for _, it := range items {
		if sg := n.gs[it.g.id]; sg != nil && sg.g == it.g {
			sg.in.applied = append(sg.in.applied, it)
		}
	}
}

func (n *simNode) tick() {
	if n.stalled > 0 {
		n.stalled--
		n.missed++
		return
	}
	ticks := 1 + n.missed
	n.missed = 0
	for _, sg := range n.sorted() {
		if !sg.g.quiet.Load() {
			sg.in.ticks += ticks
		}
	}
	kept := n.timers[:0]
	for _, t := range n.timers {
		if t.at.After(n.w.now) {
			kept = append(kept, t)
		} else if sg := n.gs[t.g.id]; sg != nil && sg.g == t.g {
			sg.in.signals = append(sg.in.signals, signal{kind: signalTimer})
		}
	}
	n.timers = kept
}

func (n *simNode) receive(from NodeID, frame []byte) {
	err := n.c.receive(frame, func(h frameHeader) error { return n.peers.check(from, h) }, func(g GroupID, to ReplicaID, in inbound) {
		if sg := n.gs[g]; sg != nil && sg.g.self == to {
			in.node = from
			sg.in.msgs = append(sg.in.msgs, in)
		}
	})
	if errors.Is(err, ErrBadFrame) { // what is late may look as if it came from one who forgot; see verify
		n.w.failf("node %s refuses a frame of %s: %v", n.id, from, err)
	}
}

// stream carries a snapshot to its receiver, or loses or cuts it.
func (n *simNode) stream(s *outgoingSnapshot) {
	var buf bytes.Buffer
	n.w.check(exportState(s.pinned.sn, s.g.id, &buf), "export")
	s.pinned.release()
	to := n.w.nodes[s.to.Node]
	ok := to != nil && to.up && !n.w.blocked[link{n.id, to.id}]
	b := buf.Bytes()
	if n.w.rng.IntN(8) == 0 {
		b = b[:n.w.rng.IntN(len(b))]
	}
	if ok {
		ok = to.ingestStream(n.id, s.header, b) == nil
	}
	if sg := n.gs[s.g.id]; sg != nil && sg.g == s.g {
		sg.in.signals = append(sg.in.signals, signal{kind: signalSnapshotDone, replica: s.to.Replica, ok: ok})
	}
}

func (n *simNode) ingestStream(from NodeID, header, b []byte) error {
	h, err := decodeSnapshotHeader(header)
	if err != nil {
		return err
	}
	sg := n.gs[h.group]
	if sg == nil || sg.g.self != h.to {
		return ErrNoReplica
	}
	prefix := fmt.Sprintf("side/%s%d-%d", snapshotFilePrefix, h.group, n.w.unique())
	files, err := importState(context.Background(), n.db, n.fs, prefix, h, bytes.NewReader(b))
	if err != nil {
		return err
	}
	in := &incomingSnapshot{snapshotHeader: *h, node: from, files: files, done: make(chan error, 1)}
	sg.in.signals = append(sg.in.signals, signal{kind: signalSnapshotIn, snap: in})
	return nil
}

func (n *simNode) create(r *recovered, seeds []Member) {
	gs, err := n.c.create([]*recovered{r}, seeds)
	n.w.check(err, "create replica")
	n.gs[r.group] = &simGroup{g: gs[0], in: inbox{ticks: 1}}
}

func (n *simNode) signalAll(s signal) {
	for _, sg := range n.sorted() {
		sg.in.signals = append(sg.in.signals, s)
	}
}

// work returns what this node could do next.
func (n *simNode) work() (acts []func()) {
	if !n.up {
		return nil
	}
	for _, sg := range n.sorted() {
		if !sg.in.empty() {
			acts = append(acts, func() { n.stepGroup(sg) })
		}
	}
	if len(n.apps) > 0 {
		acts = append(acts, func() { n.stepAppend(n.w.faulty && n.w.rng.IntN(60) == 0) })
	}
	if len(n.apls) > 0 {
		acts = append(acts, n.stepApply)
	}
	if len(n.snaps) > 0 {
		acts = append(acts, func() {
			s := n.snaps[0]
			n.snaps = slices.Delete(n.snaps, 0, 1)
			n.stream(s)
		})
	}
	return acts
}

// simRand feeds identities from the world's seed.
type simRand struct{ r *rand.Rand }

func (s simRand) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.r.Uint32())
	}
	return len(p), nil
}

const simTick = 100 * time.Millisecond
