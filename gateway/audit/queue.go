package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// queue is what of a log a target has not got yet. There is no copy of it: the files of the log are the queue, and
// a cursor on disk says how far the target has got.
type queue struct {
	cfg  TargetConfig
	log  *Log
	wake chan struct{} // has room for one; filled when something was written

	// What waits, in bytes of the log and in records. Both are changed by who writes and by who delivers, so
	// they may be below 0 for a moment. Records change under mu, with what says how old they are.
	bytes, records atomic.Int64

	// Of the one goroutine that delivers.
	tail    tailer
	at      cursor // the last record that was delivered or given up
	pending *read  // to be delivered
	began   time.Time
	savedAt time.Time
	known   bool          // there is a cursor on disk
	pause   time.Duration // before the next attempt; 0 when the last one did not fail

	mu     sync.Mutex   // guards what follows
	saved  cursor       // as it is on disk
	status TargetStatus // all but what is counted elsewhere
}

const (
	// deliverPace is the time between the beginnings of two deliveries of batches that are not full.
	deliverPace = 100 * time.Millisecond
	// saveEvery is the time between two cursors on disk. What was delivered since is delivered again after a
	// crash.
	saveEvery = time.Second
	// deliverPauseMin and deliverPauseMax bound the pause after an attempt that failed.
	deliverPauseMin = time.Second
	deliverPauseMax = time.Minute
	// drainTime is for how long records are delivered after the log has ended.
	drainTime = 2 * time.Second
)

// openQueue makes the queue of a target, at the place where the target has got to. It is called before anything is
// written.
func (l *Log) openQueue(cfg TargetConfig) (*queue, error) {
	if !ValidTargetName(cfg.Name) {
		return nil, fmt.Errorf("target %q: the name is not of at most 64 letters, digits, - and _", cfg.Name)
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = defaultQueueBytes
	}
	cfg.QueueBytes = max(cfg.QueueBytes, l.cfg.FileBytesMax)
	q := &queue{cfg: cfg, log: l, wake: make(chan struct{}, 1), tail: tailer{log: l}}
	q.status = TargetStatus{Target: cfg.Name, Kind: cfg.Kind, Log: l.cfg.Name, QueueBytesMax: cfg.QueueBytes, Full: cfg.Full.String()}
	at, err := readCursor(l.cfg.Dir, cfg.Name, l.cfg.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all, err := l.segments()
		if err != nil {
			return nil, err
		}
		at = q.oldestThatFits(all)
	case errors.Is(err, errCursor):
		l.cfg.Logger.Error("how far a target has got cannot be read; it gets all that is kept", "target", cfg.Name, "log", l.cfg.Name)
	case err != nil:
		return nil, err
	default:
		q.saved, q.known = at, true
	}
	gone, err := q.seek(at)
	if err != nil {
		return nil, err
	}
	l.ahead = append(l.ahead, gone...)
	if !q.known {
		q.save(true) // from here on the target is not new, whether it ever gets something or not
	}
	return q, nil
}

// oldestThatFits is where a new target begins: as far back as the bound of the queue allows.
func (q *queue) oldestThatFits(all []segment) cursor {
	from, size := len(all), int64(0)
	for from > 0 && size+all[from-1].size <= q.cfg.QueueBytes {
		from--
		size += all[from].size
	}
	if from == len(all) {
		return cursor{}
	}
	return all[from].before()
}

// seek goes to the place behind a cursor, and finds out what waits there. Nothing may be written meanwhile. Where the
// record of the cursor is not in the log as it was, as after a power cut, the file is read from its beginning. What is
// missing from the log is told in notes.
func (q *queue) seek(to cursor) (gone []*note, err error) {
	l := q.log
	q.tail.close()
	q.pending, q.at = nil, to
	all, err := l.segments()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		q.bytes.Store(0)
		q.waits(func(*TargetStatus) { q.records.Store(0) })
		return nil, nil
	}
	i := find(all, &to)
	s, offset := &all[i], int64(0)
	switch {
	case s.follows(&to):
	case s.Chain == to.chain && s.head.seq <= to.seq:
		next, ok := s.holds(&to)
		if ok {
			offset = next
		} else {
			q.at = s.before()
			l.cfg.Logger.Warn("the log is not as a target has got it; the target gets the file again", "target", q.cfg.Name, "file", s.path)
		}
	default:
		gone = q.missing(&to, s)
		q.at = s.before()
	}
	if err := q.tail.open(s, offset); err != nil {
		return nil, err
	}
	return gone, q.measure(all[i:], offset)
}

// missing is the note of the records between a cursor and a segment, if there are some.
func (q *queue) missing(c *cursor, s *segment) []*note {
	switch {
	case c.chain == "":
		return nil
	case c.chain != s.Chain:
		return []*note{q.skipped(reasonGone, c.chain, c.seq+1, 0)}
	case s.head.seq > c.seq+1:
		return []*note{q.skipped(reasonGone, c.chain, c.seq+1, s.head.seq-1)}
	}
	return nil
}

// Why records were skipped.
const (
	reasonFull = "full" // the queue was at its bound
	reasonGone = "gone" // the log has them no more
)

// skipped is the note of records that a target does not get. last is 0 when it is not known.
func (q *queue) skipped(reason, chain string, first, last uint64) *note {
	n := &note{kind: eventSkipped, control: control{
		Time: q.log.cfg.Now(), Target: q.cfg.Name, Reason: reason, Chain: chain, FirstSeq: first, LastSeq: last,
	}}
	if last >= first {
		n.Records = int64(last - first + 1)
	}
	return n
}

// measure counts what waits in segments, of the first behind an offset.
func (q *queue) measure(all []segment, offset int64) error {
	bytes, records := -offset, int64(0)
	for i := range all {
		last, err := q.log.lastOf(all, i)
		if err != nil {
			return err
		}
		from := all[i].head.seq
		if i == 0 {
			from = q.at.seq + 1
		}
		bytes += all[i].size
		records += max(int64(last-from)+1, 0)
	}
	q.bytes.Store(bytes)
	q.waits(func(*TargetStatus) { q.records.Store(records) })
	return nil
}

// lastOf gives the number of the last record of a segment.
func (l *Log) lastOf(all []segment, i int) (uint64, error) {
	if i+1 < len(all) && all[i+1].Chain == all[i].Chain {
		return all[i+1].head.seq - 1, nil
	}
	t, err := readTail(all[i].path)
	return t.seq, err
}

// wrote is told what was written.
func (q *queue) wrote(bytes int64, records int) {
	q.bytes.Add(bytes)
	q.mu.Lock()
	if q.records.Add(int64(records)) > 0 && q.status.Oldest.IsZero() {
		q.status.Oldest = q.log.cfg.Now()
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// full says that more waits than may.
func (q *queue) full() bool { return q.bytes.Load() > q.cfg.QueueBytes }

// run delivers until ctx ends, and then for at most drainTime.
func (q *queue) run(ctx context.Context) {
	for ctx.Err() == nil {
		worked, err := q.step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			q.failed(err)
			q.save(false)
			q.rest(ctx)
		case !worked:
			q.idle(ctx)
		default:
			q.save(false)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for {
		if worked, err := q.step(last); !worked || err != nil {
			break
		}
	}
	q.save(true)
	q.tail.close()
	if err := q.cfg.Target.Close(); err != nil {
		q.log.cfg.Logger.Warn("a target is not closed in order", "target", q.cfg.Name, "err", err)
	}
}

// step delivers what there is, at most a batch. It says whether there was something.
func (q *queue) step(ctx context.Context) (worked bool, err error) {
	if err := q.shed(); err != nil {
		return false, err
	}
	if q.pending == nil {
		q.linger(ctx)
		r, err := q.tail.next(q.at)
		if errors.Is(err, errGone) {
			err = q.again()
		}
		if err != nil {
			return false, err
		}
		if r.batch == nil {
			q.bytes.Add(-r.bytes)
			return false, nil
		}
		if err := q.checkGap(&r); err != nil {
			return false, err
		}
		q.pending = &r
	}
	q.note(func(s *TargetStatus) { s.Oldest = q.pending.batch.Records[0].Time })
	q.began = time.Now()
	if err := q.cfg.Target.Deliver(ctx, q.pending.batch); err != nil {
		return false, err
	}
	q.delivered()
	return true, nil
}

// checkGap records it when files were taken away under the queue.
func (q *queue) checkGap(r *read) error {
	b := r.batch
	if b.Chain != q.at.chain || b.Records[0].Seq == q.at.seq+1 {
		return nil
	}
	return q.log.record(q.skipped(reasonGone, b.Chain, q.at.seq+1, b.Records[0].Seq-1))
}

// again finds the place in the log anew.
func (q *queue) again() error {
	l := q.log
	l.turn.Lock()
	defer l.turn.Unlock()
	gone, err := q.seek(q.at)
	if err != nil {
		return err
	}
	return l.recordLocked(gone...)
}

// delivered takes it that the target has got what was pending.
func (q *queue) delivered() {
	r := q.pending
	q.pending, q.at, q.pause = nil, r.end, 0
	q.bytes.Add(-r.bytes)
	records := r.batch.Records
	q.waits(func(s *TargetStatus) {
		q.records.Add(-int64(len(records)))
		if s.LastError != "" {
			q.log.cfg.Logger.Info("a target takes records again", "target", q.cfg.Name, "log", q.log.cfg.Name)
		}
		s.LastError, s.Oldest = "", records[len(records)-1].Time
		s.Delivered += int64(len(records))
		s.LastDelivery = q.log.cfg.Now()
	})
}

// failed takes note of an attempt that failed.
func (q *queue) failed(err error) {
	q.pause = min(max(2*q.pause, deliverPauseMin), deliverPauseMax)
	q.note(func(s *TargetStatus) {
		if s.LastError == "" {
			q.log.cfg.Logger.Error("a target does not take records; they wait on the disk", "target", q.cfg.Name, "log", q.log.cfg.Name, "err", err)
		}
		s.LastError, s.LastErrorAt = err.Error(), q.log.cfg.Now()
		s.Failed++
	})
}

// rest waits before the next attempt. A queue that has to be shed waits no longer than what is written.
func (q *queue) rest(ctx context.Context) {
	half := q.pause / 2
	t := time.NewTimer(half + rand.N(half+1))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-q.wake:
			if q.cfg.Full == Shed && q.full() {
				return
			}
		}
	}
}

// idle waits until something is written, and puts the cursor on disk when it is time.
func (q *queue) idle(ctx context.Context) {
	var due <-chan time.Time
	if !q.known || q.at != q.saved { // nobody else writes saved
		t := time.NewTimer(saveEvery - time.Since(q.savedAt))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
	case <-q.wake:
	case <-due:
		q.save(false)
	}
}

// linger lets records come together.
func (q *queue) linger(ctx context.Context) {
	wait := deliverPace - time.Since(q.began)
	if wait <= 0 || q.bytes.Load() >= batchBytesMax {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// save puts the cursor on disk, unless that was done not long ago.
func (q *queue) save(now bool) {
	if q.known && q.at == q.saved || !now && time.Since(q.savedAt) < saveEvery {
		return
	}
	q.savedAt = time.Now()
	if err := q.at.write(q.log.cfg.Dir, q.cfg.Name, q.log.cfg.Name); err != nil {
		q.log.cfg.Logger.Warn("how far a target has got is not on disk; it may get records again", "target", q.cfg.Name, "log", q.log.cfg.Name, "err", err)
		return
	}
	q.known = true
	q.mu.Lock()
	q.saved = q.at
	q.mu.Unlock()
	q.log.look.Store(true) // files may go
}

// shed gives up the oldest files of a queue that is at its bound, so many that the rest fits, and records first what
// it gives up.
func (q *queue) shed() error {
	l := q.log
	if q.cfg.Full != Shed || !q.full() {
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.failing.Load() {
		return nil // nothing is added to the queue either
	}
	all, err := l.segments()
	if err != nil || len(all) == 0 {
		return err
	}
	from := find(all, &q.at)
	to, rest := len(all)-1, all[len(all)-1].size
	for to > from+1 && rest+all[to-1].size <= q.cfg.QueueBytes {
		to--
		rest += all[to].size
	}
	if to <= from {
		return nil
	}
	notes, count, err := q.give(all, from, to)
	if err != nil {
		return err
	}
	if err := l.recordLocked(notes...); err != nil {
		return err
	}
	if _, err := q.seek(all[to].before()); err != nil {
		return err
	}
	l.cfg.Logger.Error("a target does not get records, since its queue is full", "target", q.cfg.Name, "log", l.cfg.Name, "records", count)
	q.note(func(s *TargetStatus) { s.Skipped += count })
	q.save(true)
	return nil
}

// give makes the notes of what is given up of segments from one to before another, one for each chain.
func (q *queue) give(all []segment, from, to int) (notes []*note, count int64, err error) {
	for i := from; i < to; i++ {
		first := all[i].head.seq
		if all[i].Chain == q.at.chain {
			first = max(first, q.at.seq+1)
		}
		last, err := q.log.lastOf(all, i)
		if err != nil {
			return nil, 0, err
		}
		if last < first {
			continue
		}
		count += int64(last - first + 1)
		if k := len(notes) - 1; k >= 0 && notes[k].Chain == all[i].Chain && notes[k].LastSeq+1 == first {
			first = notes[k].FirstSeq
			notes = notes[:k]
		}
		notes = append(notes, q.skipped(reasonFull, all[i].Chain, first, last))
	}
	return notes, count, nil
}

// waits changes how many records wait, and finds out how old the oldest is. Where its file cannot tell yet, it is taken
// to be no younger than the one before it.
func (q *queue) waits(change func(*TargetStatus)) {
	next := q.tail.nextTime()
	q.note(func(s *TargetStatus) {
		change(s)
		switch {
		case q.records.Load() <= 0:
			s.Oldest = time.Time{}
		case !next.IsZero():
			s.Oldest = next
		case s.Oldest.IsZero():
			s.Oldest = q.log.cfg.Now()
		}
	})
}

func (q *queue) note(change func(*TargetStatus)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(&q.status)
}

// Targets says how the targets stand with the log.
func (l *Log) Targets() []TargetStatus {
	all := make([]TargetStatus, 0, len(l.queues))
	for _, q := range l.queues {
		q.mu.Lock()
		s := q.status
		s.QueueBytes, s.QueueRecords = max(q.bytes.Load(), 0), max(q.records.Load(), 0)
		q.mu.Unlock()
		switch {
		case q.full():
			s.State = TargetFull
		case s.QueueRecords == 0:
			s.State = TargetIdle
		case s.LastError != "":
			s.State = TargetRetrying
		default:
			s.State = TargetDelivering
		}
		all = append(all, s)
	}
	return all
}
