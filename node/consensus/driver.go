package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// drainTimeout is how long Run waits for proposals and reads that were accepted before it was told to end.
const drainTimeout = 3 * time.Second

// Run drives all groups until ctx ends, and returns nil after the last goroutine has ended. Proposals that were accepted before get
// a few seconds to finish. It returns ErrFatal when storage failed: the process must end then without writing to the database, and a
// goroutine inside the database may still be stuck. Run is called once.
func (h *Host) Run(ctx context.Context) error {
	if h.running.Swap(true) {
		return errors.New("consensus host was run before")
	}
	var steps, storage sync.WaitGroup
	// Steps and snapshots go on while Run drains, and end with it.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	storage.Go(func() { h.snapshotLoop(work) })
	for _, w := range h.workers {
		steps.Go(w.run)
	}
	storage.Go(h.appendLoop)
	storage.Go(h.applyLoop)
	storage.Go(func() { h.maintainLoop(work) })
	steps.Go(func() { h.tickLoop(work) })

	stuck := false
	select {
	case <-ctx.Done():
		h.drain()
	case err := <-h.c.cfg.Fatal:
		stuck = true
		h.fail(fmt.Errorf("%w: %v", ErrFatal, err))
	case <-h.done:
	}
	h.stop()
	cancel()
	for _, w := range h.workers {
		w.ready.close()
	}
	h.appends.close()
	h.applies.close()
	h.snaps.close()
	steps.Wait()
	if !stuck {
		storage.Wait()
	}
	if p := h.failure.Load(); p != nil {
		return *p
	}
	return h.finish()
}

// drain refuses what is new and waits for what was accepted.
func (h *Host) drain() {
	t := time.NewTimer(drainTimeout)
	defer t.Stop()
	select {
	case <-h.gate.shut():
	case <-t.C:
	case <-h.done:
	}
}

// finish makes the applied state durable, so that the next opening has nothing to apply again.
func (h *Host) finish() error {
	h.appendMu.Lock()
	defer h.appendMu.Unlock()
	w := appendBatch{b: h.c.db.NewBatch(), sync: true}
	defer w.b.Close()
	h.peers.save(w.b)
	if err := h.c.app.commit(&w); err != nil {
		return err
	}
	return h.c.store.close()
}

// fail stops the host because storage failed.
func (h *Host) fail(err error) {
	if h.failure.CompareAndSwap(nil, &err) {
		h.c.cfg.Logger.Error("metadata storage failed, stopping", "err", err)
	}
	h.stop()
}

func (h *Host) stop() {
	h.stopOnce.Do(func() {
		h.stopped.Store(true)
		close(h.done)
	})
}

func (h *Host) stopping() bool { return h.stopped.Load() }

func (h *Host) appendLoop() {
	for h.appends.wait() {
		h.appendMu.Lock()
		due, ok := h.appendQueued(nil)
		h.appendMu.Unlock()
		if !ok {
			return
		}
		h.stepDue(due)
	}
}

// tryAppend writes what waits on the caller's goroutine, unless another one is at it, which then will.
func (h *Host) tryAppend() {
	if h.appends.empty() || !h.appendMu.TryLock() {
		return
	}
	due, ok := h.appendQueued(nil)
	h.appendMu.Unlock()
	if ok {
		h.stepDue(due)
	}
}

// appendQueued writes what waits and returns it to its groups, adding those that the caller has to have stepped to due. It needs appendMu, so
// that items stay in order. False says that it failed.
func (h *Host) appendQueued(due []*handle) ([]*handle, bool) {
	items := h.appends.takeNow()
	if len(items) == 0 {
		return due, true
	}
	if h.failure.Load() != nil {
		return due, false
	}
	h.appendBusy.Store(true)
	err := h.c.StepAppend(items)
	h.appendBusy.Store(false)
	if err != nil {
		h.fail(err)
		return due, false
	}
	for _, it := range items {
		if it.bury != nil {
			h.forget(it.g, *it.bury)
			it.g.onBuried()
			continue
		}
		if hd := h.handle(it.g.id); hd != nil && hd.g == it.g && hd.appended(it) {
			due = append(due, hd)
		}
	}
	h.appends.recycle(items)
	return due, true
}

// stepDue has groups stepped after a write. If nothing else waits to be written, this goroutine does it, and applies what that commits: a lone
// client is answered without waking anybody else. Otherwise the next write must not wait for that.
func (h *Host) stepDue(due []*handle) {
	idle := h.appends.empty()
	for _, hd := range due {
		if !idle || !hd.w.tryStep(hd) {
			hd.w.ready.push(hd)
		}
	}
	if idle {
		h.tryApply()
	}
}

func (h *Host) applyLoop() {
	for h.applies.wait() {
		h.applyMu.Lock()
		ok := h.applyQueued()
		h.applyMu.Unlock()
		if !ok {
			return
		}
	}
}

// tryApply applies what waits, unless another goroutine is at it, which then will.
func (h *Host) tryApply() {
	if h.applies.empty() || !h.applyMu.TryLock() {
		return
	}
	h.applyQueued()
	h.applyMu.Unlock()
}

// applyQueued applies what waits and returns it to its groups. It needs applyMu, so that items stay in order. False says that it failed.
func (h *Host) applyQueued() bool {
	items := h.applies.takeNow()
	if len(items) == 0 {
		return true
	}
	if h.failure.Load() != nil {
		return false
	}
	if err := h.c.StepApply(items); err != nil {
		h.fail(err)
		return false
	}
	for _, it := range items {
		if hd := h.handle(it.g.id); hd != nil && hd.g == it.g && hd.applied(it) {
			hd.w.ready.push(hd)
		}
	}
	h.applies.recycle(items)
	return true
}

// tickLoop lets time pass for the groups that are not at rest. While all are, it sleeps until one wakes.
func (h *Host) tickLoop(ctx context.Context) {
	t := time.NewTicker(h.c.cfg.TickInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if h.tickAll() {
			continue
		}
		// Whoever ends a rest from here on says so; whoever did before is seen.
		h.resting.Store(true)
		if !h.allQuiet() && h.resting.CompareAndSwap(true, false) {
			continue
		}
		t.Stop()
		select {
		case <-ctx.Done():
			return
		case <-h.roused:
		}
		t.Reset(h.c.cfg.TickInterval)
	}
}

// tickAll ticks once. False says that nobody needed it.
func (h *Host) tickAll() bool {
	table := *h.table.Load()
	trim := h.c.budget.over()
	needed := trim
	for _, hd := range table {
		if trim {
			hd.signal(signal{kind: signalTrim, keep: h.c.budget.max / int64(2*len(table))})
		}
		if !hd.g.quiet.Load() {
			hd.tick()
			needed = true
		}
	}
	return needed
}

// allQuiet tells whether all groups are at rest.
func (h *Host) allQuiet() bool {
	for _, hd := range *h.table.Load() {
		if !hd.g.quiet.Load() {
			return false
		}
	}
	return true
}

// rouse has ticks go on if a group that was just stepped needs them.
func (h *Host) rouse(g *group) {
	if !g.quiet.Load() && h.resting.CompareAndSwap(true, false) {
		h.roused <- struct{}{} // There is room: who rests again has taken the last one.
	}
}

// worker steps the groups that are assigned to it, one at a time.
type worker struct {
	h     *Host
	ready *queue[*handle]
	// turn is held while groups step, so that others may look at them in between.
	turn sync.Mutex
	out  outbox
}

func newWorker(h *Host) *worker { return &worker{h: h, ready: newQueue[*handle]()} }

func (w *worker) run() {
	for {
		hds, ok := w.ready.take()
		if !ok {
			return
		}
		w.turn.Lock()
		for _, hd := range hds {
			w.step(hd)
		}
		w.flush()
		w.turn.Unlock()
		w.ready.recycle(hds)
	}
}

// step lets a group look at its inbox. It needs turn.
func (w *worker) step(hd *handle) {
	in := hd.take()
	w.h.c.StepGroup(hd.g, w.h.c.cfg.Now(), in, &w.out)
	w.h.rouse(hd.g)
	in.reset()
	hd.spare = in
}

// tryStep steps one group on the caller's goroutine, unless the worker is busy.
func (w *worker) tryStep(hd *handle) bool {
	if !w.turn.TryLock() {
		return false
	}
	w.step(hd)
	w.flush()
	w.turn.Unlock()
	return true
}

// flush hands on what the groups of this turn want done.
func (w *worker) flush() {
	h, out := w.h, &w.out
	h.appends.push(out.appends...)
	h.applies.push(out.applies...)
	if len(out.sends) > 0 && h.c.cfg.Link != nil {
		h.c.frames(out.sends, h.sendFrame)
	}
	h.snaps.push(out.snaps...)
	for _, t := range out.timers {
		hd := h.handle(t.g.id)
		if hd == nil {
			continue
		}
		time.AfterFunc(max(0, t.at.Sub(h.c.cfg.Now())), func() { hd.signal(signal{kind: signalTimer}) })
	}
	out.reset()
}

// sendFrame gives a frame to the link. Raft learns at once which replicas did not get theirs.
func (h *Host) sendFrame(to NodeID, class Class, frame []byte, items []outbound) {
	if err := h.c.cfg.Link.Send(to, class, frame); err == nil {
		return
	}
	h.c.met.dropped.WithLabelValues("link").Inc()
	for i := range items {
		it := &items[i]
		if class != Bulk {
			continue
		}
		if hd := h.handle(it.group); hd != nil {
			hd.signal(signal{kind: signalUnreachable, replica: it.to})
		}
	}
}

// queue is an unbounded list that one goroutine takes whole. What is in it is bounded by those who push: Raft's limits on what is uncommitted,
// in flight and unapplied, and the inboxes' own.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	spare  []T
	closed bool
	wake   chan struct{}
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

func (q *queue[T]) push(items ...T) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	first := len(q.items) == 0
	q.items = append(q.items, items...)
	q.mu.Unlock()
	if first {
		q.signal()
	}
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// wait waits for items; false says that the queue was closed and is empty.
func (q *queue[T]) wait() bool {
	for {
		q.mu.Lock()
		some, closed := len(q.items) > 0, q.closed
		q.mu.Unlock()
		if some || closed {
			return some
		}
		<-q.wake
	}
}

// take waits for items and takes all of them; false says that the queue was closed and is empty.
func (q *queue[T]) take() ([]T, bool) {
	for q.wait() {
		if items := q.takeNow(); len(items) > 0 {
			return items, true
		}
	}
	return nil, false
}

// takeNow takes what is there.
func (q *queue[T]) takeNow() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	if len(items) > 0 {
		q.items, q.spare = q.spare, nil
	}
	return items
}

func (q *queue[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0
}

// recycle gives the array of a taken slice back.
func (q *queue[T]) recycle(items []T) {
	items = recycle(items)
	q.mu.Lock()
	q.spare = items
	q.mu.Unlock()
}

func (q *queue[T]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// gate counts the callers inside and can be shut: then nobody enters, and it tells when the last has left.
type gate struct {
	// n is the number of callers inside, plus one while the gate is open.
	n     atomic.Int64
	isOff atomic.Bool
	once  sync.Once
	empty chan struct{}
}

func (g *gate) init() {
	g.n.Store(1)
	g.empty = make(chan struct{})
}

func (g *gate) enter() bool {
	if g.isOff.Load() {
		return false
	}
	g.n.Add(1)
	if g.isOff.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.n.Add(-1) == 0 {
		g.once.Do(func() { close(g.empty) })
	}
}

// shut closes the gate and returns a channel that is closed when nobody is inside. It is called once.
func (g *gate) shut() <-chan struct{} {
	if !g.isOff.Swap(true) {
		g.leave()
	}
	return g.empty
}

var proposalPool = sync.Pool{New: func() any { return newProposal(nil) }}

// releaseProposal gives back a proposal that nobody else holds any more.
func releaseProposal(p *proposal) {
	p.data, p.change = nil, nil
	p.state.Store(proposalQueued)
	proposalPool.Put(p)
}
