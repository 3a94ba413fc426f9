package consensus

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// limiter bounds something without waiting for it.
type limiter struct {
	used atomic.Int32
	max  int32
}

func (l *limiter) acquire() bool {
	if l.used.Add(1) <= l.max {
		return true
	}
	l.used.Add(-1)
	return false
}

func (l *limiter) release() { l.used.Add(-1) }

// pinnedState is a group's state as of one index, held against later writes.
type pinnedState struct {
	sn   *pebble.Snapshot
	pos  logPos
	conf *configuration
	lim  *limiter
	once sync.Once
}

// release lets the state go. It may be called again.
func (p *pinnedState) release() {
	p.once.Do(func() {
		p.sn.Close()
		p.lim.release()
	})
}

// pinSnapshot answers Raft's wish for a snapshot: the database is pinned, and index, term and configuration are read from the pin itself.
func (g *group) pinSnapshot() (*raftpb.Snapshot, error) {
	if !g.c.snapsOut.acquire() {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	p := &pinnedState{sn: g.c.db.NewSnapshot(), lim: &g.c.snapsOut}
	if err := p.load(g.id); err != nil {
		p.release()
		return nil, err
	}
	g.pinned = append(g.pinned, p)
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: p.conf.confState(), Index: new(p.pos.Index), Term: new(p.pos.Term)}}, nil
}

func (p *pinnedState) load(g GroupID) error {
	v, found, err := getCopy(p.sn, appliedKey(g))
	if err == nil && found {
		p.pos, err = decodePos(v, "applied position")
	}
	if err != nil || !found {
		return fmt.Errorf("pin state of group %d: %w", g, err)
	}
	v, found, err = getCopy(p.sn, confKey(g))
	if err == nil && found {
		p.conf, err = decodeConfiguration(v)
	}
	if err != nil || !found {
		return fmt.Errorf("pin state of group %d: %w", g, err)
	}
	return nil
}

// sendSnapshot takes the pin that belongs to a MsgSnap: Raft asks for one and sends it before it asks for the next.
func (g *group) sendSnapshot(m *raftpb.Message, out *outbox) {
	p := g.pinned[0]
	g.pinned = g.pinned[1:]
	to := ReplicaID(m.GetTo())
	node, ok := g.nodeOf(to)
	if _, busy := g.snapsOut[to]; !ok || busy || p.pos.Index != m.GetSnapshot().GetMetadata().GetIndex() {
		p.release()
		g.rn.ReportSnapshot(uint64(to), raft.SnapshotFailure)
		return
	}
	h := snapshotHeader{group: g.id, to: to, from: g.self, term: m.GetTerm(), pos: p.pos, conf: p.conf}
	g.snapsOut[to] = p.pos.Index
	out.snaps = append(out.snaps, &outgoingSnapshot{g: g, to: Member{to, node}, header: h.encode(), pinned: p})
	g.c.met.snapshotsSent.Inc()
}

func (g *group) onSnapshotSent(s *signal) {
	delete(g.snapsOut, s.replica)
	status := raft.SnapshotFinish
	if !s.ok {
		status = raft.SnapshotFailure
	}
	g.rn.ReportSnapshot(uint64(s.replica), status)
}

// snapshotHeader precedes a snapshot's stream.
type snapshotHeader struct {
	group    GroupID
	to, from ReplicaID
	// term is the sender's term, pos and conf are the state's.
	term uint64
	pos  logPos
	conf *configuration
}

func (h *snapshotHeader) encode() []byte {
	b := []byte{recordFormat}
	b = binary.LittleEndian.AppendUint32(b, uint32(h.group))
	for _, w := range []uint64{uint64(h.to), uint64(h.from), h.term, h.pos.Index, h.pos.Term} {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return append(b, h.conf.encode()...)
}

func decodeSnapshotHeader(b []byte) (*snapshotHeader, error) {
	r := reader{b: b, what: "snapshot header"}
	if r.u8() != recordFormat {
		r.fail("unknown format")
	}
	h := &snapshotHeader{group: GroupID(r.u32()), to: ReplicaID(r.u64()), from: ReplicaID(r.u64()), term: r.u64()}
	h.pos = logPos{Index: r.u64(), Term: r.u64()}
	if r.err == nil && (h.to == 0 || h.from == 0 || h.to >= replicaLimit || h.from >= replicaLimit || h.term == 0 || h.pos.Index == 0 || h.pos.Term == 0) {
		r.fail("field out of range")
	}
	if r.err != nil {
		return nil, r.err
	}
	var err error
	h.conf, err = decodeConfiguration(r.b)
	return h, err
}

// message is the Raft message that the header stands for.
func (h *snapshotHeader) message() *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), To: new(uint64(h.to)), From: new(uint64(h.from)), Term: new(h.term),
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			ConfState: h.conf.confState(), Index: new(h.pos.Index), Term: new(h.pos.Term)}},
	}
}

// incomingSnapshot is a state that arrived complete and lies in files, ready to be ingested.
type incomingSnapshot struct {
	snapshotHeader
	node  NodeID
	files []string
	// done gets nil when the snapshot was ingested or was not needed.
	done chan error
}

func (s *incomingSnapshot) finish(err error) {
	select {
	case s.done <- err:
	default:
	}
}

// onSnapshotReceived takes a snapshot that has arrived. It waits while entries are being applied: Raft's core makes the snapshot's membership its
// own at once, and a change of members among those entries, of which the core hears when they are applied, would be made to that one.
func (g *group) onSnapshotReceived(s *signal, out *outbox) {
	in := s.snap
	switch {
	case in.to != g.self || !g.trusts(in.from, in.node, out):
		in.finish(fmt.Errorf("%w: not for this replica, or not from its node", ErrBadSnapshot))
	case g.receiving != nil || g.snapIn != nil || g.snapWaits != nil:
		in.finish(ErrBusy)
	case g.applies > 0:
		g.snapWaits = in
	default:
		g.offerSnapshot(in, out)
	}
}

// offerWaiting offers the snapshot that waits, if nothing is being applied any more.
func (g *group) offerWaiting(out *outbox) {
	if in := g.snapWaits; in != nil && g.applies == 0 {
		g.snapWaits = nil
		g.offerSnapshot(in, out)
	}
}

// offerSnapshot offers a snapshot to Raft, which may find that it is not needed.
func (g *group) offerSnapshot(in *incomingSnapshot, out *outbox) {
	g.snapIn = in
	if err := g.rn.Step(in.message()); err != nil {
		g.snapIn = nil
		in.finish(err)
		return
	}
	g.drainReady(out)
	if g.snapIn != nil {
		g.snapIn = nil
		in.finish(nil)
	}
}

// acceptSnapshot binds the files to the append that Raft wants for its snapshot.
func (g *group) acceptSnapshot(it *appendItem, s *raftpb.Snapshot) {
	in := g.snapIn
	if in == nil || in.pos.Index != s.GetMetadata().GetIndex() || in.pos.Term != s.GetMetadata().GetTerm() {
		panic(fmt.Sprintf("no files for snapshot %d", s.GetMetadata().GetIndex()))
	}
	g.snapIn, g.receiving = nil, in
	it.snapshot = in
	g.handed = in.pos.Index
	if n := len(it.entries); n > 0 {
		g.handed = it.entries[n-1].GetIndex()
	}
}

// onIngested moves log, state and membership to where the snapshot put them.
func (g *group) onIngested(s *incomingSnapshot, out *outbox) {
	g.log.reset(s.pos)
	g.conf = s.conf
	g.sm.applied, g.sm.conf = s.pos, s.conf
	g.receiving = nil
	g.applies++
	out.applies = append(out.applies, &applyItem{g: g, restored: true})
	g.c.met.snapshotsReceived.Inc()
	g.c.cfg.Logger.Info("snapshot ingested", "group", g.id, "replica", g.self, "index", s.pos.Index, "node_id", s.node)
	s.finish(nil)
}
