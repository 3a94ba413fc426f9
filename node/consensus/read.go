package consensus

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// readQueue holds a group's readers between their arrival and the moment when the state is recent enough for them.
type readQueue struct {
	// queued wait for the next question to the leader.
	queued []*readWait
	// asked wait for its answer.
	asked []readQuestion
	// confirmed know their index and wait for the state to reach it.
	confirmed []*readWait
	count     uint64
	// now is the time of the present step.
	now time.Time
	// least are the shortest times that answers took of the last nearWindow questions and of those before, 0 for none; timed counts the last.
	least [2]time.Duration
	timed int
}

const (
	// nearRead is how fast answers must come for readers to wait for one to share the next question. Each costs a handful of messages and
	// turns of the processor, and where the voters are near that is more than the wait. From afar a reader would wait as long again.
	nearRead = 2 * time.Millisecond
	// nearWindow is how many questions it takes to see that the voters are not as near as they were.
	nearWindow = 64
)

// readQuestion is one ReadIndex for all readers of a turn. Its context is never used again: an answer that was on its way too long
// must not be taken for the answer to a later question, nor one to this replica's process before it was started again.
type readQuestion struct {
	context readContext
	tick    uint64
	at      time.Time
	waits   []*readWait
}

// readContext is the boot of a replica's store and a count within it, as they travel.
type readContext [16]byte

func newReadContext(boot, count uint64) (c readContext) {
	binary.LittleEndian.PutUint64(c[:], boot)
	binary.LittleEndian.PutUint64(c[8:], count)
	return c
}

func (q *readQueue) waiting() bool {
	return len(q.queued) > 0 || len(q.asked) > 0 || len(q.confirmed) > 0
}

func (q *readQueue) add(in *inbox, limit int) {
	for _, w := range in.reads {
		if len(q.queued) >= limit {
			w.finish(ErrBusy)
			continue
		}
		q.queued = append(q.queued, w)
	}
	in.reads = recycle(in.reads)
}

// canRead says whether Raft's core may be asked for a read index. A leader has to wait until an entry of its own term is applied: before,
// it does not know how far the log is committed, and as the only voter it would answer nevertheless. The core is asked what it is: it may have
// become leader earlier in this very step.
func (g *group) canRead() bool {
	if g.rn.BasicStatus().RaftState == raft.StateLeader {
		return g.state == raft.StateLeader && g.termStart > 0 && g.applied >= g.termStart
	}
	return g.lead != 0
}

// askRead asks one question for all readers that wait. It leaves them waiting while the answer to the one before is near, for no longer than
// until the next tick.
func (g *group) askRead() {
	q := &g.reads
	if len(q.queued) == 0 || !g.canRead() {
		return
	}
	if n := len(q.asked); n > 0 && q.asked[n-1].tick == g.tick && q.near() {
		return
	}
	q.count++
	ctx := newReadContext(g.c.store.boot, q.count)
	q.asked = append(q.asked, readQuestion{context: ctx, tick: g.tick, at: q.now, waits: q.queued})
	q.queued = nil
	g.rn.ReadIndex(ctx[:])
}

// confirm takes the leader's answer.
func (q *readQueue) confirm(rs raft.ReadState, applied uint64) {
	for i := range q.asked {
		if !bytes.Equal(q.asked[i].context[:], rs.RequestCtx) {
			continue
		}
		q.time(q.now.Sub(q.asked[i].at))
		for _, w := range q.asked[i].waits {
			if w.index = rs.Index; w.index <= applied {
				w.finish(nil)
			} else {
				q.confirmed = append(q.confirmed, w)
			}
		}
		q.asked = append(q.asked[:i], q.asked[i+1:]...)
		return
	}
}

// time notes how long an answer took.
func (q *readQueue) time(d time.Duration) {
	if d = max(d, 1); q.least[0] == 0 || d < q.least[0] {
		q.least[0] = d
	}
	if q.timed++; q.timed >= nearWindow {
		q.least, q.timed = [...]time.Duration{0, q.least[0]}, 0
	}
}

// near tells whether answers come soon. The shortest count: others have waited for a processor, and more questions would make that worse.
func (q *readQueue) near() bool {
	return slices.ContainsFunc(q.least[:], func(d time.Duration) bool { return d > 0 && d <= nearRead })
}

// release ends the wait of readers whose index the state has reached.
func (q *readQueue) release(applied uint64) {
	kept := q.confirmed[:0]
	for _, w := range q.confirmed {
		if w.index <= applied {
			w.finish(nil)
		} else {
			kept = append(kept, w)
		}
	}
	clear(q.confirmed[len(kept):])
	q.confirmed = kept
}

// requeue makes readers ask again, under a new context, when the leader they asked may not answer.
func (q *readQueue) requeue() {
	for _, a := range q.asked {
		q.queued = append(q.queued, a.waits...)
	}
	q.asked = nil
	q.least, q.timed = [2]time.Duration{}, 0 // the next leader may be elsewhere
}

// expireReads asks again when an answer is overdue, and forgets readers that gave up.
func (g *group) expireReads() {
	q := &g.reads
	if len(q.asked) > 0 && g.tick-q.asked[0].tick >= uint64(g.c.cfg.ElectionTicks) {
		q.requeue()
	}
	kept := q.queued[:0]
	for _, w := range q.queued {
		if !w.gone.Load() {
			kept = append(kept, w)
		}
	}
	clear(q.queued[len(kept):])
	q.queued = kept
}

func (q *readQueue) failAll(err error) {
	q.requeue()
	for _, w := range append(q.queued, q.confirmed...) {
		w.finish(err)
	}
	q.queued, q.confirmed = nil, nil
}

// foreignReadTooEarly says that a question of another replica came before canRead; it is dropped and will be asked again.
func (g *group) foreignReadTooEarly(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgReadIndex && !g.canRead()
}
