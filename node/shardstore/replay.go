package shardstore

import (
	"fmt"
	"io"
	"math"
	"path"
)

// applyEvery is how many blocks are indexed by one batch while segments are read.
const applyEvery = 512

// replay brings what one segment holds beyond the watermark into the index.
type replay struct {
	s    *Store
	sc   *segmentScan
	from uint32 // first page that is not indexed
	end  uint32 // page after the last block that counts
	// holes is how many pages before end have been given back.
	holes uint32
	// synced is the number of the last block known to have been durable before the crash. Records
	// after it may be torn, so their payloads are verified.
	synced uint64
	torn   []*block
	t      *txn
	count  int // blocks in t
}

// replaySegment replays a segment. The last one is then cut behind its last block, and appended to.
func (s *Store) replaySegment(num uint32, last bool) error {
	f, err := s.fs.Open(segmentPath(s.cfg.Dir, num), ReadMode)
	if err != nil {
		return err
	}
	defer f.Close()
	sc, err := newSegmentScan(f, num)
	if err != nil {
		return err
	}
	s.setActive(activeSegment{num: max(s.active.num, num)})
	if last && !sc.intact && sc.end <= 1 {
		return s.discardSegment(num)
	}
	r := &replay{s: s, sc: sc, from: sc.page, synced: math.MaxUint64}
	if mark := s.idx.mark.next; mark.seg == num {
		r.from = mark.page
	}
	// A segment is begun only when all before it is durable.
	if last {
		if err := r.findSynced(); err != nil {
			return err
		}
	}
	if err := r.run(); err != nil {
		return err
	}
	s.recovery.Segments++
	s.recovery.Torn += len(r.torn)
	s.recovery.BadPages += uint64(sc.bad)
	if last {
		if err := r.resume(); err != nil {
			return err
		}
	}
	return r.settle()
}

// discardSegment removes a segment whose making a crash interrupted: it never held a block.
func (s *Store) discardSegment(num uint32) error {
	if err := s.fs.Remove(segmentPath(s.cfg.Dir, num)); err != nil {
		return err
	}
	return s.fs.SyncDir(path.Join(s.cfg.Dir, segmentDir))
}

// findSynced looks what the blocks themselves say of how far the log was durable.
func (r *replay) findSynced() error {
	r.synced = r.s.idx.mark.seq
	for r.sc.page = r.from; ; {
		blk, err := r.sc.next()
		if err == io.EOF {
			r.sc.bad, r.sc.empty = 0, 0
			return nil
		}
		if err != nil {
			return err
		}
		r.synced = max(r.synced, blk.synced)
	}
}

// run indexes the blocks.
func (r *replay) run() error {
	r.end = r.from
	r.t = r.s.idx.begin(r.s.stats)
	defer func() { r.t.forget() }()
	for r.sc.page = r.from; ; {
		blk, err := r.sc.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.add(blk)
		}
		if err != nil {
			return err
		}
	}
	return r.flush()
}

// add indexes a block unless it is torn or left over from before.
func (r *replay) add(blk *block) error {
	if blk.seq <= r.t.mark.seq {
		r.sc.bad += blk.pages()
		return nil
	}
	if blk.kind == kindShard && (!r.sc.complete(blk) || (blk.seq > r.synced && !r.sc.payloadIntact(blk))) {
		r.torn = append(r.torn, blk)
		return nil
	}
	r.end, r.holes = blk.pos.page+blk.pages(), r.sc.empty
	r.s.recovery.Blocks++
	if err := r.t.apply(blk); err != nil {
		return err
	}
	if r.count++; r.count < applyEvery {
		return nil
	}
	return r.flush()
}

func (r *replay) flush() error {
	if r.count == 0 {
		return nil
	}
	if err := r.s.commit(r.t); err != nil {
		return err
	}
	r.count = 0
	r.t.forget()
	r.t = r.s.idx.begin(r.s.stats)
	return nil
}

// resume makes what was found durable, cuts off what was not finished, and lets the writer go on
// behind it. A segment that has lost its header or its end is not appended to.
func (r *replay) resume() error {
	if !r.sc.intact || r.from > r.sc.end {
		return nil
	}
	f, err := r.s.fs.Open(segmentPath(r.s.cfg.Dir, r.sc.num), WriteMode)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size != int64(r.end)*pageSize {
		err = f.Truncate(int64(r.end) * pageSize)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("cut segment %08x at page %d: %w", r.sc.num, r.end, err)
	}
	if int64(r.end)*pageSize >= r.s.cfg.SegmentBytes {
		return f.Close()
	}
	r.s.setActive(activeSegment{file: f, num: r.sc.num, salt: r.sc.header.salt, page: r.end})
	return nil
}

// settle makes the index know the segment even if nothing in it counts, and has the torn records
// between others given back.
func (r *replay) settle() error {
	num := r.sc.num
	_, known := r.s.stats[num]
	t := r.s.idx.begin(r.s.stats)
	defer t.forget()
	change := !known || r.holes > 0
	g := t.seg(num)
	g.pages = max(g.pages, r.end, 1)
	g.punched += r.holes
	t.stats[num] = g
	for _, blk := range r.torn {
		if n := blk.pages(); blk.pos.page+n <= r.end {
			change = true
			if err := t.punchLater(blk.pos, n); err != nil {
				return err
			}
		}
	}
	if !change {
		return nil
	}
	return r.s.commit(t)
}
