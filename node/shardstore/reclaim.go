package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"
)

// Space comes back in three ways: the blocks of a dead record are given back by punching a hole, a
// segment in which nothing lives is unlinked, and a segment with little left in it is emptied by
// writing that again at the end of the log.
//
// Blocks may only go when the index can still be rebuilt from what is left. A control record matters
// as long as a shard lives of which it alone says something, and a drop also as long as the record
// of the dropped shard can be read. So before a segment or its control records go, (1) shards that
// need them are restated at the end of the log, durably, and (2) all dead records in this segment
// and those before it are punched or unlinked, durably. Drops always lie behind the record they drop,
// so looking backwards is enough, and segments are unlinked from the oldest on, one by one.
//
// The index is synced as well before they go: one that ends before a drop that is gone would show
// the dead, and one that knows shards in a segment that is gone would have to be made anew.

const (
	reclaimPause   = time.Second // between two passes when there is always something to do
	punchBatch     = 1024        // records given back between two syncs
	idlePagesMax   = 16          // pages of an active segment without a live shard that are not worth a roll
	controlPagesOK = 256         // pages of control records that are left alone
	sparseFraction = 8           // a segment filled less than 1/8 is emptied
	restateBatch   = 256
)

// reclaimProgress is what the reclaimer tells of itself.
type reclaimProgress struct {
	pass      sync.Mutex // held during a pass; guards compacted
	compacted uint64     // bytes that the index took after it was last compacted

	mu     sync.Mutex // guards what follows
	busy   bool
	passes uint64
	err    error
}

// ReclaimStatus tells whether the reclaimer is at work, how often it was, and its last error.
func (s *Store) ReclaimStatus() (busy bool, passes uint64, lastErr error) {
	p := &s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy, p.passes, p.err
}

func (s *Store) reclaimLoop(ctx context.Context) {
	timer := time.NewTimer(s.cfg.ReclaimEvery)
	defer timer.Stop()
	for {
		tick := false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			tick = true
			s.probe()
			s.copies.TrimStale()
		case <-s.wakeup:
		}
		if err := s.reclaim(ctx, tick); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot give space back", "err", err)
		}
		timer.Reset(s.cfg.ReclaimEvery)
		pause := time.NewTimer(reclaimPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// Reclaim gives back at once what can be given back, instead of when the store gets round to it.
func (s *Store) Reclaim(ctx context.Context) error { return s.reclaim(ctx, true) }

// reclaim makes one pass. thorough also gives up small rests in the active segment.
func (s *Store) reclaim(ctx context.Context, thorough bool) (err error) {
	p := &s.progress
	p.pass.Lock()
	defer p.pass.Unlock()
	p.mu.Lock()
	p.busy = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.busy, p.err = false, err
		p.passes++
		p.mu.Unlock()
	}()
	if err := s.writable(false); err != nil {
		return err
	}
	if err := s.rollIdle(ctx, thorough); err != nil {
		return err
	}
	if err := s.punchDead(ctx, 0); err != nil {
		return err
	}
	for _, num := range s.sealed() {
		if err := s.tidySegment(ctx, num); err != nil {
			return fmt.Errorf("segment %08x: %w", num, err)
		}
	}
	s.measure()
	if thorough {
		return s.compactIndex(ctx)
	}
	return nil
}

// noteFreed counts bytes that were given back to the file system.
func (s *Store) noteFreed(bytes int64) {
	s.freed.Add(bytes)
	s.met.reclaimed.Add(float64(bytes))
}

// compactIndex has the index give back what it took for shards that are gone, when that is much.
func (s *Store) compactIndex(ctx context.Context) error {
	x, done, err := s.index()
	if err != nil {
		return err
	}
	defer done()
	used := x.db.Metrics().DiskSpaceUsage()
	if used < 16<<20+1024*s.Usage().Shards || used < 2*s.progress.compacted {
		return nil
	}
	if err := x.db.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
		return errors.Join(ctx.Err(), s.indexError(x.distrusted(err)))
	}
	s.progress.compacted = x.db.Metrics().DiskSpaceUsage()
	return nil
}

func (s *Store) segStats(num uint32) segStats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	return s.stats[num]
}

// sealed returns the segments that are not appended to any more, in rising order.
func (s *Store) sealed() []uint32 {
	active := s.activeNum.Load()
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	var nums []uint32
	for num := range s.stats {
		if num < active {
			nums = append(nums, num)
		}
	}
	slices.Sort(nums)
	return nums
}

// rollIdle closes the active segment when it holds nothing that lives, or too many control records.
func (s *Store) rollIdle(ctx context.Context, thorough bool) error {
	num := s.activeNum.Load()
	g := s.segStats(num)
	idle := g.shards == 0 && (g.pages > controlPagesOK || (thorough && g.pages > idlePagesMax))
	if !idle && !g.controlHeavy() {
		return nil
	}
	return s.do(ctx, &op{kind: rollOp, from: position{seg: num}})
}

// controlHeavy tells whether control records take more than a hundredth of a segment or so.
func (g *segStats) controlHeavy() bool { return g.control > controlPagesOK && g.control > g.live/64 }

// tidySegment gives a sealed segment back, or what of it can be.
func (s *Store) tidySegment(ctx context.Context, num uint32) error {
	g := s.segStats(num)
	if g.shards > 0 && s.sparse(&g) {
		if err := s.empty(ctx, num); err != nil {
			return err
		}
		g = s.segStats(num)
	}
	switch {
	case g.shards == 0:
		return s.unlink(ctx, num)
	case g.controlHeavy():
		return s.punchControl(ctx, num, &g)
	}
	return nil
}

// sparse tells whether a segment is worth emptying: little lives in it, there is another such one
// to share a new segment with, and there is room for the copy.
func (s *Store) sparse(g *segStats) bool {
	max := uint32(s.cfg.SegmentBytes / pageSize / sparseFraction)
	if g.live >= max || s.room.Load() < int64(g.live)*pageSize || s.writable(true) != nil {
		return false
	}
	n, active := 0, s.activeNum.Load()
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	for num, other := range s.stats {
		if num < active && other.live < max {
			n++
		}
	}
	return n > 1
}

// unlink removes a segment in which nothing lives.
func (s *Store) unlink(ctx context.Context, num uint32) error {
	if err := s.makeNeedless(ctx, num); err != nil {
		return err
	}
	g := s.segStats(num)
	if err := s.removeSegment(num); err != nil {
		return err
	}
	s.noteFreed(g.allocated())
	return s.do(ctx, &op{kind: callOp, change: func(_ *index, t *txn) error {
		for _, kind := range []byte{keyControl, keyBlock, keyPunch, keyLive} {
			if err := t.unsetRange(segKey(kind, num), segEnd(kind, num)); err != nil {
				return err
			}
		}
		delete(t.stats, num)
		t.gone = append(t.gone, num)
		return nil
	}})
}

// removeSegment removes a segment's file, durably. It may be gone already.
func (s *Store) removeSegment(num uint32) error {
	s.giving.Lock()
	defer s.giving.Unlock()
	s.reclaims.Add(1)
	s.segs.forget(num)
	s.direct.forget(num)
	err := s.fs.Remove(segmentPath(s.cfg.Dir, num))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.fs.SyncDir(path.Join(s.cfg.Dir, segmentDir))
}

// punchControl gives back the control records of a segment whose shards stay.
func (s *Store) punchControl(ctx context.Context, num uint32, g *segStats) error {
	needed, err := s.needed(num)
	if err != nil {
		return err
	}
	// Restating takes about as much as is given back when most of it still matters; then it would
	// only go round in circles.
	if restated := int64(len(needed)) * (opFixedLen + 2*ownerLen); restated*2 > int64(g.control)*pageSize {
		return nil
	}
	if err := s.makeNeedless(ctx, num); err != nil {
		return err
	}
	for {
		list, err := s.extents(segKey(keyBlock, num), segEnd(keyBlock, num), punchBatch)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		if err := s.punch(ctx, num, list, keyBlock); err != nil {
			return err
		}
	}
	return s.do(ctx, &op{kind: callOp, change: func(_ *index, t *txn) error {
		return t.unsetRange(segKey(keyControl, num), segEnd(keyControl, num))
	}})
}

// makeNeedless sees to it that no control record of a sealed segment is needed any more, neither by
// a rebuild nor by a replay on the index as a crash would leave it.
func (s *Store) makeNeedless(ctx context.Context, num uint32) error {
	needed, err := s.needed(num)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(needed, restateBatch) {
		ops := make([]*op, len(batch))
		for i, id := range batch {
			ops[i] = &op{kind: restateOp, id: id, seg: num}
		}
		if err := s.doAll(ctx, ops); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	for try := 1; ; try++ {
		if err := s.punchDead(ctx, num); err != nil {
			return err
		}
		left, err := s.extents([]byte{keyPunch}, segKey(keyPunch, num), 1)
		switch {
		case err != nil:
			return err
		case len(left) == 0:
			return s.syncIndex()
		case try == punchTries:
			return fmt.Errorf("segment %08x before it still waits to be given back", left[0].pos.seg)
		}
	}
}

// punchTries is how often it is tried to give back all that died in older segments, where more dies meanwhile.
const punchTries = 10

// syncIndex makes what the index says by now outlast a crash.
func (s *Store) syncIndex() error {
	x, done, err := s.index()
	if err != nil {
		return err
	}
	defer done()
	return s.indexError(x.sync())
}

// needed returns the live shards of which the control records of a segment say something that no
// later block says again.
func (s *Store) needed(num uint32) ([]ID, error) {
	x, done, err := s.index()
	if err != nil {
		return nil, err
	}
	defer done()
	var ids []ID
	err = x.each(segKey(keyControl, num), segEnd(keyControl, num), func(key, _ []byte) error {
		if len(key) != 5+idLen {
			return fmt.Errorf("%w: control key of %d bytes", errIndexDamaged, len(key))
		}
		id := parseID(key[5:])
		e, err := x.entry(x.db, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil && e.baseSeg <= num {
			ids = append(ids, id)
		}
		return err
	})
	return ids, s.indexError(err)
}

// doAll carries out many operations together and returns their first error that is not ErrNotFound.
func (s *Store) doAll(ctx context.Context, ops []*op) error {
	var wg sync.WaitGroup
	errs := make([]error, len(ops))
	for i, o := range ops {
		wg.Go(func() { errs[i] = s.do(ctx, o) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}
