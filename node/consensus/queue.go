package consensus

import (
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// The queues between the steps of the core. Whoever drives the core moves their contents; nothing here waits.

// outcome is what became of a request.
type outcome struct {
	result any
	err    error
}

// States of a proposal.
const (
	proposalQueued uint32 = iota
	proposalHanded
	proposalCancelled
)

// proposal is a command, or a membership change, on its way into the log.
type proposal struct {
	data []byte
	typ  raftpb.EntryType
	// change is set for a membership change, which becomes data when it is its turn.
	change *Change
	// state moves from queued to handed (it may be in the log) or to cancelled (it never will be), once.
	state atomic.Uint32
	// ch has room for the one outcome.
	ch chan outcome
}

func newProposal(data []byte) *proposal { return &proposal{data: data, ch: make(chan outcome, 1)} }

func (p *proposal) finish(result any, err error) {
	select {
	case p.ch <- outcome{result, err}:
	default:
	}
}

// hand claims the proposal for the log; false means that its caller gave up.
func (p *proposal) hand() bool { return p.state.CompareAndSwap(proposalQueued, proposalHanded) }

// fail finishes a proposal with err, or with an unknown outcome if it may be in the log.
func (p *proposal) fail(err error) {
	if p.state.Load() == proposalHanded {
		err = ErrOutcomeUnknown
	}
	p.finish(nil, err)
}

// placedProposal is a proposal with its place in the log.
type placedProposal struct {
	index, term uint64
	p           *proposal
}

// readWait is one reader waiting for a read index.
type readWait struct {
	index uint64
	ch    chan error
	// gone says that the reader stopped waiting.
	gone atomic.Bool
}

func newReadWait() *readWait { return &readWait{ch: make(chan error, 1)} }

func (w *readWait) finish(err error) {
	select {
	case w.ch <- err:
	default:
	}
}

// inbound is a message of a peer.
type inbound struct {
	node NodeID
	from ReplicaID
	kind itemKind
	m    *raftpb.Message
	// term and commit belong to itemQuiesce, next to itemRemoved.
	term, commit uint64
	next         ReplicaID
}

// signalKind says what a signal is.
type signalKind uint8

const (
	signalPeerDown signalKind = iota + 1
	signalPeerUp
	signalUnreachable
	signalTimer
	signalSnapshotDone
	signalSnapshotIn
	signalTransfer
	signalTrim
	signalTruncate
	signalRemove
)

// signal is a rare input of a group.
type signal struct {
	kind    signalKind
	node    NodeID
	replica ReplicaID
	ok      bool
	keep    int64
	snap    *incomingSnapshot
	done    *proposal
}

// inbox is everything a group has to look at in one step.
type inbox struct {
	msgs     []inbound
	props    []*proposal
	reads    []*readWait
	appended []*appendItem
	applied  []*applyItem
	signals  []signal
	ticks    int
}

func (in *inbox) empty() bool {
	return len(in.msgs) == 0 && len(in.props) == 0 && len(in.reads) == 0 && len(in.appended) == 0 && len(in.applied) == 0 &&
		len(in.signals) == 0 && in.ticks == 0
}

// reset empties the inbox and keeps its arrays, unless they grew out of proportion.
func (in *inbox) reset() {
	in.msgs, in.props, in.reads = recycle(in.msgs), recycle(in.props), recycle(in.reads)
	in.appended, in.applied, in.signals = recycle(in.appended), recycle(in.applied), recycle(in.signals)
	in.ticks = 0
}

func recycle[T any](s []T) []T {
	if cap(s) > 1024 {
		return nil
	}
	clear(s)
	return s[:0]
}

// appendItem is one group's work for the append step, and comes back to the group when it is done.
type appendItem struct {
	g *group
	// entries replace the log from their first index on; deleteTo is the last index the log may hold beyond them.
	entries  []*raftpb.Entry
	deleteTo uint64
	hs       hardState
	hasHS    bool
	// truncate removes the entries from its from up to its position.
	truncate *truncation
	snapshot *incomingSnapshot
	// bury replaces the replica and all it holds by a tombstone.
	bury *replicaRecord
	// settles makes the last change of the membership durable.
	settles bool
	// sync says that the responses may only be delivered after an fsync of what is written here.
	sync      bool
	responses []*raftpb.Message
}

type truncation struct {
	from uint64
	to   logPos
}

// applyItem is one group's work for the apply step, and comes back to the group when it is done.
type applyItem struct {
	g        *group
	entries  []*raftpb.Entry
	response *raftpb.Message
	// props are the proposals made here that the entries carry, in order of index.
	props []placedProposal
	// restored says that a snapshot replaced the state; there are no entries then.
	restored bool
	// changes are the membership changes among the entries that took effect. The apply step fills them in.
	changes []appliedChange
}

// appliedChange is a membership change that took effect in the state.
type appliedChange struct {
	cc   *raftpb.ConfChangeV2
	conf *configuration
	// prop is the proposal that asked for it, if it was made here.
	prop *proposal
	// refused is why the change was not made; cc and conf are nil then.
	refused error
}

// outbound is one item for a peer.
type outbound struct {
	node     NodeID
	class    Class
	group    GroupID
	to, from ReplicaID
	kind     itemKind
	m        *raftpb.Message
	payload  []byte
}

// outgoingSnapshot is a pinned state on its way to a replica. Whoever streams it closes pinned and signals the group.
type outgoingSnapshot struct {
	g      *group
	to     Member
	header []byte
	pinned *pinnedState
}

// timer asks for a signalTimer at a time.
type timer struct {
	g  *group
	at time.Time
}

// outbox is what one or more steps of groups want done.
type outbox struct {
	appends []*appendItem
	applies []*applyItem
	sends   []outbound
	snaps   []*outgoingSnapshot
	timers  []timer
}

func (o *outbox) reset() {
	o.appends, o.applies = recycle(o.appends), recycle(o.applies)
	o.sends, o.snaps, o.timers = recycle(o.sends), recycle(o.snaps), recycle(o.timers)
}

// mark remembers how full the outbox is, so that a failed step can be taken back.
func (o *outbox) mark() [5]int {
	return [5]int{len(o.appends), len(o.applies), len(o.sends), len(o.snaps), len(o.timers)}
}

// rollback forgets what was added since mark. Pins are released, and the proposals that were on their way have an unknown outcome.
func (o *outbox) rollback(m [5]int) {
	for _, s := range o.snaps[m[3]:] {
		s.pinned.release()
		delete(s.g.snapsOut, s.to.Replica)
	}
	for _, it := range o.applies[m[1]:] {
		for _, pp := range it.props {
			pp.p.fail(ErrOutcomeUnknown)
		}
	}
	o.appends, o.applies = o.appends[:m[0]], o.applies[:m[1]]
	o.sends, o.snaps, o.timers = o.sends[:m[2]], o.snaps[:m[3]], o.timers[:m[4]]
}
